"""The command line from an operator's view: answers, exit codes, and one-line errors."""

import errno
import json
import os
import re
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from aura_core.errors import ConfigError
from aura_core.server.sockets import listen
from aura_core.testing import AuraServer

NOBODY = (
    "provider 'nobody' is not installed; installed are echo. Aura's own are in the folder plugins of its repository"
)


def _run(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "aura_core", *arguments],
        cwd=folder,
        env=os.environ | {"AURA_PLUGINS": "echo", "AURA_TRUST": str(folder)} | environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


def test_a_busy_port_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        result = _run(tmp_path, "serve", "--port", str(port))
    assert result.returncode == 1
    assert result.stderr == (
        f"aura: cannot listen on 127.0.0.1:{port}: Address already in use; "
        "is Aura running already? Choose another with --port\n"
    )


def test_a_busy_port_is_told_in_the_systems_language(monkeypatch: pytest.MonkeyPatch) -> None:
    def bind(*_: object) -> None:
        raise OSError(errno.EADDRINUSE, "Adresse wird schon benutzt")

    monkeypatch.setattr(socket.socket, "bind", bind)
    with pytest.raises(ConfigError, match="Adresse wird schon benutzt; is Aura running already"):
        listen("127.0.0.1", 5300)


def test_the_place_of_a_default_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "aura.toml").write_text("\n[defaults]\nprovider = 'nobody'\n")
    listed = _run(tmp_path, "agents")
    assert (listed.returncode, listed.stderr) == (
        1,
        f"assistant: aura.toml:3: {NOBODY}\n",
    )


@pytest.mark.parametrize(
    ("toml", "why"),
    {
        "a table of its own": (
            "[providers.nobody]\nurl = 'x'\n",
            f"aura.toml:2: the table sets no plugin, and {NOBODY}",
        ),
        "an empty table": ("[providers.nobody]\n", f"[providers.nobody]: the table sets no plugin, and {NOBODY}"),
        "a plugin": ("[providers.gpu]\nurl = 'x'\nplugin = 'nobody'\n", f"aura.toml:3: {NOBODY}"),
        "a slip": (
            "[providers.ecco]\n",
            "[providers.ecco]: the table sets no plugin, and provider 'ecco' is not installed; did you mean 'echo'?",
        ),
    }.values(),
)
def test_a_provider_that_is_not_there_is_told_with_its_place_and_without_a_package(
    toml: str, why: str, tmp_path: Path
) -> None:
    """The package `aura-nobody` of a third party on an index must not get installed."""
    (tmp_path / "aura.toml").write_text(toml)
    checks = json.loads(_run(tmp_path, "doctor", "--offline", "--json").stdout)["checks"]
    assert [c["detail"] for c in checks if c["section"] == "providers" and c["status"] == "warning"] == [why]
    (tmp_path / "agents").mkdir()
    name = tomllib.loads(toml)["providers"].popitem()[0]
    (tmp_path / "agents/it.md").write_text(f"---\nprovider: {name}\n---\n")
    assert _run(tmp_path, "agents").stderr == f"it: {tmp_path}/agents/it.md:2: {why}\n".replace(f"{tmp_path}/", "")


