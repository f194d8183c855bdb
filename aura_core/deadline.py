"""Limits in time that do not blame others for a standstill of this process (SIGSTOP, a suspended laptop, a busy core).

After a standstill a timer may fire before what has come meanwhile is read. A timer that fires late is therefore given
`SECOND_LOOK` seconds more, in which the loop reads its sockets.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aura_core.limits import SECOND_LOOK, TIMER_LATE


def fired_late(due: float, now: float) -> bool:
    """Whether a timer that was due then (in the loop's seconds) fires so late that this process stood still."""
    return now > due + TIMER_LATE


@asynccontextmanager
async def timeout(seconds: float) -> AsyncIterator[None]:
    """As asyncio.timeout: raises TimeoutError when the block takes longer."""
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
