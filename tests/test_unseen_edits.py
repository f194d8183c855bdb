"""Edits of which the system tells nobody: of files behind links, on network drives, and where no watch is left."""

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from aura_process import Process
from without_events import __file__ as without_events

from aura_core.testing import AuraServer

PROGRAMS = {
    "refused": (without_events, "refused"),
    "silent": (without_events, "silent"),
    "events": ("-m", "aura_core"),
}


def agent(name: str) -> str:
    return f"---\nname: {name}\nprovider: echo\n---\n"


class Names:
    """The names of a server's agents by id, waited for; `slowest` is the longest wait, in seconds."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.slowest = 0.0

    def __call__(self) -> dict[str, str]:
        listed = httpx.get(f"{self.url}/api/agents", trust_env=False, timeout=30).json()["agents"]
        return {agent["id"]: agent["name"] + (f" ({agent['error']})" if agent["error"] else "") for agent in listed}

    def wait(self, expected: dict[str, str]) -> None:
        begin = time.monotonic()
        while (found := self()) != expected:
            assert time.monotonic() - begin < 60, (found, expected)
            time.sleep(0.02)
        self.slowest = max(self.slowest, time.monotonic() - begin)


def _until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def every_kind_of_edit(folder: Path, outside: Path, names: Names, log: Callable[[], str]) -> None:
    """Edit the agents of a folder in each way, and see each edit; `outside` is where links lead."""
    file, link = folder / "a.md", folder / "c.md"
    file.write_text(agent("one"))
    names.wait({"a": "one"})
    file.write_text(agent("two"))  # of the same length
    names.wait({"a": "two"})
    status = file.stat()
    (folder / "new").write_text(agent("six"))  # of the same length and time, as `rsync -t` makes it
    os.utime(folder / "new", ns=(status.st_atime_ns, status.st_mtime_ns))
    (folder / "new").rename(file)
    names.wait({"a": "six"})
    file.rename(folder / "b.md")
    names.wait({"b": "six"})
    for number in ("1", "2"):
        (outside / number).write_text(agent(f"behind {number}"))
    link.symlink_to(outside / "1")
    names.wait({"b": "six", "c": "behind 1"})
    (outside / "1").write_text(agent("behind it"))
    names.wait({"b": "six", "c": "behind it"})
    (folder / "new").symlink_to(outside / "2")
    (folder / "new").rename(link)
    names.wait({"b": "six", "c": "behind 2"})
    (outside / "2").unlink()
    names.wait({"b": "six", "c": "behind 2 (agents/c.md: is a link to a file that is not there)"})
    link.unlink()
    names.wait({"b": "six"})
    away = folder.with_name("away")
    folder.rename(away)
    (away / "d.md").write_text(agent("late"))
    _until(lambda: "there is no such folder; the agents stay as they were" in log(), "the folder is gone")
    assert names() == {"b": "six"}
    away.rename(folder)
    names.wait({"b": "six", "d": "late"})
    (folder / "d.md").unlink()
    names.wait({"b": "six"})


@pytest.mark.skipif(sys.platform != "linux", reason="inotify and seccomp are Linux's")
@pytest.mark.parametrize("kind", PROGRAMS)
def test_every_kind_of_edit_is_seen(kind: str, tmp_path: Path) -> None:
    for name in ("agents", "outside"):
        (tmp_path / name).mkdir()
    process = Process(tmp_path, command=[sys.executable, *PROGRAMS[kind]])
    try:
        names = Names(process.url)
        every_kind_of_edit(tmp_path / "agents", tmp_path / "outside", names, lambda: "".join(process.lines))
        (tmp_path / "aura.toml").write_text("[server]\nport = 1\n")
        _until(lambda: "restart to apply" in "".join(process.lines), "settings")
    finally:
        process.popen.kill()
        process.exit()
    print(f"{kind}: the slowest was seen after {names.slowest:.2f} s")
    log = "".join(process.lines)
    assert "Traceback" not in log
    assert log.count("file events are not available") == (kind == "refused")
    assert log.count("cause no events") == (kind == "silent")


def test_changes_that_no_agent_makes_do_not_put_off_a_look(tmp_path: Path) -> None:
    """A compiler that writes into the folder all the time."""
    for name in ("agents", "outside"):
        (tmp_path / name).mkdir()
    file = tmp_path / "outside" / "it"
    file.write_text(agent("one"))
    (tmp_path / "agents" / "a.md").symlink_to(file)
    stop = threading.Event()

    def write() -> None:
        while not stop.wait(0.01):
            (tmp_path / "agents" / "noise.pyc").write_bytes(os.urandom(8))

    noise = threading.Thread(target=write)
    with AuraServer(tmp_path) as aura:
        names = Names(aura.url)
        file.write_text(agent("two"))
        names.wait({"a": "two"})  # the watch has begun
        noise.start()
        try:
            time.sleep(0.5)
            file.write_text(agent("six"))
            names.wait({"a": "six"})
        finally:
            stop.set()
            noise.join()
