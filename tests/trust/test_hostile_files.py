"""Every kind of link, and files that others own or can write, in an attacker's folder: none leads out of it."""

import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from victim import REMEDY, SECRET, Victim

from aura_core.cli.terminal import say
from aura_core.config.settings import load
from aura_core.errors import ConfigError
from aura_core.runtime import Runtime
from aura_core.server.reload import _roots, _text, _within

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other links, and no owners")

OUT = "it leads out of the folder, and the folder is not trusted"
HARD = "it is a hard link, which may be of a file outside, and the folder is not trusted"


def _up(victim: Victim, steps: str) -> Path:
    """The secret file, through the folder itself."""
    return Path(f"{steps}/../{victim.outside.name}/{victim.secret.name}")


def _chain(victim: Victim, path: Path) -> None:
    (victim.folder / "step").symlink_to(victim.outside)
    path.symlink_to(victim.folder / "step" / victim.secret.name)


# Each creates a link to the secret file at a path in the folder's `agents`.
WAYS: dict[str, Callable[[Victim, Path], None]] = {
    "absolute": lambda victim, path: path.symlink_to(victim.secret),
    "relative": lambda victim, path: path.symlink_to(_up(victim, "..")),
    "over the folder's own parent": lambda victim, path: path.symlink_to(_up(victim, f"../../{victim.folder.name}")),
    "a link to a link": _chain,
    "/proc/self/cwd": lambda victim, path: path.symlink_to(_up(victim, "/proc/self/cwd")),
    "/proc/self/root": lambda victim, path: path.symlink_to(f"/proc/self/root{victim.secret}"),
    "/proc/self/environ": lambda victim, path: path.symlink_to("/proc/self/environ"),
    "/proc/thread-self/environ": lambda victim, path: path.symlink_to("/proc/thread-self/environ"),
    "/proc/PID/environ": lambda victim, path: path.symlink_to(f"/proc/{os.getpid()}/environ"),
    "/dev/zero": lambda victim, path: path.symlink_to("/dev/zero"),
    "/dev/stdin": lambda victim, path: path.symlink_to("/dev/stdin"),
    "hard": lambda victim, path: path.hardlink_to(victim.secret),
}


@pytest.fixture
def opened(inside: Victim) -> Iterator[list[str]]:
    """The names of all files that this process opens while the test runs."""
    names = list[str]()
    _LISTENERS.append(names)
    yield names
    _LISTENERS.remove(names)


_LISTENERS = list[list[str]]()


def _listen(event: str, args: tuple[Any, ...]) -> None:
    if event == "open" and _LISTENERS:
        _LISTENERS[-1].append(str(args[0]))


sys.addaudithook(_listen)


def _outside(victim: Victim, opened: list[str]) -> list[str]:
    roots = str(victim.outside), "/proc/self/environ", "/proc/thread-self", f"/proc/{os.getpid()}", "/dev/zero"
    return [name for name in opened if os.path.realpath(name).startswith(roots) or name.startswith(roots)]


@pytest.mark.parametrize("way", WAYS)
def test_an_agent_cannot_lead_out_of_the_folder(way: str, inside: Victim, opened: list[str]) -> None:
    path = inside.folder / "agents" / "it.md"
    WAYS[way](inside, path)
    runtime = Runtime(load({}, os.environ), os.environ)
    assert SECRET not in str(runtime.agents.entries)
    assert _outside(inside, opened) == []
    entry = runtime.agents.get("it")
    assert entry is not None
    assert entry.error == f"agents/it.md: {HARD if way == 'hard' else OUT}; {REMEDY}"
    assert [str(refusal) for refusal in runtime.refusals] == [entry.error]


