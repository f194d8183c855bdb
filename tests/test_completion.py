"""What a shell offers at TAB: agents, plugins and provider instances; never an error, whatever is in the folder."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from terminal import LIMIT, Terminal

RAISES = "raise SystemExit('this must not be imported')\n"


def _complete(folder: Path, line: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Complete the last word of a command line, as bash's function does."""
    number = str(line.count(" "))
    return _aura(folder, **{"_AURA_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": number} | environ)


def _aura(folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "aura_core"],
        cwd=folder,
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )


def _offered(folder: Path, line: str, **environ: str) -> list[str]:
    done = _complete(folder, line, **environ)
    assert done.stderr == ""
    return [each.removeprefix("plain,") for each in done.stdout.splitlines() if each]


def _agents(folder: Path, *names: str) -> None:
    (folder / "agents").mkdir(exist_ok=True)
    for name in names:
        (folder / "agents" / name).write_text("---\nprovider: echo\n---\n")


def test_agents_are_completed(tmp_path: Path) -> None:
    assert _offered(tmp_path, "aura chat ") == ["assistant"]
    _agents(tmp_path, "reviewer.md", "Writer.agent.md", "README.md", "_draft.md", ".hidden.md", "notes.txt")
    assert _offered(tmp_path, "aura chat ") == ["Writer", "reviewer"]
    assert _offered(tmp_path, "aura chat w") == ["Writer"]
    assert _offered(tmp_path, "aura chat --agents elsewhere ") == ["assistant"]
    assert _offered(tmp_path, "aura chat --url http://127.0.0.1:1 ") == [], "a server would have to be asked"
    assert _offered(tmp_path, "aura chat reviewer ") == []
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "aura.toml").write_text("[agents]\ndirectory = 'mine'\n")
    (tmp_path / "there" / "mine").mkdir()
    (tmp_path / "there" / "mine" / "other.md").touch()
    assert _offered(tmp_path, "aura chat --config there/aura.toml ") == ["other"]


def test_commands_and_options_are_completed(tmp_path: Path) -> None:
    assert _offered(tmp_path, "aura tr") == ["trust"]
    assert "--workers" in _offered(tmp_path, "aura serve --w")
    assert _offered(tmp_path, "aura serve --agents ") == ["dir,"]


def test_plugins_and_instances_are_completed_and_not_imported(tmp_path: Path, fake_plugin: Callable[..., None]) -> None:
    fake_plugin("raises", RAISES)
    (tmp_path / "aura.toml").write_text("[providers.gpu]\nplugin = 'raises'\n")
    path = {"PYTHONPATH": str(tmp_path / "site" / "aura-raises")}
    assert _offered(tmp_path, "aura test-plugin ra", **path) == ["raises"]
    assert _offered(tmp_path, "aura test-plugin --live g", **path) == ["gpu"]
    assert _offered(tmp_path, "aura models g", **path) == ["gpu"]
    assert {"echo", "gpu", "raises"} <= set(_offered(tmp_path, "aura test-plugin --live ", **path))


@pytest.mark.parametrize("line", ["aura chat ", "aura chat --config aura.toml ", "aura test-plugin --live "])
@pytest.mark.parametrize(
    "toml",
    ["[server\n", "[server]\nprot = 1\n", "x = " + "[" * 5000, "[server]\nport='\xff"],
)
def test_a_broken_file_is_not_told_at_the_prompt(toml: str, line: str, tmp_path: Path) -> None:
    (tmp_path / "aura.toml").write_text(toml, encoding="latin-1")
    done = _complete(tmp_path, line)
    assert (done.stderr, done.stdout.strip()) == ("", "")


@pytest.mark.parametrize(
    "line", ["aura srve ", "aura chat --prot x ", "aura serve --port x ", "aura chat 'open ", "aura chat a b c d "]
)
def test_a_wrong_line_is_not_told_at_the_prompt(line: str, tmp_path: Path) -> None:
    assert _complete(tmp_path, line).stderr == ""


