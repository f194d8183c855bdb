"""Frames on their way from a plugin to one client: a bounded buffer, and the way out of it into a connection."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from aura_core.limits import BUFFERED_FRAMES, BUFFERED_SIZE


class Sink(Protocol):
    """A connection that takes frames as they come."""

    def write(self, frames: list[bytes]) -> bool:
        """Write them as one piece. Returns whether there is room for more."""
        ...

    async def drain(self) -> None:
        """Wait until there is room."""
        ...

    def unsent(self) -> int:
        """Bytes that were written and that the client has not taken yet; 0 where that is not known."""
        ...


class FrameBuffer:
    """One task puts frames in; another takes them out, or pipes them to a connection.

    `sent_at` (in the loop's seconds) and `writing` say since when the client has been busy with what it was given.
    """

    def __init__(self, size: Callable[[Any], int]) -> None:
        """`size` measures a frame."""
        self._loop = asyncio.get_running_loop()
        self.sent_at = self._loop.time()
        self.writing = False
        self.ended = False
        self._measure = size
        self._frames: list[Any] = []
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._sink: Sink | None = None
        self._flushing = False
        self._unsent = 0

    @property
    def drained(self) -> bool:
        """Whether everything, the last frame included, has been taken."""
        return self.ended and not self._frames

    @property
    def waited_for(self) -> bool:
        """Whether the client has everything, and waits for more."""
        return self._waiter is not None

    @property
    def full(self) -> bool:
        """Whether somebody waits for room."""
        return self._room is not None

    def progressed(self) -> bool:
        """Whether the client has taken some of what is being written since it was last asked; then it has new time."""
        before, self._unsent = self._unsent, self._sink.unsent() if self._sink is not None else 0
        if self._unsent >= before:
            return False
        self.sent_at = self._loop.time()
        return True

    def put(self, frame: Any) -> bool:
        """Hand over a frame. Returns whether there is room for more; where there is not, `wait_for_room`."""
        self._frames.append(frame)
        self._size += self._measure(frame)
        if self._sink is None:
            self._wake()
        elif not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)
        return len(self._frames) < BUFFERED_FRAMES and self._size < BUFFERED_SIZE

    async def wait_for_room(self) -> None:
        """Wait until everything has been taken."""
        self._room = self._loop.create_future()
        try:
            await self._room
        finally:
            self._room = None

    def end(self, frame: Any) -> None:
        """Hand over the last frame."""
        self._frames.append(frame)
        self.ended = True
        self._wake()

    def close(self) -> None:
        """Drop what nobody will take."""
        self.ended = True
        self._frames.clear()
        self._wake()

    async def take(self) -> list[Any]:
        """All that is ready, at least one frame; waits until there is something. Empty once it is `drained`."""
        self.writing = False
        self.sent_at = self._loop.time()
        if not self._frames:
            if self.ended:
                return []
            await self._wait()
        batch = self._take()
        self.writing = True
        return batch

    async def pipe(self, sink: Sink) -> list[Any]:
        """Write all that comes, as it comes. Returns the last frames, which are left to the caller to write; none where
        it was closed. As `take` in a loop, but no task wakes for a frame: a callback of the loop writes what is ready.
        """
        self._sink = sink
        while not self.ended:
            self._flush()
            if self.writing:
                await sink.drain()
                self.writing = False
            else:
                await self._wait()
        return await self.take()

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _take(self) -> list[Any]:
        batch, self._frames, self._size = self._frames, [], 0
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self.sent_at = self._loop.time()
        return batch

    def _flush(self) -> None:
        """Give the sink what is ready. What is ready at the end is left to `pipe`."""
        self._flushing = False
        if self._frames and not self.writing and not self.ended and self._sink is not None:
            self.writing = not self._sink.write(self._take())
            if self.writing:
                self._unsent = self._sink.unsent()
                self._wake()
