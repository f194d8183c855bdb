"""Whether a server is back at rest: no answer, no task and no file descriptor more than before."""

import asyncio
import time
from pathlib import Path
from typing import Any

from aura_core.testing.server import AuraServer

_FDS = Path("/proc/self/fd")


class LeakCheck:
    """What a server in this process holds now. `check` fails unless it soon holds no more than that."""

    def __init__(self, aura: AuraServer) -> None:
        self._aura = aura
        self._tasks = self._tasks_now()
        self._fds = _fds_now()

    def check(self, timeout: float = 60) -> None:
        """Wait until nothing more than before is held. Raises AssertionError that names what still is."""
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
    return len(list(_FDS.iterdir())) if _FDS.exists() else 0
