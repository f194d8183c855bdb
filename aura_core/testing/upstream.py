"""A provider's server for tests: it replays bytes with given write boundaries and endings, and sees hang-ups."""

import asyncio
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from http.client import parse_headers
from io import BytesIO
from itertools import pairwise
from typing import Any, Literal

import msgspec

Part = bytes | float | threading.Event
Ending = Literal["clean", "cut", "reset", "broken", "stall"]

WRITE_PAUSE = 0.002
"""Seconds between two writes, so that the reader gets them apart."""
WAIT = 30
"""Seconds to wait for events that take milliseconds on an idle machine."""


class Reply(msgspec.Struct, frozen=True):
    """One answer of the upstream.

    `parts` are written one by one: bytes in a write (and a chunk) of their own, a number is a pause in seconds, an
    event is waited for. `ending`: `clean`, `cut` (closed without the final chunk), `reset` (RST), `broken` (closed
    after bytes that are not a chunk), `stall` (sends nothing more until the client leaves). `head_delay` seconds pass
    before the status line; with `status` 0 none comes, and the connection ends. `repeat` sends the parts forever. The
    body is chunked, unless a content-length says where it ends; one that is not `chunked` ends with the connection.
    `unasked` parts follow a clean end as they are, without chunks; bytes at their beginning leave in one write with it.
    """

    parts: Sequence[Part] = ()
    status: int = 200
    headers: dict[str, str] = {}
    ending: Ending = "clean"
    head_delay: float = 0
    repeat: bool = False
    chunked: bool = True
    unasked: Sequence[Part] = ()


class Request(msgspec.Struct, frozen=True):
    """What a client asked."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(self.body)


def split_at(body: bytes, offsets: Iterable[int]) -> list[bytes]:
    """The body in pieces that end at these offsets."""
    cuts = [0, *sorted(offsets), len(body)]
    return [body[start:end] for start, end in pairwise(cuts) if start < end]


class Upstream:
    """A server on a loopback port, in a thread of its own; a context manager.

    Replies given with `queue` are used once, in their order; then that of the request's path, set with `on`; then
    `default`. `unasked` counts the replies whose unasked parts have all been written. `asked_at` and `wrote_at` are the
    times of the last request and the last write, as time.monotonic(); `written` counts the bytes of bodies.
    """

    def __init__(self, default: Reply | None = None) -> None:
        self.default = default or Reply(status=404)
        self.requests: list[Request] = []
        self.connections = 0
        self.unasked = 0
        self.open = 0
        self.hangups: list[float] = []
        self.asked_at = self.wrote_at = 0.0
        self.written = 0
        self._queued: deque[Reply] = deque()
        self._saying: set[asyncio.Task[None]] = set()
        self._by_path: dict[str, Reply] = {}
        self._changed = threading.Condition()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), name="upstream", daemon=True)

    def __enter__(self) -> "Upstream":
        self._thread.start()
        if not self._ready.wait(30):
            raise RuntimeError("the upstream did not start within 30 s")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(WAIT)

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self.port}"

    def queue(self, *replies: Reply) -> None:
        """Use these for the next requests, one each."""
        self._queued.extend(replies)

    def clear(self) -> None:
        """Forget the replies that were queued and not used."""
        self._queued.clear()

    def on(self, path: str, reply: Reply) -> None:
        """Use this for requests to a path (without its query)."""
        self._by_path[path] = reply

    def wait_requests(self, count: int = 1, timeout: float = WAIT) -> list[Request]:
        """Wait until that many requests have come."""
        self._wait(lambda: len(self.requests) >= count, timeout, f"{count} requests, {len(self.requests)} came")
        return self.requests

    def wait_hangup(self, count: int = 1, timeout: float = WAIT) -> float:
        """Wait until that many clients have hung up in the middle of a reply. Returns when, as time.monotonic()."""
        self._wait(lambda: len(self.hangups) >= count, timeout, f"{count} hang-ups, {len(self.hangups)} seen")
        return self.hangups[count - 1]

    def wait_closed(self, timeout: float = WAIT) -> None:
        """Wait until no connection is open."""
        self._wait(lambda: self.open == 0, timeout, f"no open connection, {self.open} are")

    def _wait(self, condition: Any, timeout: float, what: str) -> None:
        with self._changed:
            if not self._changed.wait_for(condition, timeout):
                raise AssertionError(f"waited {timeout} s for {what}")

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**24)
        self.port: int = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        sock: socket.socket = writer.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while (request := await _read(reader)) is not None:
                reply = self._next(request)
                self.asked_at = time.monotonic()
                self.requests.append(request)
                self._tell()
                if not await self._answer(reply, reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.open -= 1
            self._tell()
            writer.close()

    def _count(self, part: bytes) -> None:
        self.written += len(part)
        self.wrote_at = time.monotonic()

    async def _say(self, unasked: Sequence[Part], writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):  # the client may have closed the connection, and should
            for part in unasked[isinstance(unasked[0], bytes) :]:
                await _write_part(part, writer, chunked=False)
        self.unasked += 1
        self._tell()

    def _next(self, request: Request) -> Reply:
        if self._queued:
            return self._queued.popleft()
        return self._by_path.get(request.path.partition("?")[0], self.default)

    async def _answer(self, reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Write a reply while watching for the client's hang-up. Returns whether the connection goes on."""
        writing = asyncio.ensure_future(_write(reply, writer, self._count))
        gone = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait({writing, gone}, return_when=asyncio.FIRST_COMPLETED)
            whole = writing.done() and writing.exception() is None
            if not whole:
                self.hangups.append(time.monotonic())
                return False
        finally:
            gone.cancel()
            writing.cancel()
            await asyncio.gather(gone, writing, return_exceptions=True)
        if reply.ending == "reset":
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
        marked = reply.chunked or "content-length" in reply.headers
        if reply.ending != "clean" or not marked or reply.status == 0:
            return False
        if reply.unasked:
            saying = asyncio.ensure_future(self._say(reply.unasked, writer))
            self._saying.add(saying)
            saying.add_done_callback(self._saying.discard)
        return True


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, _, rest = head.partition(b"\r\n")
    method, path, _ = first.decode().split(" ", 2)
    headers = {name.lower(): value for name, value in parse_headers(BytesIO(rest)).items()}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, path, headers, body)


