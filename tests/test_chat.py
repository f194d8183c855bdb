"""`aura chat`: a prompt from arguments and pipes, and a conversation as a person in a terminal has it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aura_process import serve
from terminal import LIMIT, Terminal

from aura_core.testing import Reply, Upstream

AURA = [sys.executable, "-m", "aura_core"]
READY = "\x1b[?2004h"
"""What a terminal is told at each prompt: to mark what is pasted."""
AGENT = (
    b'{"id":"e","name":"Eve","description":"","provider":"echo","model":null,"temperature":null,"streaming":true,'
    b'"tags":[],"error":null}'
)
DONE = b'event: done\ndata: {"totalTokens": 1, "finishReason": "stop"}\n\n'


def _token(text: str) -> bytes:
    return f"event: token\ndata: {json.dumps({'content': text})}\n\n".encode()


def _environ(**more: str) -> dict[str, str]:
    return os.environ | {"AURA_PLUGINS": "echo"} | more


# With a pipe


def _sh(folder: Path, line: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of shell in which `aura` is the command."""
    text = f'aura() {{ "{sys.executable}" -m aura_core "$@"; }}\n{line}'
    return subprocess.run(["sh", "-c", text], cwd=folder, env=_environ(), capture_output=True, timeout=LIMIT)


@pytest.mark.parametrize(
    ("line", "answer"),
    {
        "below the prompt": ("printf 'a\\nb\\n' | aura chat assistant 'Review this'", "Review this\n\na\nb\n"),
        "the prompt alone": ("aura chat assistant 'Review this' </dev/null", "Review this"),
        "the pipe alone": ("printf 'a\\nb\\n' | aura chat assistant", "a\nb\n"),
        "nothing in the pipe": ("printf ' \\n' | aura chat assistant 'Review this'", "Review this"),
        "an empty prompt": ("printf 'a' | aura chat assistant ''", "a"),
        "a file": ("printf 'a' >file; aura chat assistant 'Review this' <file", "Review this\n\na"),
        "another system's line ends": ("printf '\\357\\273\\277a\\r\\nb\\rc' | aura chat assistant x", "x\n\na\nb\nc"),
    }.values(),
)
def test_a_pipe_belongs_to_the_prompt(line: str, answer: str, tmp_path: Path) -> None:
    done = _sh(tmp_path, line)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode() == answer.removesuffix("\n") + "\n"


def test_a_pipe_has_a_limit(tmp_path: Path) -> None:
    (tmp_path / "aura.toml").write_text("[server]\nmax_body = 2000\n")
    fits = _sh(tmp_path, "head -c 2000 /dev/zero | tr '\\0' a | aura chat assistant")
    assert (fits.returncode, len(fits.stdout)) == (0, 2001)
    refused = _sh(tmp_path, "tr '\\0' a </dev/zero | aura chat assistant Hello")
    assert (refused.returncode, refused.stdout) == (1, b"")
    assert refused.stderr == (
        b"aura: standard input has more than 2,000 bytes; shorten it, or raise [server] max_body\n"
    )


