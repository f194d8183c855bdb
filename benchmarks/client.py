"""The client of every benchmark, on bare uvloop: many simultaneous streams, with a check of every token.

The first line on stdin says as JSON what to do, the last line on stdout what came of it. `open` is printed when every
stream has its first token; with the ways `leave` and `stall`, a second line on stdin ends the streams.
"""

import asyncio
import json
import re
import socket
import statistics
import struct
import sys
import time
from typing import Any
from urllib.parse import urlsplit

import uvloop

CONTENT = re.compile(rb'"content": ?"(\d+)(?:@(\d+))? "')
LAST = b"\r\n0\r\n\r\n"
RESET = struct.pack("ii", 1, 0)


class Stream(asyncio.Protocol):
    """One stream; checks that every token comes once and in order."""

    def __init__(self, request: bytes, count: int) -> None:
        self.request, self.count = request, count
        self.seen = 0
        self.rest = self.raw = self.headed = b""
        self.left, self.ended = 0, False
        self.sent_at = self.first_at = 0.0
        self.delays: list[int] = []  # microseconds since the upstream wrote each token, if the token has a timestamp
        loop = asyncio.get_running_loop()
        self.begun: asyncio.Future[None] = loop.create_future()
        self.over: asyncio.Future[str] = loop.create_future()  # what is wrong, or nothing

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.sent_at = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns() // 1000
        data = self.rest + self.body(data)
        end = 0
        for match in CONTENT.finditer(data):
            number, sent = match.groups()
            if int(number) != self.seen:
                self.close(f"token {number!r} came in place of {self.seen}")
                return
            if sent:
                self.delays.append(now - int(sent))
            self.seen += 1
            end = match.end()
        if self.seen and not self.first_at:
            self.first_at = time.perf_counter()
            if not self.begun.done():
                self.begun.set_result(None)
        self.rest = data[max(end, len(data) - 64) :]
        if self.ended or b"[DONE]" in data:
            self.close("" if self.seen == self.count else f"{self.seen} tokens of {self.count}: {data[-200:]!r}")

    def body(self, data: bytes) -> bytes:
        """The part of a read that belongs to the body, without the head and the chunk framing."""
        self.raw += data
        if not self.headed:
            head, self.headed, rest = self.raw.partition(b"\r\n\r\n")
            if not self.headed:
                return b""
            self.raw = rest
            if b" 200 " not in head.partition(b"\r\n")[0]:
                self.close(f"{head[:100]!r} {rest[:200]!r}")
        parts = []
        at = 0
        while at < len(self.raw) and not self.ended:
            if self.left == 0:
                line = self.raw.find(b"\r\n", at)
                if line < 0:
                    break
                self.left, at = int(self.raw[at:line], 16) + 2, line + 2
                self.ended = self.left == 2
            piece = self.raw[at : at + self.left]
            at += len(piece)
            self.left -= len(piece)
            parts.append(piece[: len(piece) - (2 - self.left)] if self.left < 2 else piece)
        self.raw = self.raw[at:]
        return b"".join(parts)

    def close(self, why: str) -> None:
        """The stream has ended, with success or not."""
        if not self.over.done():
            self.over.set_result(why)
        if not self.begun.done():
            self.begun.set_result(None)
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.close(f"lost after {self.seen} tokens of {self.count}")

    def hang_up(self, reset: bool) -> float:
        """Close the connection, normally or with a reset. Returns the time."""
        if reset:
            sock: socket.socket = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        left = time.monotonic()
        self.transport.abort()
        return left

    def check(self) -> None:
        """Check data that was only stored."""


class Bulk(Stream):
    """A stream that is stored, and checked after the clock has stopped."""

    def __init__(self, request: bytes, count: int) -> None:
        super().__init__(request, count)
        self.parts: list[bytes] = []
        self.tail = b""

    def data_received(self, data: bytes) -> None:
        self.first_at = self.first_at or time.perf_counter()
        self.parts.append(data)
        self.tail = (self.tail + data)[-len(LAST) :] if len(data) < len(LAST) else data[-len(LAST) :]
        if self.tail == LAST:
            self.close("")

    def check(self) -> None:
        if self.over.result():
            return
        self.over = asyncio.get_running_loop().create_future()
        super().data_received(b"".join(self.parts))
        if not self.over.done():
            self.close(f"{self.seen} tokens of {self.count}, and no end")


class Stalled(Stream):
    """A stream that sends a request and never reads."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.transport.pause_reading()
        self.begun.set_result(None)


async def run(work: dict[str, Any]) -> dict[str, Any]:
    """Carry out the command of the line."""
    parts, way, streams = urlsplit(work["url"]), work["way"], work["streams"]
    body = work["body"].encode()
    lines = [f"POST {parts.path} HTTP/1.1", f"Host: {parts.netloc}", "Content-Type: application/json"]
    request = ("\r\n".join([*lines, f"Content-Length: {len(body)}"]) + "\r\n\r\n").encode() + body
    loop = asyncio.get_running_loop()
    kind = {"bulk": Bulk, "stall": Stalled}.get(way, Stream)
    begin = time.perf_counter()

    async def connect(number: int) -> Stream:
        if work["spread"]:
            await asyncio.sleep(work["spread"] * number / streams)
        made = await loop.create_connection(lambda: kind(request, work["count"]), parts.hostname, parts.port)
        return made[1]

    protocols = await asyncio.gather(*map(connect, range(streams)))

    async def tell() -> None:
        await asyncio.gather(*(protocol.begun for protocol in protocols))
        print("open", flush=True)

    telling = asyncio.create_task(tell())
    if way in ("leave", "stall"):
        await loop.run_in_executor(None, sys.stdin.readline)
        telling.cancel()
        faults = [p.over.result() for p in protocols if p.over.done()]
        answer: dict[str, Any] = {"left": [p.hang_up(number % 2 == 1) for number, p in enumerate(protocols)]}
        await asyncio.sleep(0.1)  # to end takes a core for milliseconds, while the hang-ups are on their way
    else:
        await asyncio.gather(*(protocol.over for protocol in protocols))
        answer = {"elapsed": time.perf_counter() - begin}
        for protocol in protocols:
            protocol.check()
        faults = [protocol.over.result() for protocol in protocols]
        answer |= figures(protocols)
    if wrong := list(filter(None, faults)):
        return {"failed": f"{len(wrong)} of {streams} streams: {wrong[0]}"}
    return answer


def figures(protocols: list[Stream]) -> dict[str, float]:
    """Milliseconds to the first tokens, and between upstream and client."""
    first = [(protocol.first_at - protocol.sent_at) * 1000 for protocol in protocols]
    found = {"first_p50": statistics.median(first), "first_max": max(first)}
    delays = sorted(delay / 1000 for protocol in protocols for delay in protocol.delays[1:])  # the first is above
    if delays:
        found |= {"delay_p50": delays[len(delays) // 2], "delay_p99": delays[len(delays) * 99 // 100]}
    return found


if __name__ == "__main__":
    print(json.dumps(uvloop.run(run(json.loads(sys.stdin.readline())))), flush=True)
