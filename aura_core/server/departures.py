"""Tell the routes of clients that leave, a few in each round of the event loop."""

import asyncio
from collections import deque
from collections.abc import Callable

from aura_core.limits import DEPARTURES


class Departures:
    """The callbacks of all connections of a server. When a proxy or a network in front of it fails, a thousand clients
    leave at once: to close what belongs to all of them would block the loop, and with it all other answers."""

    def __init__(self) -> None:
        self._waiting = deque[Callable[[], object]]()
        self._room = DEPARTURES  # how many more may be told in this round

    def tell(self, callback: Callable[[], object]) -> None:
        """Call it at once, or in one of the next rounds."""
        if self._room == DEPARTURES:
            asyncio.get_running_loop().call_soon(self._next_round)
        if self._room:
            self._room -= 1
            callback()
        else:
            self._waiting.append(callback)

    def _next_round(self) -> None:
        self._room = DEPARTURES
        for _ in range(min(DEPARTURES, len(self._waiting))):
            self.tell(self._waiting.popleft())
