"""Frames on their way from a plugin to one client: a bounded buffer, and the way out of it into a connection."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from aura_core.budget import FULL, Budget, Share
from aura_core.errors import ProviderError
from aura_core.limits import ANSWER_RESERVE, BUFFER_STEP, BUFFERED_FRAMES, BUFFERED_SIZE, GENEROUS_PART


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

    Frames count from `put` until the connection has taken them. Half of `ANSWER_RESERVE` is always there for them; the
    other half is for the one frame that may be put when the first is nearly full. More, up to `BUFFERED_SIZE`, is taken
    from the share while the process holds little, so that clients that do not read leave room for others.
    """

    def __init__(self, size: Callable[[Any], int], share: Share | None = None) -> None:
        """`size` measures a frame. `share` already holds `ANSWER_RESERVE` bytes for this buffer; without a share, the
        buffers have no common limit."""
        self._loop = asyncio.get_running_loop()
        self.sent_at = self._loop.time()
        self.writing = False
        self.ended = False
        self._measure = size
        self._share = share or Share(Budget())
        self._frames: list[Any] = []
        self._size = 0  # of all that is here: the frames, and what a connection has not taken yet
        self._in_flight = 0  # of this, what was taken, and may not be sent yet
        self._bound = ANSWER_RESERVE // 2  # the size at which the buffer is full
        self._counted = ANSWER_RESERVE  # bytes that the share holds for this buffer
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
        return self._waiter is not None and not self._waiter.done()

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
        return len(self._frames) < BUFFERED_FRAMES and self._size < self._bound

    async def wait_for_room(self) -> None:
        """Wait until there is room. Raises ProviderError where the last frame is too large for what the process may
        hold; it is dropped then."""
        self._count_last()
        if self._extend():
            return
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
        self._sent()
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
                self._sent()
            else:
                await self._wait()
        return await self.take()

    def _wait(self) -> asyncio.Future[None]:
        self._waiter = self._loop.create_future()
        return self._waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _take(self) -> list[Any]:
        batch, self._frames, self._in_flight = self._frames, [], self._size
        self.sent_at = self._loop.time()
        return batch

    def _sent(self) -> None:
        """What was taken is no longer here."""
        self.writing = False
        self._size -= self._in_flight
        self._in_flight = 0
        if self._counted > ANSWER_RESERVE and self._size < ANSWER_RESERVE // 2:
            self._share.shrink(self._counted - ANSWER_RESERVE)
            self._counted, self._bound = ANSWER_RESERVE, ANSWER_RESERVE // 2
        if self._room is not None and not self._room.done() and self._has_room():
            self._room.set_result(None)

    def _has_room(self) -> bool:
        return len(self._frames) < BUFFERED_FRAMES and self._size < self._bound

    def _count_last(self) -> None:
        """Count a frame that is larger than what is left of the reserve."""
        if self._size <= self._counted:
            return
        if self._share.grow(self._size - self._counted):
            self._counted = self._size
            return
        self._size -= self._measure(self._frames.pop())
        raise ProviderError(FULL, "unavailable")

    def _extend(self) -> bool:
        """Take more room, if the process holds little. Returns whether there is room then."""
        budget = self._share.budget
        while self._bound <= self._size < BUFFERED_SIZE and budget.held < budget.limit * GENEROUS_PART:
            step = min(BUFFER_STEP, BUFFERED_SIZE - self._bound)
            if not self._share.grow(step):
                break
            self._counted += step
            self._bound += step
        return self._has_room()

    def _flush(self) -> None:
        """Give the sink what is ready. What is ready at the end is left to `pipe`."""
        self._flushing = False
        if self._frames and not self.writing and not self.ended and self._sink is not None:
            if self._sink.write(self._take()):
                self._sent()
            else:
                self.writing = True
                self._unsent = self._sink.unsent()
                self._wake()