WHOLE = "is not a whole number from"
ERRORS: dict[str, tuple[list[str], dict[str, str], str, int, str]] = {
    "no such option": (["serve", "--prot", "1"], {}, "", 2, "No such option '--prot'. (Did you mean"),
    "no such command": (["srve"], {}, "", 2, "did you mean 'serve'?"),
    "a large number": (["serve", "--port", "70000"], {}, "", 2, f"'--port': '70000' {WHOLE} 0 to 65535."),
    "a negative number": (["serve", "--port", "-1"], {}, "", 2, f"'--port': '-1' {WHOLE} 0 to 65535."),
    "no number": (["serve", "--port", "x"], {}, "", 2, f"'--port': 'x' {WHOLE} 0 to 65535."),
    "an endless flag": (["serve", "--workers", "9" * 5000], {}, "", 2, f"{WHOLE} 1 to 64."),
    "no host": (["serve", "--host", ""], {}, "", 2, "Invalid value for '--host': it must not be empty."),
    "a blank host": (["serve"], {}, "[server]\nhost = ' '\n", 1, "aura.toml:2: host: it must not be blank"),
    "no file": (["agents", "--config", ""], {}, "", 2, "Invalid value for '--config': it must not be empty."),
    "no folder": (["agents", "--agents", ""], {}, "", 2, "Invalid value for '--agents': it must not be empty."),
    "no address": (["chat", "a", "b", "--url", ""], {}, "", 2, "Invalid value for '--url': it must not be empty."),
    "nothing to trust": (["trust", ""], {}, "", 2, "Invalid value for '[DIR]': it must not be empty."),
    "nowhere to begin": (["init", ""], {}, "", 2, "Invalid value for '[DIR]': it must not be empty."),
    "nowhere to write": (
        ["new-plugin", "acme", "--directory", ""],
        {},
        "",
        2,
        "Invalid value for '--directory': it must not be empty.",
    ),
    "a bad variable": (
        ["agents"],
        {"AURA_SERVER__PORT": "x"},
        "",
        1,
        "AURA_SERVER__PORT: port: expected a whole number",
    ),
    "an unknown variable": (["agents"], {"AURA_SERVER__PROT": "1"}, "", 1, "did you mean 'port'?"),
    "an unknown section": (["agents"], {"AURA_SEVER__PORT": "1"}, "", 1, "did you mean 'AURA_SERVER__PORT'?"),
    "broken TOML": (["agents"], {}, "[server\n", 1, "aura.toml:1: "),
    "an unknown key": (
        ["agents"],
        {},
        "\n[server]\nprot = 1\n",
        1,
        "aura.toml:3: unknown key 'prot'; did you mean 'port'?",
    ),
    "an unknown table": (["agents"], {}, "[srever]\n", 1, "aura.toml:1: unknown key 'srever'; did you mean 'server'?"),
    "a wrong type": (
        ["agents"],
        {},
        "[server]\nport = '1'\n",
        1,
        "aura.toml:2: port: expected a whole number, got a string",
    ),
    "an open host": (
        ["serve"],
        {},
        "[server]\nhost = '0.0.0.0'\n",
        1,
        "aura.toml:2: refusing to listen on 0.0.0.0 without",
    ),
    "not a host name": (
        ["serve", "--host", "a..b"],
        {"AURA_TOKEN": "x"},
        "",
        1,
        "on a..b: it is not a valid host name",
    ),
    "a label too long": (["serve", "--host", "a" * 70], {"AURA_TOKEN": "x"}, "", 1, "aaa: it is not a valid host name"),
    "a token that is not text": (
        ["serve"],
        {"AURA_TOKEN": "\udcff"},
        "",
        1,
        "AURA_TOKEN: the token holds characters that no header",
    ),
    "an endless number": (
        ["agents"],
        {},
        f"[server]\nport = {'9' * 5000}\n",
        1,
        "aura.toml: a number in it has too many digits",
    ),
    "an endless variable": (
        ["agents"],
        {"AURA_SERVER__PORT": "9" * 5000},
        "",
        1,
        "AURA_SERVER__PORT: port: expected a whole number",
    ),
    "no such file": (["agents", "--config", "none.toml"], {}, "", 1, "none.toml: no such file"),
    "no such agent": (["chat", "asistant", "x"], {}, "", 1, "did you mean 'assistant'?"),
    "no prompt": (["chat", "assistant", " "], {}, "", 2, "the prompt is empty"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_one_line_on_stderr(name: str, tmp_path: Path) -> None:
    arguments, environ, toml, code, says = ERRORS[name]
    if toml:
        (tmp_path / "aura.toml").write_text(toml)
    result = _run(tmp_path, *arguments, **environ)
    assert (result.returncode, result.stdout) == (code, "")
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert result.stderr.startswith("aura: ")
    assert says in result.stderr


def test_without_a_command_the_help_is_shown(tmp_path: Path) -> None:
    asked = _run(tmp_path, "--help")
    alone = _run(tmp_path)
    assert (alone.returncode, alone.stdout) == (2, "")
    assert alone.stderr == asked.stdout
    assert "\n  serve        Serve agents over HTTP.\n" in asked.stdout


def test_the_order_of_the_sources(tmp_path: Path) -> None:
    user = tmp_path / "config" / "aura"
    user.mkdir(parents=True)
    (user / "aura.toml").write_text("[server]\nport = 1\nidle_timeout = 11\nheartbeat = 12\nretries = 3\n")
    (tmp_path / "aura.toml").write_text("[server]\nport = 2\nidle_timeout = 22\nheartbeat = 23\n")
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "AURA_SERVER__IDLE_TIMEOUT": "33"}
    result = _run(tmp_path, "doctor", "--offline", "--json", **environ)
    assert result.returncode == 0, result.stderr
    found = {c["name"]: c["detail"] for c in json.loads(result.stdout)["checks"] if c["section"] == "settings"}
    assert found["server.port"] == "2 (aura.toml:2)"
    assert found["server.idle_timeout"] == "33 (AURA_SERVER__IDLE_TIMEOUT)"
    assert found["server.heartbeat"] == "23 (aura.toml:4)"
    assert found["server.retries"].startswith("3 (")
    assert found["server.max_streams"] == "1000 (default)"


def test_init_writes_what_doctor_approves_and_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "assistant.md").write_text("mine")
    assert _run(tmp_path, "init", AURA_PLUGINS="ollama").returncode == 0
    assert (tmp_path / "agents" / "assistant.md").read_text() == "mine"
    doctor = _run(tmp_path, "doctor")
    assert doctor.returncode == 0, doctor.stdout
    assert "All is well." in doctor.stdout
    assert "reviewer (echo): first token after" in doctor.stdout
    written = (tmp_path / "aura.toml").read_text()
    assert re.findall(r"(?m)^\[providers\.(\w+)\]", written) == ["ollama"]
    # What has no default is left out: nobody is called "...".
    (tmp_path / "aura.toml").write_text(re.sub(r'(?m)^# (?=\w+ = (?!"\.\.\."))', "", written))
    tokens = {"AURA_TOKEN": "the server's own", "ALICE_TOKEN": "alice's own"}
    checked = _run(tmp_path, "doctor", "--offline", AURA_PLUGINS="echo,ollama", **tokens)
    assert checked.returncode == 0, checked.stdout


