"""One request to our own server and its answer, as ASGI's `receive` and `send`."""

import asyncio
import logging
from functools import lru_cache
from typing import Any, Protocol

from litestar.types import ASGIApp, HTTPScope
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HEADER_RE, HEADER_VALUE_RE, STATUS_LINE

from aura_core.budget import Share
from aura_core.server.lazy_event import LazyEvent

log = logging.getLogger("uvicorn.error")

_FRAMING = {b"content-length", b"transfer-encoding", b"connection"}
_ERROR = b"Internal Server Error"
_ERROR_HEADERS = [
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"content-length", b"%d" % len(_ERROR)),
    (b"connection", b"close"),
]


class Connection(Protocol):
    """What a cycle uses of its connection."""

    flow: FlowControl
    transport: asyncio.Transport

    def write_soon(self, data: bytes) -> None: ...

    def close_after_answer(self) -> None: ...

    def on_response_complete(self) -> None: ...


class Cycle:
    """Stands in for uvicorn's `RequestResponseCycle`, with the same bytes and, but for bodies with HTTP/1.0, the same
    checks, for half of the CPU: uvicorn looks at each header with two patterns, and makes an event with a queue for
    each request.

    It gives the request's share back when the application has ended, however it ends.
    """

    __slots__ = (
        "_connection",
        "_default_headers",
        "_left",
        "_share",
        "body",
        "chunked_encoding",
        "disconnected",
        "keep_alive",
        "message_event",
        "more_body",
        "response_complete",
        "response_started",
        "scope",
        "waiting_for_100_continue",
    )

    def __init__(
        self,
        connection: Connection,
        scope: HTTPScope,
        share: Share,
        default_headers: list[tuple[bytes, bytes]],
        keep_alive: bool,
        waiting_for_100_continue: bool,
    ) -> None:
        self.scope = scope
        self.keep_alive = keep_alive
        self.waiting_for_100_continue = waiting_for_100_continue
        self.body = bytearray()
        self.more_body = True
        self.message_event = LazyEvent(False)
        self.disconnected = self.response_started = self.response_complete = False
        # With HTTP/1.0 chunks are not allowed (RFC 9112, 6.1): the answer ends when the connection closes.
        whole = scope["http_version"] < "1.1"
        self.chunked_encoding = False if whole else None
        self._left: int | None = None if whole else 0  # bytes of the body to come; None for any number
        self._connection: Connection | None = connection  # until the answer is complete or the connection lost
        self._share = share
        self._default_headers = default_headers

    def lose_connection(self) -> None:
        """The connection is lost; a reference to it would make a cycle, and keep it until garbage is collected."""
        self._connection = None

    async def run(self, app: ASGIApp) -> None:
        """Let the application answer."""
        try:
            await app(self.scope, self.receive, self.send)  # type: ignore[arg-type]  # Litestar's types of messages
            if self._connection is not None and not self.disconnected:
                state = "completing" if self.response_started else "starting"
                log.error("ASGI callable returned without %s response.", state)
                await self._fail()
        except BaseException as exc:
            log.error("Exception in ASGI application\n", exc_info=exc)
            await self._fail()
        finally:
            self._share.close()

    async def _fail(self) -> None:
        if not self.response_started:
            await self.send({"type": "http.response.start", "status": 500, "headers": _ERROR_HEADERS})
            await self.send({"type": "http.response.body", "body": _ERROR})
        elif self._connection is not None:
            self._connection.close_after_answer()

    async def receive(self) -> dict[str, Any]:
        """ASGI's `receive`."""
        connection = self._connection
        if connection is not None and not self.disconnected:
            if self.waiting_for_100_continue and not connection.transport.is_closing():
                connection.write_soon(b"HTTP/1.1 100 Continue\r\n\r\n")
                self.waiting_for_100_continue = False
            connection.flow.resume_reading()
            await self.message_event.wait()
            self.message_event.clear()
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        body, self.body = bytes(self.body), bytearray()
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def send(self, message: Any) -> None:
        """ASGI's `send`."""
        if self.response_complete:
            raise RuntimeError(f"Unexpected ASGI message {message['type']!r} sent, after response already completed.")
        connection = self._connection
        if connection is not None and connection.flow.write_paused and not self.disconnected:
            await connection.flow.drain()
        if connection is None or self.disconnected:
            return
        expected = "http.response.body" if self.response_started else "http.response.start"
        if message["type"] != expected:
            raise RuntimeError(f"Expected ASGI message {expected!r}, but got {message['type']!r}.")
        if not self.response_started:
            self.response_started = True
            self.waiting_for_100_continue = False
            connection.write_soon(
                self._head(message["status"], self._default_headers + list(message.get("headers", ())))
            )
            return
        more = message.get("more_body", False)
        self._write(connection, message.get("body", b""), more)
        if not more:
            if self._left:
                raise RuntimeError("Response content shorter than Content-Length")
            self.response_complete = True
            self._connection = None
            self.message_event.set()
            if not self.keep_alive:
                connection.close_after_answer()
            connection.on_response_complete()

    def _head(self, status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
        lines = [STATUS_LINE[status]]
        closes = False
        for name, value in headers:
            line, framing = _line(name, value)
            if framing:
                closes = self._note_framing(framing, value) or closes
            lines.append(line)
        if not self.keep_alive and not closes:
            lines.append(b"connection: close\r\n")
        if self.chunked_encoding is None and status not in (204, 304) and self.scope["method"] != "HEAD":
            self.chunked_encoding = True
            lines.append(b"transfer-encoding: chunked\r\n")
        lines.append(b"\r\n")
        return b"".join(lines)

    def _note_framing(self, name: bytes, value: bytes) -> bool:
        """Returns whether this header closes the connection."""
        if name == b"content-length":
            if self.chunked_encoding is None:
                self._left, self.chunked_encoding = int(value), False
        elif name == b"transfer-encoding":
            if value.lower() == b"chunked":
                self._left, self.chunked_encoding = 0, True
        elif b"close" in [token.strip().lower() for token in value.split(b",")]:
            self.keep_alive = False
            return True
        return False

    def _write(self, connection: Connection, body: bytes, more: bool) -> None:
        if self.scope["method"] == "HEAD":
            self._left = 0
        elif self.chunked_encoding:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            connection.write_soon(chunk if more else chunk + b"0\r\n\r\n")
        else:
            if self._left is not None:
                if len(body) > self._left:
                    raise RuntimeError("Response content longer than Content-Length")
                self._left -= len(body)
            connection.write_soon(body)


@lru_cache(maxsize=256)  # nearly all headers of an answer are those of the answer before
def _line(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """A header as it is written, and its name if it says how the answer ends. Raises RuntimeError."""
    if HEADER_RE.search(name):
        raise RuntimeError("Invalid HTTP header name.")
    if HEADER_VALUE_RE.search(value):
        raise RuntimeError("Invalid HTTP header value.")
    name = name.lower()
    return b"%b: %b\r\n" % (name, value), name if name in _FRAMING else b""