async def _write(reply: Reply, writer: asyncio.StreamWriter, count: Callable[[bytes], None]) -> None:
    await asyncio.sleep(reply.head_delay)
    if not reply.status:
        return
    headers = {"content-type": "application/octet-stream"} | {k.lower(): v for k, v in reply.headers.items()}
    chunked = reply.chunked and "content-length" not in headers  # with both, readers refuse the answer as no HTTP
    if chunked:
        headers["transfer-encoding"] = "chunked"
    elif "content-length" not in headers:
        headers["connection"] = "close"
    lines = [f"HTTP/1.1 {reply.status} Scripted", *(f"{name}: {value}" for name, value in headers.items())]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    await writer.drain()
    wrote = False
    behind = reply.unasked[0] if reply.unasked and isinstance(reply.unasked[0], bytes) else b""
    while True:
        for index, part in enumerate(reply.parts, 1):
            if wrote and isinstance(part, bytes):
                await asyncio.sleep(WRITE_PAUSE)
            await _write_part(part, writer, chunked, b"" if chunked or index < len(reply.parts) else behind)
            if isinstance(part, bytes):
                wrote = True
                count(part)
        if not reply.repeat:
            break
    if "content-length" not in headers or reply.ending != "clean":  # else the client has all, and may ask again now
        await asyncio.sleep(WRITE_PAUSE)
    if reply.ending == "stall":
        await asyncio.Event().wait()
    if reply.ending == "clean" and chunked:
        writer.write(b"0\r\n\r\n" + behind)
    if reply.ending == "broken":
        writer.write(b"ZZ\r\n")
    await writer.drain()


async def _write_part(part: Part, writer: asyncio.StreamWriter, chunked: bool, behind: bytes = b"") -> None:
    if part == b"":
        return  # as a chunk it would be the end
    if isinstance(part, bytes):
        writer.write(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part + behind)
        await writer.drain()
    elif isinstance(part, threading.Event):
        while not part.is_set():
            await asyncio.sleep(0.002)
    else:
        await asyncio.sleep(part)