def test_init_is_not_deceived_by_a_file_and_quotes_what_a_shell_reads(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "agents").touch()
    refused = _run(tmp_path, "init", "p")
    assert (refused.returncode, refused.stderr) == (1, "aura: p/agents: cannot be written: File exists\n")
    assert "Next: cd 'a b' && aura doctor" in _run(tmp_path, "init", "a b").stdout
    assert "Next: cd 'c d', and" in _run(tmp_path, "new-plugin", "acme_too", "--directory", "c d").stdout


def test_what_init_writes_is_a_folder_of_its_own(tmp_path: Path) -> None:
    assert _run(tmp_path, "init", "there").returncode == 0
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "elsewhere.md").touch()
    listed = _run(tmp_path, "agents", "--config", "there/aura.toml").stdout
    assert "reviewer" in listed
    assert "elsewhere" not in listed


@pytest.mark.parametrize("command", [("agents",), ("doctor", "--offline")])
def test_options_are_not_checked_against_a_provider_that_was_not_chosen(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "a.md").write_text("---\noptions: {reasoning_effort: low}\n---\nhi\n")
    (tmp_path / "aura.toml").write_text("[providers.openai]\ndefault_model = 'm'\n")
    open_ = _run(tmp_path, *command, AURA_PLUGINS="openai")
    assert (open_.returncode, open_.stderr) == (0, ""), open_.stdout
    certain = _run(tmp_path, *command, AURA_PLUGINS="echo")  # the only one
    assert certain.returncode == 1
    assert "unknown key 'reasoning_effort'" in certain.stdout + certain.stderr


def test_a_missing_agents_folder_is_reported(tmp_path: Path) -> None:
    assert _run(tmp_path, "agents").stderr == ""
    named = _run(tmp_path, "agents", "--agents", "nowhere")
    assert (named.returncode, named.stderr) == (0, f"--agents: {tmp_path}/nowhere: there is no such folder\n")


