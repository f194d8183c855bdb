"""An event for connections, of which there are thousands: asyncio's has a queue of 760 bytes before anybody waits."""

import asyncio


class LazyEvent:
    """asyncio.Event, which it makes only for somebody who waits."""

    __slots__ = ("_event", "_is_set")

    def __init__(self, is_set: bool) -> None:
        self._is_set = is_set
        self._event: asyncio.Event | None = None

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        if self._event is not None:
            self._event.set()
            self._event = None

    def clear(self) -> None:
        self._is_set = False

    async def wait(self) -> bool:
        if not self._is_set:
            if self._event is None:
                self._event = asyncio.Event()
            await self._event.wait()
        return True
