"""Tell the routes of clients that leave, a few in each round of the event loop."""

import asyncio
from collections import deque
from collections.abc import Callable

from aura_core.limits import DEPARTURES, UNCLOSED

Rest = Callable[[], object]
Leave = Callable[[], Rest | None]
"""Does what is urgent when a client has left. Returns what may wait while more clients leave."""


class Departures:
    """The callbacks of all connections of a server. When a proxy or a network in front of it fails, a thousand clients
    leave at once: to close what belongs to all of them would block the loop, and with it all other answers."""

    def __init__(self) -> None:
        self._waiting = deque[Leave]()
        self._rests = deque[Rest]()
        self._room = DEPARTURES  # how many more may be told in this round
        self._awake = False  # whether there is a next round

    def tell(self, leave: Leave) -> None:
        """Call it at once, or in one of the next rounds."""
        self._wake()
        if not self._room:
            self._waiting.append(leave)
            return
        self._room -= 1
        rest = leave()
        if rest is not None:
            self._rests.append(rest)

    def _wake(self) -> None:
        if not self._awake:
            self._awake = True
            asyncio.get_running_loop().call_soon(self._next_round)

    def _next_round(self) -> None:
        quiet = self._room == DEPARTURES  # nobody has left since the last round
        self._room, self._awake = DEPARTURES, False
        if self._waiting or self._rests:
            self._wake()  # now, since a callback may raise
        for _ in range(min(DEPARTURES, len(self._waiting))):
            self.tell(self._waiting.popleft())
        if quiet or len(self._rests) > UNCLOSED:
            for _ in range(min(DEPARTURES, len(self._rests))):
                self._rests.popleft()()
