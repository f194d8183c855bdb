"""uvicorn's HTTP protocol, with limits on what a client may send, and a way to drop one that does not read."""

import asyncio
import logging
import math
import re
import secrets
import sys
import weakref
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from aura_core.budget import FULL, Budget, Share
from aura_core.deadline import fired_late
from aura_core.limits import HEADER_LIMIT, LARGE_PART, LINGER, LINGER_SIZE, REQUEST_TIMEOUT, SECOND_LOOK
from aura_core.problems import Problem
from aura_core.server.budgeted import SHARE
from aura_core.server.guard import NOT_KEPT, REQUEST_ID

log = logging.getLogger("aura.server")

CONNECTION = "aura_connection"
"""The key of the ASGI scope under which a weak reference to the connection stands, a `Protocol`.

Weak, as the connection holds the scope: both would stay, with all that they hold, until the garbage collector finds
them.
"""


class _AnyLength(int):
    """A content length that any body has; uvicorn counts what is written down from it."""

    def __lt__(self, _other: object) -> bool:
        return False

    def __sub__(self, _other: object) -> "_AnyLength":
        return self


class Protocol(HttpToolsProtocol):
    """What uvicorn (0.36 to 0.54, with httptools) lacks: a limit on headers (200 MB were accepted), one on the time
    that a request takes to come and one on the time that an answer waits to be read (both for ever), the body of a
    request that offers an upgrade (Java's client does), a way to see that a client which pipelines has left, and a count
    of what all connections hold: heads that are not complete, bodies as they come, and what is not read of an answer.

    One request at a time: what comes behind a request that is still being answered is thrown away, and the connection
    closes with the answer. RFC 9112, 9.3.2 lets a server do so, and no client that we know pipelines.
    """

    _unframed = 0  # bytes since the last byte of a body: request line, headers, trailers
    _in_head = False
    _deaf = False
    _lingering = False
    _unheard = 0  # bytes that came while it lingers
    _pieces: list[bytes] | None = None  # of a body, as far as they came together
    _plain_head: bytes | None = None  # that of a request that offers an upgrade, without the offer
    _timer: asyncio.TimerHandle | None = None
    _unread_timer: asyncio.TimerHandle | None = None
    _share: Share  # of the request whose body comes; the application closes it
    _held = 0  # bytes of the budget that no request's share holds

    def __init__(self, *args: Any, write_timeout: float = 0, budget: Budget | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._write_timeout = write_timeout
        self._budget = budget or Budget()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        # What the kernel does not take is paused at once: it waits in the answer's buffer, where it is counted.
        transport.set_write_buffer_limits(high=0)
        self._in_head = True
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._stop_unread_timer()
        self._hold(0)
        if self.cycle is not None:
            self.cycle.transport = self.transport  # what stands in for it holds us
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            self._unheard += len(data) if self._lingering else 0
            if self._unheard > LINGER_SIZE:
                self.transport.close()
            return
        if not self._answering and self._timer is None:
            self._start_timer()  # empty lines between two requests begin no message
        self._unframed += len(data)
        self._unset_keepalive_if_required()
        try:
            self._parse(data)
        except httptools.HttpParserError as exc:
            self.send_400_response(str(exc))
        if self._unframed > HEADER_LIMIT and not self._deaf:
            self._refuse("headers_too_large")
        if (self._in_head or self._held) and not self._deaf and not self._hold_own():
            self._refuse("too_many_streams")

    def _refuse_full(self) -> None:
        """Refuse the request that is being parsed, and parse no more of it."""
        self._refuse("too_many_streams")
        raise httptools.HttpParserError("too many streams")

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._held:
            self._hold_own()

    def _hold_own(self) -> bool:
        """Count the head that has begun, and what is not read of the last answer. Returns whether it fits."""
        unread = self.transport.get_write_buffer_size() if self.cycle is not None and not self._answering else 0
        return self._hold(unread + (self._unframed if self._in_head else 0))

    def _hold(self, size: int) -> bool:
        if size > self._held and not self._budget.take(size - self._held, LARGE_PART):
            return False
        if size < self._held:
            self._budget.give_back(self._held - size)
        self._held = size
        return True

    def _parse(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
            self._hand_over_body()
        except httptools.HttpParserUpgrade as upgrade:
            # httptools takes the body for the other protocol's bytes. We know no other: it is read as if nobody asked.
            head, self._plain_head = self._plain_head, None
            if head is not None:
                self._parse(head + data[upgrade.args[0] :])

    def on_message_begin(self) -> None:
        if self._answering:
            raise httptools.HttpParserError("pipelined")
        super().on_message_begin()
        if not self.transport.get_write_buffer_size():  # else it asks without reading, and its time runs on
            self._stop_unread_timer()
        self._in_head = True
        self._unframed = 0
        self._start_timer()
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        scope[CONNECTION] = weakref.ref(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # trailers come when the guard may have looked already: they are dropped (RFC 9110, 6.5.1)
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > HEADER_LIMIT:
            self._refuse("headers_too_large")
            raise httptools.HttpParserError("headers too large")
        self._check_framing()
        if not self.url.startswith(b"/"):
            self._check_authority()
        if self.parser.should_upgrade() and any(name == b"upgrade" for name, _ in self.headers):
            self._plain_head = self._without_upgrade()
            return
        share = self._share = Share(self._budget)
        self.scope[SHARE] = share  # type: ignore[typeddict-unknown-key]
        super().on_headers_complete()
        self._in_head, self._unframed = False, 0
        if not share.grow(size):
            self._refuse_full()
        if not self.parser.should_keep_alive():  # uvicorn itself asks only since 0.53
            self.cycle.keep_alive = False
        if self.scope["http_version"] < "1.1":
            # It may get no chunks (RFC 9112, 6.1): its answer ends with the connection.
            self.cycle.chunked_encoding = False
            self.cycle.expected_content_length = _AnyLength()
        if not self.cycle.keep_alive:  # then uvicorn closes as soon as it has answered
            self.cycle.transport = SimpleNamespace(  # type: ignore[assignment]  # all that a cycle uses of it
                write=self.transport.write, is_closing=self.transport.is_closing, close=self._leave
            )

    def _check_framing(self) -> None:
        """Refuse codings but `chunked`: llhttp takes `identity, chunked`, and a proxy in front may read it otherwise
        (CWE-444; RFC 9112, 6.1 wants 1.0 with any coding refused, too)."""
        codings = [value.strip().lower() for name, value in self.headers if name == b"transfer-encoding"]
        if codings and (codings != [b"chunked"] or self.parser.get_http_version() == "1.0"):
            raise httptools.HttpParserError("transfer-encoding")

    def _check_authority(self) -> None:
        """Refuse an address whose host is not that of the header Host, which is all that the guard looks at."""
        scheme, separator, rest = self.url.partition(b"://")
        if not separator:
            return
        authority = re.split(rb"[/?#]", rest, maxsplit=1)[0].lower()
        port = b":443" if scheme.lower() == b"https" else b":80"
        hosts = [value.strip().lower().removesuffix(port) for name, value in self.headers if name == b"host"]
        if hosts != [authority.removesuffix(port)]:
            raise httptools.HttpParserError("host")

    def on_body(self, body: bytes) -> None:
        self._unframed = 0
        if self._pieces is None:
            self._pieces = []
        self._pieces.append(body)

    def _hand_over_body(self) -> None:
        """Give uvicorn what came of a body, at once: it would copy all that is there for each chunk, which may be one
        byte."""
        pieces, self._pieces = self._pieces, None
        if not pieces or self._deaf:
            return
        body = b"".join(pieces)
        if self.cycle.response_complete or self._share.grow(len(body)):
            super().on_body(body)
        else:
            self._refuse_full()

    def _without_upgrade(self) -> bytes:
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def on_message_complete(self) -> None:
        if self._plain_head is not None:
            return  # of the request, only its head is known
        self._hand_over_body()
        self._stop_timer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        unread = self.transport.get_write_buffer_size()
        if unread:  # counted even where it is too much: it is here, and keeps more from coming
            self._budget.held += unread - self._held
            self._held = unread
        self._expect_reading(math.inf)

    def _expect_reading(self, before: float) -> None:
        """Drop a client that takes nothing of a finished answer; before its end, the relay watches."""
        self._stop_unread_timer()
        if not self.transport.get_write_buffer_size() or not self._write_timeout:
            return
        unread = self.unsent()
        if unread >= before:
            self.transport.abort()
        else:
            self._unread_timer = self.loop.call_later(self._write_timeout, self._expect_reading, unread)

    def _stop_unread_timer(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def abort(self) -> None:
        """Drop the connection, unsent data included."""
        self.transport.abort()

    def write(self, frames: list[bytes]) -> bool:
        """Write a piece of a body, in a chunk where the client knows chunks. Returns whether there is room for more.

        For the pieces of a stream only: uvicorn's `send` does the same in a coroutine, after a dozen checks.
        """
        if not self.transport.is_closing():
            body = b"".join(frames)
            self.transport.write(b"%x\r\n%b\r\n" % (len(body), body) if self.cycle.chunked_encoding else body)
        return not self.flow.write_paused

    async def drain(self) -> None:
        """Wait until there is room."""
        await self.flow.drain()

    def unsent(self) -> int:
        """Bytes that the client has not taken yet: in the transport and, where the system tells, in the kernel."""
        waiting = self.transport.get_write_buffer_size()
        if (sock := self.transport.get_extra_info("socket")) is not None:
            waiting += _in_kernel(sock.fileno())
        return waiting

    def send_400_response(self, msg: str) -> None:
        self._refuse("invalid_request")

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _start_timer(self) -> None:
        self._stop_timer()
        due = self.loop.time() + REQUEST_TIMEOUT
        self._timer = self.loop.call_at(due, self._give_up, due)

    def _give_up(self, due: float) -> None:
        now = self.loop.time()
        if fired_late(due, now):
            self._timer = self.loop.call_at(now + SECOND_LOOK, self._give_up, now + SECOND_LOOK)
        else:
            self._refuse("request_timeout")

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, code: str) -> None:
        """Hear nothing more. An answer that is under way goes on to its end; without one, say what is wrong."""
        if self._deaf or self.transport.is_closing():
            return
        self._deaf = True
        self._stop_timer()
        if self._answering and not self.cycle.more_body:
            self.cycle.keep_alive = False
            return
        if self._in_head or not self.cycle.response_started:
            self._say(Problem(code, _DETAILS[code], 1 if code == "too_many_streams" else None))
        self._leave()

    def _say(self, problem: Problem) -> None:
        own: dict[str, Any] = {} if self._in_head else self.cycle.scope  # type: ignore[assignment]
        identity = own.get(REQUEST_ID) or secrets.token_hex(8)  # the guard's, where it has seen the request
        log.info("request %s was refused (%s): %s", identity, problem.code, problem.detail)
        body = problem.body(identity)
        headers = [(name.encode(), value.encode()) for name, value in problem.headers().items()]
        head = b"".join(
            [
                STATUS_LINE[problem.status],
                *(b"%b: %b\r\n" % header for header in (*headers, *NOT_KEPT)),
                b"x-request-id: %b\r\n" % identity.encode(),
                b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body),
            ]
        )
        self.transport.write(head + body)

    def _leave(self) -> None:
        """Close when all is said; while a client may still be sending its request, hear it out for a while."""
        if self.transport.is_closing():
            return
        if not (self._in_head or self.cycle.more_body):
            self.transport.close()
            return
        self._deaf = self._lingering = True
        if self._answering:  # for its route, the client has left
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._stop_timer()
        self._timer = self.loop.call_later(LINGER, self.transport.close)
        self.flow.resume_reading()
        self.transport.write_eof()


def _in_kernel(descriptor: int) -> int:
    """The bytes of a socket's send queue that the peer has not acknowledged; 0 where the system does not tell."""
    if sys.platform != "linux" or descriptor < 0:  # below 0: the socket is closed, which ioctl takes for a ValueError
        return 0
    import fcntl
    import termios

    answer = bytearray(4)
    with suppress(OSError):  # it is closed meanwhile
        fcntl.ioctl(descriptor, termios.TIOCOUTQ, answer)
    return int.from_bytes(answer, sys.byteorder)


_DETAILS = {
    "headers_too_large": f"The headers are larger than {HEADER_LIMIT} bytes.",
    "invalid_request": "This is not a valid HTTP request.",
    "too_many_streams": FULL,
    "request_timeout": f"The request did not come within {REQUEST_TIMEOUT:g} s.",
}