def test_a_pipe_that_does_not_end_is_reported(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*AURA, "chat", "assistant", "Hello"],
        cwd=tmp_path,
        env=_environ(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        assert process.stderr.readline().startswith(b"reading standard input until it ends")
        said, error = process.communicate(b"there", timeout=LIMIT)
    assert (process.returncode, said, error) == (0, b"Hello\n\nthere\n", b"")


# In a terminal


class _Talk:
    """A conversation with a server that records what it is asked."""

    def __init__(self, terminal: Terminal, server: Upstream) -> None:
        self.terminal = terminal
        self._server = server
        self._prompts = 0

    def ready(self) -> None:
        """Wait for the next prompt."""
        self._prompts += 1
        self.terminal.wait_for(READY, self._prompts)

    @property
    def asked(self) -> list[str]:
        """The prompts that have been sent."""
        return [body["prompt"] for body in self.bodies]

    @property
    def bodies(self) -> list[dict[str, object]]:
        """The requests for answers."""
        return [request.json() for request in self._server.requests if request.method == "POST"]

    def wait_asked(self, count: int) -> None:
        """Wait for that many requests for answers; one more asks for the agent."""
        self._server.wait_requests(count + 1, LIMIT)


@contextmanager
def _talking(folder: Path, *replies: Reply) -> Iterator[_Talk]:
    with Upstream(Reply([_token("Well."), DONE])) as server:
        server.queue(Reply([AGENT]), *replies)
        command = [*AURA, "chat", "e", "--url", server.url]
        with Terminal(command, folder, _environ(), term="xterm-256color") as terminal:
            talk = _Talk(terminal, server)
            talk.ready()
            yield talk


needs_pty = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pty")


@needs_pty
def test_a_conversation_has_a_history(tmp_path: Path) -> None:
    with _talking(tmp_path) as talk:
        for number, message in enumerate(("One", "Two"), 1):
            talk.terminal.type(f"{message}\r")
            talk.wait_asked(number)
            talk.ready()
        talk.terminal.type("\x04")
        assert talk.terminal.end() == 0
        assert talk.bodies[1] == {
            "prompt": "Two",
            "conversationHistory": [{"role": "user", "content": "One"}, {"role": "assistant", "content": "Well."}],
            "additionalContext": "",
        }
    assert "Eve - /help lists the keys, Ctrl-D leaves" in talk.terminal.text
    assert "Traceback" not in talk.terminal.text


@needs_pty
def test_pasted_lines_are_one_message(tmp_path: Path) -> None:
    with _talking(tmp_path) as talk:
        talk.terminal.paste("first line\r\nsecond line\r\tthird line\n")
        talk.terminal.type(" and more\r")
        talk.ready()
        assert talk.asked == ["first line\nsecond line\n\tthird line\n and more"]
    assert "^I" not in talk.terminal.text


@needs_pty
@pytest.mark.parametrize("new_line", ["\x1b\r", "\\\r"], ids=["Alt-Enter", "backslash"])
def test_a_message_may_have_several_lines(new_line: str, tmp_path: Path) -> None:
    with _talking(tmp_path) as talk:
        talk.terminal.type(f"one{new_line}two{new_line}three\r")
        talk.ready()
        assert talk.asked == ["one\ntwo\nthree"]


@needs_pty
@pytest.mark.parametrize("word", ["/exit", "/quit", "exit", "quit", "EXIT "])
def test_leaving_asks_nothing(word: str, tmp_path: Path) -> None:
    with _talking(tmp_path) as talk:
        talk.terminal.type(f"{word}\r")
        assert talk.terminal.end() == 0
        assert talk.asked == []


@needs_pty
def test_commands_are_not_sent(tmp_path: Path) -> None:
    with _talking(tmp_path) as talk:
        talk.terminal.type("/help\r")
        talk.ready()
        assert "Alt-Enter" in talk.terminal.text
        assert "/exit" in talk.terminal.text
        talk.terminal.type("/hlep\r")
        talk.ready()
        assert "nothing was sent: there is no command /hlep; did you mean '/help'?" in talk.terminal.text
        talk.terminal.type("/etc/hosts is what?\r")
        talk.ready()
        assert talk.asked == ["/etc/hosts is what?"]


@needs_pty
def test_earlier_messages_come_back(tmp_path: Path) -> None:
    with _talking(tmp_path) as talk:
        talk.terminal.type("Hello\r")
        talk.ready()
        talk.terminal.type("\x1b[A\r")
        talk.ready()
        assert talk.asked == ["Hello", "Hello"]


@needs_pty
def test_ctrl_c_clears_the_line_and_stops_the_answer_but_not_the_program(tmp_path: Path) -> None:
    with _talking(tmp_path, Reply([_token("Once upon")], ending="stall")) as talk:
        talk.terminal.type("never mind\x03")
        talk.ready()
        talk.terminal.type("A tale\r")
        talk.terminal.wait_for("Once upon")
        talk.terminal.type("\x03")
        talk.terminal.wait_for("stopped")
        talk.ready()
        talk.terminal.type("Go on\r")
        talk.ready()
        assert talk.asked == ["A tale", "Go on"]
        # The note began on a line of its own; no line break came from that into what the model had said.
        assert talk.bodies[1]["conversationHistory"] == [
            {"role": "user", "content": "A tale"},
            {"role": "assistant", "content": "Once upon"},
        ]
    assert "Traceback" not in talk.terminal.text


@needs_pty
@pytest.mark.parametrize(
    "end",
    {
        "a failure": b'event: error\ndata: {"message": "It broke.", "code": "interrupted"}\n\n',
        "a limit": b'event: done\ndata: {"totalTokens": 1, "finishReason": "length"}\n\n',
        "a cut": b"",
    }.values(),
)
def test_no_note_about_an_answer_becomes_a_part_of_it(end: bytes, tmp_path: Path) -> None:
    with _talking(tmp_path, Reply([_token("Once upon"), end])) as talk:
        talk.terminal.type("A tale\r")
        talk.ready()
        talk.terminal.type("Go on\r")
        talk.ready()
        history = talk.bodies[1]["conversationHistory"]
        assert isinstance(history, list)
        assert history[1] == {"role": "assistant", "content": "Once upon"}


@needs_pty
def test_lines_that_are_typed_during_an_answer_are_not_sent_unseen(tmp_path: Path) -> None:
    """Each of them was a request: terminals mark a paste only while they are asked to."""
    with _talking(tmp_path, Reply([_token("Wait."), 1.0, DONE])) as talk:
        talk.terminal.type("Hello\r")
        talk.terminal.wait_for("Wait.")
        talk.terminal.type("one\rtwo\rthree\r")
        talk.ready()
        time.sleep(0.3)  # for a request that must not come
        assert talk.asked == ["Hello"]
        talk.terminal.type(" and four\r")
        talk.ready()
        assert talk.asked == ["Hello", "one\ntwo\nthree and four"]


@needs_pty
def test_a_dumb_terminal_can_talk(tmp_path: Path) -> None:
    with Terminal([*AURA, "chat", "assistant"], tmp_path, _environ()) as terminal:
        terminal.wait_for("> ")
        terminal.type("Hello there\r")
        terminal.wait_for("Hello there", 2)
        terminal.wait_for("> ", 2)
        terminal.type("exit\r")
        assert terminal.end() == 0
    assert "\x1b" not in terminal.text


@needs_pty
@pytest.mark.parametrize("remote", [False, True], ids=["in this process", "of a server"])
def test_the_next_candidate_is_named_while_it_is_asked(remote: bool, tmp_path: Path) -> None:
    agent = "provider: echo\noptions: {stall_after: 0}\nfirst_token_timeout: 0.3\nfallback: [{provider: backup}]\n"
    (tmp_path / "aura.toml").write_text('[providers.backup]\nplugin = "echo"\n')
    with serve(tmp_path, {"it.md": f"---\n{agent}---\n"}) as server:
        command = [*AURA, "chat", "it", "Hello there"] + (["--url", server.url] if remote else [])
        with Terminal(command, tmp_path, _environ(AURA_TRUST=str(tmp_path))) as terminal:
            terminal.wait_for("asking backup, as echo does not answer")
            assert terminal.end() == 0
    assert "Hello there" in terminal.text


@needs_pty
def test_the_answers_alone_go_into_a_file(tmp_path: Path) -> None:
    with (tmp_path / "answers").open("w") as file:
        command = [*AURA, "chat", "assistant"]
        with Terminal(command, tmp_path, _environ(), term="xterm-256color", stdout=file.fileno()) as terminal:
            terminal.wait_for(READY)
            terminal.type("Hello there\r")
            terminal.wait_for(READY, 2)
            terminal.type("\x04")
            assert terminal.end() == 0
    assert (tmp_path / "answers").read_text() == "Hello there\n"


def test_only_a_conversation_imports_its_library(tmp_path: Path) -> None:
    code = "import sys; from aura_core.cli import main\n"
    code += "try: main()\nexcept SystemExit: print('prompt_toolkit' in sys.modules)"
    fails_late = ["serve", "--host", "a..b"]  # after everything is imported
    for arguments in (["chat", "assistant", "Hello"], fails_late, ["--help"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=tmp_path,
            env=_environ(AURA_TOKEN="x"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
        assert "False" in done.stdout.splitlines() + done.stderr.splitlines(), done