def test_a_folder_that_is_not_trusted_offers_only_names(tmp_path: Path) -> None:
    """A file may be named like a command of the shell, hold anything, block whoever opens it, or lead elsewhere."""
    names = ["$(touch gone).md", "a,b.md", "*.md", "a b.md", "`id`.md", "a\nplain,b.md", "\x1b[2J.md", "good.md"]
    _agents(tmp_path, *names)
    os.mkfifo(tmp_path / "agents" / "pipe.md")
    (tmp_path / "agents" / "link.md").symlink_to("/etc/passwd")
    offered = _offered(tmp_path, "aura chat ")
    assert set(offered) <= {"good", "pipe", "link"}
    assert "good" in offered
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "agents").symlink_to("/etc", target_is_directory=True)
    assert _offered(tmp_path / "out", "aura chat ") == []
    (tmp_path / "aura.toml").write_text("[agents]\ndirectory = '/etc'\n[providers.'$(id)']\nplugin = 'echo'\n")
    assert not [each for each in _offered(tmp_path, "aura test-plugin --live ") if not each.isidentifier()]


def test_a_completion_imports_no_server(tmp_path: Path) -> None:
    code = (
        "import atexit, sys\nfrom aura_core.cli import main\n"
        "atexit.register(lambda: open('modules', 'w').write('\\n'.join(sys.modules)))\nmain()"
    )
    heavy = {"litestar", "uvicorn", "httpx", "openai", "rich", "prompt_toolkit", "aura_core.runtime"}
    for line in ("aura chat ", "aura test-plugin ", "aura models ", "aura ch"):
        asked = {"_AURA_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
        subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=os.environ | asked, stdout=subprocess.DEVNULL, timeout=LIMIT
        )
        assert not heavy & set((tmp_path / "modules").read_text().split()), line


@pytest.mark.parametrize(("shell", "answer"), [("zsh", "plain\nreviewer\n_\n"), ("fish", "plain,reviewer\n")])
def test_other_shells_get_their_own_format(shell: str, answer: str, tmp_path: Path) -> None:
    _agents(tmp_path, "reviewer.md")
    words, number = ("aura chat re", "2") if shell == "zsh" else ("aura chat", "re")
    asked = {"_AURA_COMPLETE": f"{shell}_complete", "COMP_WORDS": words, "COMP_CWORD": number}
    done = _aura(tmp_path, **asked)
    assert (done.stdout, done.stderr) == (answer, "")


SCRIPTS = {
    "bash": 'eval "$(_AURA_COMPLETE=bash_source aura)"',
    "zsh": 'autoload -Uz compinit; compinit -u; eval "$(_AURA_COMPLETE=zsh_source aura)"',
    "fish": "_AURA_COMPLETE=fish_source aura | source",
}


@pytest.mark.parametrize("shell", SCRIPTS)
def test_a_real_shell_completes(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed; the protocol of each shell is tested without it")
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "aura"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m aura_core "$@"\n')
    command.chmod(0o755)
    _agents(tmp_path, "reviewer.md")
    environ = os.environ | {"PATH": f"{command.parent}:{os.environ['PATH']}", "PS1": "$ ", "AURA_PLUGINS": "echo"}
    environ |= {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "ZDOTDIR": str(tmp_path)}
    start = {"bash": ["bash", "--norc", "-i"], "zsh": ["zsh", "-f", "-i"], "fish": ["fish", "--private"]}[shell]
    with Terminal(start, tmp_path, environ, term="xterm") as terminal:
        terminal.type(
            f"{SCRIPTS[shell]}; echo set-$((40 + 2))\r"
            if shell != "fish"
            else f"{SCRIPTS[shell]}; echo set-(math 40 + 2)\r"
        )
        terminal.wait_for("set-42")
        terminal.type("aura chat re\t")
        terminal.wait_for("reviewer")
        terminal.type(" Hello\r")
        terminal.wait_for("Hello\n")