def _sh(folder: Path, line: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of shell in which `aura` is the command."""
    text = f'aura() {{ "{sys.executable}" -m aura_core "$@"; }}\n{line}'
    env = os.environ | {"AURA_PLUGINS": "echo"} | environ
    return subprocess.run(["sh", "-c", text], cwd=folder, env=env, capture_output=True, timeout=60)


def test_characters_missing_in_the_terminals_encoding_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "a.md").write_text("---\nname: 日本\nprovider: echo\n---\n", encoding="utf-8")
    asked = _sh(tmp_path, "aura chat a 'in 日本 now'", PYTHONIOENCODING="cp1252")
    assert (asked.returncode, asked.stdout, asked.stderr) == (0, b"in ?? now\n", b"")
    for line in ("aura agents", "aura agents --json"):
        listed = _sh(tmp_path, line, PYTHONIOENCODING="cp1252")
        assert (listed.returncode, listed.stderr) == (0, b"")
        assert b"??" in listed.stdout


def test_a_prompt_that_is_not_utf8_is_sent(tmp_path: Path) -> None:
    for line in ("aura chat assistant \"$(printf 'a \\377 b')\"", "printf 'a \\377 b' | aura chat assistant"):
        asked = _sh(tmp_path, line, LC_ALL="C.UTF-8")
        assert (asked.returncode, asked.stdout, asked.stderr) == (0, "a \ufffd b\n".encode(), b"")


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("aura agents >/dev/full", 1, b"aura: No space left on device\n"),
        ("aura agents >&-", 0, b""),
        ("aura agents 2>&-", 0, b""),
        ("aura chat assistant hello <&-", 0, b""),
        ("aura chat assistant <&-", 2, b"aura: the prompt is empty\n"),
        ("mkdir gone && cd gone && rmdir ../gone && aura agents", 1, b"aura: the current folder cannot be found: "),
    ],
)
def test_a_closed_or_full_output_gives_no_traceback(line: str, code: int, says: bytes, tmp_path: Path) -> None:
    result = _sh(tmp_path, line, PYTHONSAFEPATH="1")
    assert (result.returncode, result.stderr[: len(says) or None]) == (code, says)
    assert result.stderr.count(b"\n") <= 1


@pytest.mark.parametrize("line", ["agents", "agents --json", "plugins", "doctor --offline", "chat assistant hi", "-h"])
def test_a_closed_pipe_gives_no_traceback(line: str, tmp_path: Path) -> None:
    """The exit code is not 0, since the output is incomplete; the shell reports SIGPIPE as a failure, too."""
    reader, writer = os.pipe()
    os.close(reader)
    env = os.environ | {"AURA_PLUGINS": "echo"}
    command = [sys.executable, "-m", "aura_core", *line.split()]
    result = subprocess.run(command, cwd=tmp_path, env=env, stdout=writer, stderr=subprocess.PIPE, timeout=60)
    os.close(writer)
    assert (result.returncode, result.stderr) == (1, b"")


def test_a_dumb_terminal_shows_the_wait_once(tmp_path: Path) -> None:
    import pty

    shown, terminal = pty.openpty()
    try:
        subprocess.run(
            [sys.executable, "-m", "aura_core", "chat", "assistant", "hello"],
            cwd=tmp_path,
            env=os.environ | {"AURA_PLUGINS": "echo", "TERM": "dumb"},
            stdout=subprocess.DEVNULL,
            stderr=terminal,
            check=True,
            timeout=60,
        )
        assert os.read(shown, 10_000).startswith(b"waiting for echo\r\n")
    finally:
        os.close(shown)
        os.close(terminal)


def test_chat_in_a_pipe(tmp_path: Path) -> None:
    good = _run(tmp_path, "chat", "assistant", "Hello \x1b[31mthere")
    assert (good.returncode, good.stdout, good.stderr) == (0, "Hello [31mthere\n", "")
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "f.md").write_text("---\nprovider: echo\noptions: {text: a b, fail_after: 1}\n---\n")
    bad = _run(tmp_path, "chat", "f", "x")
    assert (bad.returncode, bad.stdout) == (1, "a\n")
    assert bad.stderr.startswith("failed (llm_error): ")


def test_chat_with_a_server(tmp_path: Path) -> None:
    whole = "---\nprovider: echo\noptions: {text: in one piece, streaming: false}\n---\n"
    fails = "---\nprovider: echo\noptions: {text: a b, fail_after: 1, code: interrupted}\n---\n"
    agents = {"e.md": "---\nprovider: echo\n---\n", "w.md": whole, "f.md": fails}
    token = {"AURA_TOKEN": "correct horse"}
    (away := tmp_path / "away").mkdir()
    with AuraServer(tmp_path, agents, environ=token) as aura:
        streamed = _run(away, "chat", "e", "Hello there", "--url", aura.url, **token)
        in_one = _run(away, "chat", "w", "x", "--url", aura.url, **token)
        failed = _run(away, "chat", "f", "x", "--url", aura.url, **token)
        unknown = _run(away, "chat", "none", "x", "--url", aura.url, **token)
        no_token = _run(away, "chat", "e", "x", "--url", aura.url)
    assert (streamed.returncode, streamed.stdout) == (0, "Hello there\n")
    assert (in_one.returncode, in_one.stdout) == (0, "in one piece\n")
    assert (failed.returncode, failed.stdout) == (1, "a\n")
    assert "interrupted" in failed.stderr
    assert (unknown.returncode, "There is no agent" in unknown.stderr) == (1, True)
    assert (no_token.returncode, "AURA_TOKEN" in no_token.stderr) == (1, True)
