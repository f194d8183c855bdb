"""The upstream of every benchmark, on bare uvloop: a server that paces tokens, and a relay that only copies bytes.

A model's name says what is asked: `200x50` is 200 tokens at 50 a second, each with the time of its sending; `200x0` is
as fast as possible, a write for each token; `200x0bulk` the same with many tokens in each write; `1x0silent` waits
without a word. `GET /seen` tells how many streams were asked for, how many go on, and when clients hung up.
`GET /forget` drops all of them.
"""

import argparse
import asyncio
import json
import re
import time
from functools import cache, lru_cache
from typing import Any, NamedTuple

import uvloop

ASKED = re.compile(rb'"model": ?"(?:[a-z:/_-]*)(\d+)x(\d+)(bulk|silent)?"')
BULK = 65536  # bytes of one write


def _head(content_type: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % content_type


class Dialect(NamedTuple):
    """A provider's protocol: the response's head, what precedes the tokens, a token (`%b` is its text), the end."""

    head: bytes
    start: bytes
    token: bytes
    end: bytes


OLLAMA = Dialect(
    _head(b"application/x-ndjson"),
    b"",
    b'{"model":"m","created_at":"2026-11-22T15:03:35.224312292Z","message":{"role":"assistant","content":"%b "}'
    b',"done":false}\n',
    b'{"model":"m","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop",'
    b'"prompt_eval_count":5,"eval_count":5}\n',
)
OPENAI = Dialect(
    _head(b"text/event-stream"),
    b"",
    b'data: {"id":"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT","object":"chat.completion.chunk","created":1741569952,'
    b'"model":"gpt-4.1","service_tier":"default","system_fingerprint":"fp_34a54ae93c","choices":[{"index":0,'
    b'"delta":{"content":"%b "},"logprobs":null,"finish_reason":null}]}\n\n',
    b'data: {"id":"chatcmpl-B","object":"chat.completion.chunk","created":1741569952,"model":"gpt-4.1","choices":'
    b'[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    b'data: {"id":"chatcmpl-B","object":"chat.completion.chunk","created":1741569952,"model":"gpt-4.1","choices":[],'
    b'"usage":{"prompt_tokens":5,"completion_tokens":5,"total_tokens":10}}\n\ndata: [DONE]\n\n',
)
ANTHROPIC = Dialect(
    _head(b"text/event-stream; charset=utf-8"),
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_01","type":"message","role":'
    b'"assistant","model":"claude-sonnet-5-5","content":[],"stop_reason":null,"stop_sequence":null,"usage":'
    b'{"input_tokens":5,"output_tokens":1}}}\n\nevent: content_block_start\ndata: {"type":"content_block_start",'
    b'"index":0,"content_block":{"type":"text","text":""}}\n\n',
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta",'
    b'"text":"%b "}}\n\n',
    b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\nevent: message_delta\ndata: '
    b'{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":5}}'
    b'\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n',
)


def dialect(path: bytes) -> Dialect:
    """The protocol that is spoken at an address."""
    return OLLAMA if b"/api/chat" in path else ANTHROPIC if b"/messages" in path else OPENAI


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@lru_cache(10_000)
def encoded(spoken: Dialect, number: int) -> bytes:
    """A token's bytes, cached."""
    return _chunk(spoken.token % (b"%d" % number))


@cache
def bulk(spoken: Dialect, count: int) -> list[bytes]:
    """All tokens, cut into large writes."""
    whole = b"".join(encoded(spoken, number) for number in range(count))
    return [whole[at : at + BULK] for at in range(0, len(whole), BULK)]


class Upstream(asyncio.Protocol):
    """Answers each request with the tokens that its model's name specifies."""

    asked = 0
    going: "set[Upstream]" = set()
    hangups: list[float] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.buffer = b""
        self.timer: asyncio.TimerHandle | None = None
        self.room = asyncio.Event()
        self.room.set()

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self.going:
            self.going.remove(self)
            self.hangups.append(time.monotonic())
        self.room.set()
        if self.timer is not None:
            self.timer.cancel()

    def pause_writing(self) -> None:
        self.room.clear()

    def resume_writing(self) -> None:
        self.room.set()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, separator, body = self.buffer.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if not separator or len(body) < int(length[1] if length else 0):
            return
        self.buffer = b""
        if asked := ASKED.search(body):
            Upstream.asked += 1
            self.going.add(self)
            self.spoken = dialect(head.partition(b"\r\n")[0])
            self.answer(int(asked[1]), int(asked[2]), asked[3])
        else:
            self.tell(head)

    def tell(self, head: bytes) -> None:
        """Answer a request that is not for a model."""
        if head.startswith(b"GET /forget"):
            for each in list(self.going):
                each.transport.abort()
            self.going.clear()
            self.hangups.clear()
            Upstream.asked = 0
        seen = {"asked": self.asked, "going": len(self.going), "hangups": self.hangups, "models": [], "data": []}
        said = json.dumps(seen).encode()
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(said), said))

    def answer(self, count: int, rate: int, how: bytes | None) -> None:
        """Start the stream."""
        if how == b"silent":
            return
        self.transport.write(self.spoken.head + (_chunk(self.spoken.start) if self.spoken.start else b""))
        if rate:
            self.count, self.begin, self.period = count, asyncio.get_running_loop().time(), 1 / rate
            self.paced(0)
        else:
            self.task = asyncio.ensure_future(self.bulk(count) if how else self.burst(count))

    def finish(self) -> None:
        """Write the end."""
        self.going.discard(self)
        self.transport.write(_chunk(self.spoken.end) + b"0\r\n\r\n")

    def paced(self, number: int) -> None:
        """Write one token, and schedule the next."""
        if number == self.count:
            self.finish()
            return
        said = b"%d@%d" % (number, time.monotonic_ns() // 1000)
        self.transport.write(_chunk(self.spoken.token % said))
        self.timer = asyncio.get_running_loop().call_at(self.begin + (number + 1) * self.period, self.paced, number + 1)

    async def burst(self, count: int) -> None:
        """Write all tokens, each with a separate write."""
        for number in range(count):
            await self.room.wait()
            if self.transport.is_closing():
                return
            self.transport.write(encoded(self.spoken, number))
            await asyncio.sleep(0)
        self.finish()

    async def bulk(self, count: int) -> None:
        """Write all tokens, many in each write, so that the upstream costs almost nothing."""
        for part in bulk(self.spoken, count):
            await self.room.wait()
            if self.transport.is_closing():
                return
            self.transport.write(part)
            await asyncio.sleep(0)
        self.finish()


class Relay(asyncio.Protocol):
    """The client's side of the bare relay: every byte is copied without inspection."""

    upstream: tuple[str, int]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.other: Any = None
        self.waiting = b""
        self.task = asyncio.ensure_future(self.connect())

    async def connect(self) -> None:
        """Connect to the upstream."""
        loop = asyncio.get_running_loop()
        self.other, _ = await loop.create_connection(lambda: _Back(self.transport), *self.upstream)
        if self.transport.is_closing():
            self.other.close()
        else:
            self.other.write(self.waiting)

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self.waiting += data
        else:
            self.other.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None:
            self.other.close()

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None:
            self.other.resume_reading()


class _Back(asyncio.Protocol):
    def __init__(self, transport: Any) -> None:
        self.front = transport

    def data_received(self, data: bytes) -> None:
        self.front.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.front.close()


async def _listen(protocol: type[asyncio.Protocol]) -> None:
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    """`raw.py upstream`, `raw.py relay PORT`; each prints the port that it listens on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["upstream", "relay"])
    parser.add_argument("upstream", nargs="?", type=int)
    arguments = parser.parse_args()
    Relay.upstream = ("127.0.0.1", arguments.upstream or 0)
    uvloop.run(_listen(Upstream if arguments.part == "upstream" else Relay))


if __name__ == "__main__":
    main()
