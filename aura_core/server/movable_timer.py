"""One timer of a connection for the limits that follow each other on it: of a request, of idleness, of a refusal."""

import asyncio
from collections.abc import Callable

from aura_core.deadline import fired_late
from aura_core.limits import SECOND_LOOK


class MovableTimer:
    """A time limit that changes several times with each request.

    The loop's timer is moved only where the new limit is earlier; else it looks again when it fires. To make and cancel
    one for each limit takes a twentieth of a request. After a suspension of this process there is a second look, before
    which the loop reads what has come meanwhile.
    """

    __slots__ = ("_due", "_fires", "_handle", "_is_last_look", "_loop", "_then")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handle: asyncio.TimerHandle | None = None
        self._then: Callable[[], object] | None = None
        self._due = self._fires = 0.0  # in the loop's seconds
        self._is_last_look = False

    def set(self, seconds: float, then: Callable[[], object]) -> None:
        """Call `then` after that time, in place of the limit before."""
        due = self._loop.time() + seconds
        self._due, self._then, self._is_last_look = due, then, False
        if self._handle is None:
            self._arm(due)
        elif due < self._fires:
            self._handle.cancel()
            self._arm(due)

    def clear(self) -> None:
        """There is no limit now."""
        self._then = None

    def stop(self) -> None:
        """There will be no limit any more."""
        self._then = None
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _arm(self, when: float) -> None:
        self._fires = when
        self._handle = self._loop.call_at(when, self._look)

    def _look(self) -> None:
        self._handle = None
        if self._then is None:
            return
        now = self._loop.time()
        if self._is_last_look or (self._due <= now and not fired_late(self._due, now)):
            then, self._then = self._then, None
            then()
        elif now < self._due:
            self._arm(self._due)
        else:
            self._is_last_look = True
            self._arm(now + SECOND_LOOK)
