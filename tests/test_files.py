"""Files that users write: only regular files of a limited size are read, and none of them blocks Aura."""

import os
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from aura_core.config import front_matter, settings
from aura_core.config.agents import AgentStore, parse
from aura_core.errors import ConfigError
from aura_core.files import read_file
from aura_core.limits import FILE_LIMIT, FRONT_MATTER_LIMIT
from aura_core.server.reload import _text

TEXTS = [
    '---\nname: Code Assistant\ndescription: "Answers questions."\noptions: {text: hi}\ntags: [chat]\n---\nHi.',
    "---\nname: a\nname: b\n---\n",
    "---\nname: a\ndescription: one: two\n---\n",
    "---\noptions:\n\tx: 1\n---\n",
    "---\nmodel: 0b_\n---\n",
    "---\noptions: [[[\n---\n",
    "---\n- a\n---\n",
    "---\n---\n",
    "---\nmodel: &a b\ntags: [*a]\n---\n",
    '---\nname: "\\ud83e\\udd16"\n---\n',
]

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX files")


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(os.path.relpath(path))  # the whole path is too long for one


def _link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


ODD: dict[str, Callable[[Path], None]] = {
    "fifo": _fifo,
    "socket": _socket,
    "null": _link("/dev/null"),
    "zero": _link("/dev/zero"),
    "terminal": _link("/dev/tty"),
}
NO_FILES = {"kmsg": "/proc/kmsg", "pagemap": "/proc/self/pagemap", "environ": "/proc/self/environ"}


def _in_time(call: Callable[[], object]) -> None:
    """Call it in a thread that may be abandoned: a blocking read of a file cannot be stopped."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), "it waits for the file"


@posix
@pytest.mark.parametrize("kind", ODD)
def test_an_agent_that_is_not_a_regular_file_is_an_error_and_is_not_opened(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ODD[kind](tmp_path / "odd.md")
    (tmp_path / "good.md").write_text("You are good.")
    found: list[AgentStore] = []
    _in_time(lambda: found.append(AgentStore(tmp_path)))
    assert found[0].entries["odd"].error == "odd.md: is not a regular file"
    assert found[0].entries["good"].agent is not None


@posix
@pytest.mark.parametrize("kind", ODD)
def test_settings_that_are_not_a_regular_file_do_not_block(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "odd.toml"
    ODD[kind](path)
    raised: list[str] = []

    def load() -> None:
        try:
            settings.load({}, {}, path)
        except ConfigError as exc:
            raised.append(str(exc))

    _in_time(load)
    assert raised == [f"{path}: no such file"]
    _in_time(lambda: _text(path))
    assert _text(path) is None


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("name", NO_FILES)
def test_what_the_kernel_calls_a_file_is_not_read(name: str, tmp_path: Path) -> None:
    """A read of /proc/kmsg blocks until the kernel's next message, and removes the messages that it returns."""
    (tmp_path / "odd.md").symlink_to(NO_FILES[name])
    found: list[AgentStore] = []
    _in_time(lambda: found.append(AgentStore(tmp_path)))
    assert found[0].entries["odd"].error is not None


def test_an_agents_file_has_a_limit(tmp_path: Path) -> None:
    """CWE-770. Regression: 300 MB were read."""
    (tmp_path / "large.md").write_bytes(b"x" * (FILE_LIMIT + 1))
    (tmp_path / "whole.md").write_bytes(b"x" * FILE_LIMIT)
    with (tmp_path / "sparse.md").open("wb") as file:
        file.truncate(1 << 40)
    entries = AgentStore(tmp_path).entries
    for name in ("large", "sparse"):
        assert (entries[name].error or "").endswith(f"{name}.md: is larger than 1 MiB")
    assert entries["whole"].agent is not None


def test_front_matter_has_a_limit() -> None:
    text = "---\nname: " + "a" * FRONT_MATTER_LIMIT + "\n---\n"
    with pytest.raises(ConfigError, match=r"a\.md:1: the front matter is longer than 64 KiB"):
        parse("a", text, Path("a.md"))


def test_aura_toml_has_limits(tmp_path: Path) -> None:
    path = tmp_path / "aura.toml"
    path.write_bytes(b"#" * (FILE_LIMIT + 1))
    with pytest.raises(ConfigError, match=r"aura\.toml: is larger than 1 MiB"):
        settings.load({}, {}, path)
    path.write_text("\n" + "a." * 100_000 + "b = 1\n")
    with pytest.raises(ConfigError, match=r"aura\.toml:2: more than 200 dots stand in one line"):
        settings.load({}, {}, path)


def test_a_file_that_grows_while_it_is_read_keeps_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.md"
    path.write_bytes(b"x")
    before = os.fstat

    def grown(descriptor: int) -> os.stat_result:
        status = before(descriptor)
        with path.open("ab") as file:
            file.write(b"x" * 2 * FILE_LIMIT)
        return status

    monkeypatch.setattr(os, "fstat", grown)
    with pytest.raises(ConfigError, match="is larger than 1 MiB"):
        read_file(path)


def test_a_file_that_has_not_changed_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aura_core.files.JUST_WRITTEN", -1)
    for name in ("a", "b"):
        (tmp_path / f"{name}.md").write_text(f"You are {name}.")
    store = AgentStore(tmp_path)
    before, version = dict(store.entries), store.version
    assert store.reload() == []
    assert (store.entries["a"], store.version) == (before["a"], version)
    assert store.entries["a"] is before["a"]
    (tmp_path / "b.md").write_text("You are c.")
    assert store.reload() == ["b: prompt changed"]
    assert store.entries["a"] is before["a"]
    assert store.version != version


def test_a_file_that_was_just_written_is_read_again(tmp_path: Path) -> None:
    """An edit of the same length within one tick of the file system's clock does not change the result of `stat`."""
    path = tmp_path / "a.md"
    path.write_text("You are a.")
    store = AgentStore(tmp_path)
    status = path.stat()
    path.write_text("You are b.")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert store.reload() == ["a: prompt changed"]


@pytest.mark.parametrize("text", [*TEXTS, "---\na: {b: [1, x, .5, 0x1, ~, true, on, 1:2]}\n'c': \"\\u00e9\"\n---\n"])
def test_libyaml_and_the_parser_in_python_say_the_same(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def read() -> object:
        try:
            return parse("a", text, Path("a.md"))
        except ConfigError as exc:
            return str(exc)

    assert hasattr(yaml, "CSafeLoader")
    fast = read()
    monkeypatch.setattr(front_matter, "FAST_YAML", -1)
    assert fast == read()
