"""Time limits that do not count a suspension of this process (SIGSTOP, a suspended laptop, a busy core).

After a suspension a timer may fire before the data that arrived in the meantime is read. A timer that fires late
therefore waits `SECOND_LOOK` seconds more, in which the loop reads its sockets.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aura_core.limits import SECOND_LOOK, TIMER_LATE


def fired_late(due: float, now: float) -> bool:
    """Whether a timer with this due time (in the loop's seconds) fires so late that this process was suspended."""
    return now > due + TIMER_LATE


@asynccontextmanager
async def timeout(seconds: float) -> AsyncIterator[None]:
    """Like asyncio.timeout: raises TimeoutError if the block takes longer."""
    loop = asyncio.get_running_loop()
    due = loop.time() + seconds
    async with asyncio.timeout(None) as scope:

        def pass_() -> None:
            now = loop.time()
            scope.reschedule(now + SECOND_LOOK if fired_late(due, now) else now)

        timer = loop.call_at(due, pass_)
        try:
            yield
        finally:
            timer.cancel()
