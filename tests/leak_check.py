"""Check that a server leaked nothing: no more answers, tasks and file descriptors than before."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from aura_core.testing.server import AuraServer

_FDS = Path("/proc/self/fd")


class LeakCheck:
    """The resources of a server in this process. `check` fails unless they soon return to this level."""

    def __init__(self, aura: AuraServer) -> None:
        self._aura = aura
        self._tasks = self._tasks_now()
        self._fds = _fds_now()

    def check(self, timeout: float = 30) -> None:
        """Wait until no more resources than before are in use. Raises AssertionError with those that still are."""
        end = time.monotonic() + timeout
        while (more := self._more()) and time.monotonic() < end:
            time.sleep(0.01)
        assert not more, f"after {timeout:g} s there is still: {more}"

    def _more(self) -> list[str]:
        more = [f"the answer of {bound.agent.id}" for _, bound in list(self._aura.runtime.relays.values())]
        more += [repr(task) for task in self._tasks_now() - self._tasks]
        fds = _fds_now()
        return [*more, f"{fds} descriptors, {self._fds} before"] if fds > self._fds else more

    def _tasks_now(self) -> set[asyncio.Task[Any]]:
        loop = self._aura.loop
        return asyncio.run_coroutine_threadsafe(_tasks(), loop).result(60)


async def _tasks() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {asyncio.current_task()}


def _fds_now() -> int:
    """Sockets, pipes and files. The kernel's own objects belong to the watch of files, which opens them when it can."""
    return sum(not _target(fd).startswith("anon_inode:") for fd in _FDS.iterdir()) if _FDS.exists() else 0


def _target(fd: Path) -> str:
    try:
        return os.readlink(fd)
    except FileNotFoundError:  # closed since it was listed, as the listing's own one
        return "anon_inode:"