@pytest.mark.parametrize("way", WAYS)
def test_a_trusted_folder_may_link_anywhere(way: str, inside: Victim, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURA_TRUST", str(inside.folder))
    WAYS[way](inside, inside.folder / "agents" / "it.md")
    runtime = Runtime(load({}, os.environ), os.environ)
    entry = runtime.agents.get("it")
    assert entry is not None
    assert entry.refusal is None
    if not way.startswith("/dev/") and "environ" not in way:  # neither has a size of its own
        assert entry.agent is not None
        assert entry.agent.prompt == SECRET


@pytest.mark.parametrize("way", WAYS)
def test_the_settings_file_cannot_lead_out_of_the_folder(way: str, inside: Victim, opened: list[str]) -> None:
    inside.secret.write_text("[server]\nport = 4711\n")
    path = inside.folder / "aura.toml"
    (inside.folder / "deep").mkdir()
    WAYS[way](inside, inside.folder / "deep" / "it")
    if way == "hard":
        (inside.folder / "deep" / "it").rename(path)
    else:
        path.symlink_to("deep/it")
    opened.clear()
    loaded = load({}, os.environ)
    assert loaded.server.port == 5300
    assert loaded.files == []
    runtime = Runtime(loaded, os.environ)
    assert _text(path, _within(path, runtime)) is None, "nor when it is watched"
    assert _outside(inside, opened) == []
    if not way.startswith("/dev/"):
        assert [str(r) for r in runtime.refusals] == [f"aura.toml: {HARD if way == 'hard' else OUT}; {REMEDY}"]


@pytest.mark.parametrize("target", ["outside", "/proc/self", "/", "..", "/proc/self/cwd/.."])
@pytest.mark.parametrize("named", [False, True])
def test_the_agents_folder_cannot_lead_out_of_the_folder(named: bool, target: str, inside: Victim) -> None:
    (inside.folder / "agents").rmdir()
    name = "deep/there" if named else "agents"
    (inside.folder / "deep").mkdir()
    aim = inside.outside if target == "outside" else Path(target)
    (inside.folder / name).symlink_to(aim if aim.is_absolute() or not named else aim / aim)
    if named:
        inside.writes(f"[agents]\ndirectory = '{name}'\n")
    runtime = Runtime(load({}, os.environ), os.environ)
    assert list(runtime.agents.entries) == ["assistant"]
    assert runtime.agents.problem == f"{name}: {OUT}; {REMEDY}"
    assert runtime.agents.problem in str(runtime.warnings)
    watched = _roots(runtime.settings.directory.absolute(), [inside.folder / "aura.toml"], runtime.agents.within)
    assert [root for root in watched if not root.is_relative_to(inside.folder)] == []


def test_a_link_that_stays_inside_is_followed(inside: Victim) -> None:
    inside.writes("", {"_draft.md": "hello"})
    (inside.folder / "agents" / "it.md").symlink_to("_draft.md")
    (inside.folder / "agents" / "other.md").symlink_to(inside.folder / "agents" / "_draft.md")
    runtime = Runtime(load({}, os.environ), os.environ)
    assert [entry.error for entry in runtime.agents.entries.values()] == [None, None]
    assert runtime.refusals == []


def test_a_file_that_becomes_a_link_while_it_is_opened_is_not_followed(
    inside: Victim, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the check and the opening, another program of the attacker creates the link."""
    path = inside.folder / "agents" / "it.md"
    path.write_text("hello")
    real = os.path.realpath

    def late(name: str | Path, **how: Any) -> str:
        found = real(name, **how)
        if Path(name).name == path.name:
            path.unlink(missing_ok=True)
            path.symlink_to(inside.secret)
        return str(found)

    monkeypatch.setattr("aura_core.config.reading.os.path.realpath", late)
    runtime = Runtime(load({}, os.environ), os.environ)
    entry = runtime.agents.get("it")
    assert entry is not None
    assert entry.agent is None
    assert "cannot be read: " in str(entry.error)


def test_a_pipe_and_a_socket_are_not_read_as_files(inside: Victim) -> None:
    os.mkfifo(inside.folder / "agents" / "pipe.md")
    os.mkfifo(inside.folder / "aura.toml")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("agents/socket.md")
        with pytest.raises(ConfigError, match=r"^aura\.toml: is not a regular file$"):
            load({}, os.environ)
        (inside.folder / "aura.toml").rename("pipe")
        runtime = Runtime(load({}, os.environ), os.environ)
        assert {entry.agent for entry in runtime.agents.entries.values()} == {None}
        (inside.folder / "pipe").rename("aura.toml")
        settings_file = Path("aura.toml").absolute()
        assert _text(settings_file, _within(settings_file, runtime)) is None


# Files of others


def _world_writable(victim: Victim, monkeypatch: pytest.MonkeyPatch) -> str:
    (victim.folder / "aura.toml").chmod(0o666)
    (victim.folder / "agents" / "it.md").chmod(0o777)
    return "everybody may write it"


def _of_another(victim: Victim, monkeypatch: pytest.MonkeyPatch) -> str:
    if os.geteuid() == 0:
        os.chown(victim.folder / "aura.toml", 12345, -1)
        os.chown(victim.folder / "agents" / "it.md", 12345, -1)
        return "it belongs to another user (uid 12345)"
    mine = os.geteuid()
    monkeypatch.setattr("os.geteuid", lambda: mine + 1)
    return f"it belongs to another user (uid {mine})"


@pytest.mark.parametrize("exposed", [_world_writable, _of_another])
def test_files_that_others_can_change_are_not_read_and_in_a_trusted_folder_are_reported(
    exposed: Callable[[Victim, pytest.MonkeyPatch], str], inside: Victim, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows' drives in WSL (world-writable) and bind mounts (files of another user) are such folders."""
    inside.writes("[server]\nport = 4711\n", {"it.md": "hello"})
    why = exposed(inside, monkeypatch)
    runtime = Runtime(load({}, os.environ), os.environ)
    assert runtime.settings.server.port == 5300
    told = f"{why}, and the folder is not trusted; {REMEDY}"
    assert [str(refusal) for refusal in runtime.refusals] == [f"aura.toml: {told}", f"agents/it.md: {told}"]
    monkeypatch.setenv("AURA_TRUST", str(inside.folder))
    runtime = Runtime(load({}, os.environ), os.environ)
    assert runtime.settings.server.port == 4711
    assert runtime.bindings.agent_infos()[0].error is None
    assert runtime.refusals == []
    assert [warning for warning in runtime.warnings if why in warning] == [
        f"aura.toml: {why}; whoever can change it decides where prompts and keys go",
        f"agents/it.md: {why}; whoever can change an agent decides what it is told",
    ]


def test_many_exposed_agents_are_one_warning(inside: Victim, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURA_TRUST", str(inside.folder))
    inside.writes("", {f"{name}.md": "hello" for name in "abc"})
    for path in (inside.folder / "agents").iterdir():
        path.chmod(0o666)
    (warning,) = [w for w in Runtime(load({}, os.environ), os.environ).warnings if "everybody" in w]
    assert warning.startswith("agents/a.md: everybody may write it (and 2 more files)")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of root")
def test_roots_files_are_read_also_where_the_folder_is_not_trusted(
    inside: Victim, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside.writes("[server]\nport = 4711\n", {"it.md": "hello"})
    monkeypatch.setattr("os.geteuid", lambda: 65534)
    runtime = Runtime(load({}, os.environ), os.environ)
    assert (runtime.settings.server.port, runtime.refusals) == (4711, [])


def test_a_refusal_shows_no_secret_and_no_escape_sequence(inside: Victim, capsys: pytest.CaptureFixture[str]) -> None:
    for key in ("organization", "project", "api_key_env"):
        inside.writes(f"[providers.x]\nplugin = 'openai'\n{key} = 'sk0123456789abcdefghijklmnop'\n")
        (refusal,) = Runtime(load({}, os.environ), os.environ).refusals
        assert refusal.asks == f"[providers.x] {key} = …"
    inside.writes("[providers.x]\nplugin = 'openai'\nbase_url = \"http://\\u001b[2J\\u009b\\u202e/\"\n")
    runtime = Runtime(load({}, os.environ), os.environ)
    (refusal,) = runtime.refusals
    say(refusal.asks)
    assert capsys.readouterr().out == '[providers.x] base_url = "http://\\u001b[2J\\x9b\\u202e/"\n'
