"""A connection to uvicorn's server: HTTP/1.1 over httptools, with limits on what a client may send or leave unread."""

import asyncio
import math
import re
import sys
import weakref
from collections.abc import Callable
from contextlib import suppress
from itertools import chain
from typing import Any
from urllib.parse import unquote

import httptools
import uvicorn
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl

from aura_core.budget import FULL, Budget, Share
from aura_core.limits import (
    FIRST_WRITE,
    FIRST_WRITE_SIZE,
    HEADER_LIMIT,
    LARGE_PART,
    LINGER,
    LINGER_SIZE,
    REQUEST_TIMEOUT,
)
from aura_core.problems import Problem
from aura_core.server.budgeted import SHARE
from aura_core.server.cycle import Cycle
from aura_core.server.departures import Departures, Leave, Rest
from aura_core.server.guard import NOT_KEPT, SEEN, new_id
from aura_core.server.lazy_event import LazyEvent
from aura_core.server.movable_timer import MovableTimer
from aura_core.telemetry.refusals import Refusals

CONNECTION = "aura_connection"
"""The key of the ASGI scope that holds a weak reference to the connection, a `Protocol`.

A strong one would make a cycle, as the connection refers to the scope: both would stay in memory until the garbage
collector runs.
"""
ASGI_VERSION = {"version": "3.0", "spec_version": "2.3"}


_NOTED = frozenset({b"expect", b"transfer-encoding", b"upgrade"})
_NOTHING = frozenset[bytes]()


class _Flow(FlowControl):
    """uvicorn's, without an event before somebody waits for it."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.read_paused = self.write_paused = False
        self._is_writable_event = LazyEvent(True)  # type: ignore[assignment]  # it has all that is used of it


class Protocol(asyncio.Protocol):
    """What uvicorn makes for each connection, in place of its own protocol for httptools, which lacks: a size limit on
    headers (it accepted 200 MB), time limits on incoming requests and on unread answers (it waits forever), the body of
    a request that offers an upgrade (Java's client sends such requests), disconnect detection for clients that
    pipeline, and a count of the bytes that each connection holds: incomplete heads, bodies as they arrive, and unread
    ends of answers. What uvicorn (0.36 to 0.54) uses of it is the constructor, `shutdown`, and what it adds to
    `server_state`.

    One request at a time: bytes that follow a request before its answer is complete are discarded, and the connection
    closes after the answer. RFC 9112, 9.3.2 allows that, and no client that we know pipelines.

    The head of an answer waits up to `FIRST_WRITE` for what follows it, since each write costs as much as a tenth of a
    request. What is not ready by then leaves as it comes.
    """

    __slots__ = (
        "__weakref__",
        "_app",
        "_app_state",
        "_awaits_request",
        "_budget",
        "_client",
        "_deaf",
        "_departures",
        "_expects_100_continue",
        "_first",
        "_first_timer",
        "_headers",
        "_held",
        "_in_head",
        "_keep_alive",
        "_limit",
        "_lingering",
        "_loop",
        "_noted",
        "_on_leave",
        "_parser",
        "_pieces",
        "_plain_head",
        "_refusals",
        "_scheme",
        "_server",
        "_server_state",
        "_share",
        "_unframed",
        "_unheard",
        "_unread_timer",
        "_url",
        "_write_timeout",
        "cycle",
        "flow",
        "transport",
    )

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: Any,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        write_timeout: float = 0,
        budget: Budget | None = None,
        refusals: Refusals | None = None,
        departures: Departures | None = None,
    ) -> None:
        self._app: Any = config.loaded_app
        self._keep_alive = config.timeout_keep_alive
        self._server_state = server_state
        self._app_state = app_state
        self._loop = _loop or asyncio.get_running_loop()
        self._parser: Any = httptools.HttpRequestParser(self)
        # What follows a request with `Connection: close` is discarded, and is no fault of that request.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._refusals = refusals
        self._departures = departures or Departures()
        self._write_timeout = write_timeout
        self._budget = budget or Budget()
        self.transport: asyncio.Transport
        self.flow: FlowControl
        self.cycle: Cycle | None = None  # of the current request, or of the last one
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._noted = _NOTHING  # of the headers in _NOTED, those that this request has
        self._expects_100_continue = False
        self._unframed = 0  # bytes since the last byte of a body: request line, headers, trailers
        self._in_head = self._deaf = self._lingering = False
        self._unheard = 0  # bytes discarded while it lingers
        self._pieces: list[bytes] | None = None  # of a body, from one read
        self._plain_head: bytes | None = None  # the head of a request that offers an upgrade, without that offer
        self._limit = MovableTimer(self._loop)
        self._awaits_request = False  # whether the limit is that of a request
        self._unread_timer: asyncio.TimerHandle | None = None
        self._share: Share  # of the current request; its cycle closes it
        self._held = 0  # bytes of the budget that belong to the connection, not to a request's share
        self._on_leave: Leave | None = None  # told when the client leaves before its answer is complete
        self._first: list[bytes] | None = None  # the beginning of an answer, which is not written yet
        self._first_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # it has all that is used
        self._server_state.connections.add(self)
        self.transport = transport
        self.flow = _Flow(transport)
        # uvicorn asks a copy of the socket, in seven system calls.
        self._server = _known_address(transport, "sockname") or get_local_addr(transport)
        self._client = _known_address(transport, "peername") or get_remote_addr(transport)
        self._scheme = "https" if is_ssl(transport) else "http"
        # Pause as soon as the kernel takes no more: further frames wait in the answer's buffer, where they are counted.
        transport.set_write_buffer_limits(high=0)
        self._in_head = True
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._server_state.connections.discard(self)
        self._limit.stop()
        self._stop_unread_timer()
        self._hold(0)
        self._take_first()
        if self.cycle is not None:
            if not self.cycle.response_complete:
                self.cycle.disconnected = True
            self.cycle.message_event.set()
            self.cycle.lose_connection()
        self.flow.resume_writing()
        self.transport.close()
        self._parser = None  # it refers to this connection
        if self._on_leave is not None:
            self._departures.tell(self._tell_leave)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            self._unheard += len(data) if self._lingering else 0
            if self._unheard > LINGER_SIZE:
                self.transport.close()
            return
        if not self._awaits_request and not self._answering:
            self._await_request()  # empty lines between two requests do not start a message
        self._unframed += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self._refuse("invalid_request")
        if self._unframed > HEADER_LIMIT and not self._deaf:
            self._refuse("headers_too_large")
        if (self._in_head or self._held) and not self._deaf and not self._hold_own():
            self._refuse("too_many_streams")

    def _refuse_full(self) -> None:
        """Refuse the request that is being parsed, and parse no more of it."""
        self._refuse("too_many_streams")
        raise httptools.HttpParserError("too many streams")

    def pause_writing(self) -> None:
        self.flow.pause_writing()

    def resume_writing(self) -> None:
        self.flow.resume_writing()
        if self._held:
            self._hold_own()

    def _hold_own(self) -> bool:
        """Count an incomplete head and the unread end of the last answer. Returns whether they fit into the budget."""
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
            self._parser.feed_data(data)
            self._hand_over_body()
        except httptools.HttpParserUpgrade as upgrade:
            # httptools treats the body as bytes of the other protocol. We support none: parse it without the offer.
            head, self._plain_head = self._plain_head, None
            if head is not None:
                self._parse(head + data[upgrade.args[0] :])

    def on_message_begin(self) -> None:
        if self._answering:
            raise httptools.HttpParserError("pipelined")
        self._url = b""
        self._headers = []
        self._noted = _NOTHING
        self._expects_100_continue = False
        if not self.transport.get_write_buffer_size():  # else the client still does not read: keep its timer
            self._stop_unread_timer()
        self._in_head = True
        self._await_request()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:  # trailers may arrive after the guard's checks: they are dropped (RFC 9110, 6.5.1)
            return
        name = name.lower()
        if name in _NOTED:
            self._noted |= {name}
            self._expects_100_continue |= name == b"expect" and value.lower() == b"100-continue"
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        size = len(self._url) + len(b"".join(chain.from_iterable(self._headers))) + 4 * len(self._headers)
        if size > HEADER_LIMIT:
            self._refuse("headers_too_large")
            raise httptools.HttpParserError("headers too large")
        if b"transfer-encoding" in self._noted:
            self._check_framing()
        if not self._url.startswith(b"/"):
            self._check_authority()
        if b"upgrade" in self._noted and self._parser.should_upgrade():
            self._plain_head = self._without_upgrade()
            return
        share = self._share = Share(self._budget)
        self._start_cycle(share)
        self._in_head, self._unframed = False, 0
        if not share.grow(size):
            self._refuse_full()

    def _start_cycle(self, share: Share) -> None:
        version = self._parser.get_http_version()
        target = httptools.parse_url(self._url)
        path = target.path.decode("ascii")
        scope: Any = {
            "type": "http",
            "asgi": ASGI_VERSION,
            "http_version": version,
            "server": self._server,
            "client": self._client,
            "scheme": self._scheme,
            "root_path": "",
            "headers": self._headers,
            "state": self._app_state.copy(),
            "method": self._parser.get_method().decode("ascii"),
            "path": unquote(path) if "%" in path else path,
            "raw_path": target.path,
            "query_string": target.query or b"",
            CONNECTION: weakref.ref(self),
            SHARE: share,
        }
        keep_alive = version != "1.0" and self._parser.should_keep_alive()
        headers = self._server_state.default_headers
        cycle = self.cycle = Cycle(self, scope, share, headers, keep_alive, self._expects_100_continue)
        self._first = []
        task = self._loop.create_task(cycle.run(self._app))
        tasks = self._server_state.tasks
        task.add_done_callback(tasks.discard)
        tasks.add(task)

    def _check_framing(self) -> None:
        """Refuse every transfer coding but `chunked`: llhttp accepts `identity, chunked`, and a proxy in front may
        parse it differently (CWE-444). With HTTP/1.0 every coding is refused (RFC 9112, 6.1)."""
        codings = [value.strip().lower() for name, value in self._headers if name == b"transfer-encoding"]
        if codings != [b"chunked"] or self._parser.get_http_version() == "1.0":
            raise httptools.HttpParserError("transfer-encoding")

    def _check_authority(self) -> None:
        """Refuse an absolute target whose host differs from the header Host: the guard checks only the header."""
        scheme, separator, rest = self._url.partition(b"://")
        if not separator:
            return
        authority = re.split(rb"[/?#]", rest, maxsplit=1)[0].lower()
        port = b":443" if scheme.lower() == b"https" else b":80"
        hosts = [value.strip().lower().removesuffix(port) for name, value in self._headers if name == b"host"]
        if hosts != [authority.removesuffix(port)]:
            raise httptools.HttpParserError("host")

    def on_body(self, body: bytes) -> None:
        self._unframed = 0
        if self._pieces is None:
            self._pieces = []
        self._pieces.append(body)

    def _hand_over_body(self) -> None:
        """Give the application all pieces of a body from one read together: a piece may be one byte."""
        pieces, self._pieces = self._pieces, None
        if not pieces or self._deaf:
            return
        cycle = self._current
        if cycle.response_complete:
            return
        body = b"".join(pieces)
        if not self._share.grow(len(body)):
            self._refuse_full()
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def _without_upgrade(self) -> bytes:
        lines = [b"%b %b HTTP/%b" % (self._parser.get_method(), self._url, self._parser.get_http_version().encode())]
        lines += [b"%b: %b" % header for header in self._headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def on_message_complete(self) -> None:
        if self._plain_head is not None:
            return  # only the head of the request has been parsed
        self._hand_over_body()
        self._limit.clear()
        self._awaits_request = False
        cycle = self._current
        cycle.more_body = False
        if cycle.response_complete:  # a refusal; the connection may stay for the next request
            self._expect_another()
        else:
            cycle.message_event.set()

    def on_response_complete(self) -> None:
        """Called by the cycle."""
        self._write_first()
        self._server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()
            if not self._current.more_body:
                self._expect_another()
        unread = self.transport.get_write_buffer_size()
        if unread:  # counted even where it is too much: it is here, and keeps more from coming
            self._budget.held += unread - self._held
            self._held = unread
            self._expect_reading(math.inf)

    def _expect_reading(self, before: float) -> None:
        """Drop a client that stops reading a complete answer; until it is complete, the relay checks that."""
        self._stop_unread_timer()
        if not self.transport.get_write_buffer_size() or not self._write_timeout:
            return
        unread = self.unsent()
        if unread >= before:
            self.transport.abort()
        else:
            self._unread_timer = self._loop.call_later(self._write_timeout, self._expect_reading, unread)

    def _stop_unread_timer(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def on_leave(self, callback: Leave) -> Callable[[], object]:
        """Call `callback` once the client leaves. Returns what ends that, to be called in any case.

        As ASGI's `receive` tells it, without a task that waits for that. The whole request must have been received.
        """
        self._on_leave = callback
        self.flow.resume_reading()  # only reading tells
        if self._current.disconnected:
            self._departures.tell(self._tell_leave)
        return self._forget_leave

    def _forget_leave(self) -> None:
        self._on_leave = None

    def _tell_leave(self) -> Rest | None:
        callback, self._on_leave = self._on_leave, None
        return None if callback is None else callback()

    def write_soon(self, data: bytes) -> None:
        """Write a part of an answer, its beginning together with what follows at once."""
        if self._first is None or not self._current.response_started:  # 100 Continue does not wait
            self.transport.write(data)
            return
        self._first.append(data)
        if len(data) > FIRST_WRITE_SIZE:
            self._write_first()
        elif self._first_timer is None:
            self._first_timer = self._loop.call_later(FIRST_WRITE, self._write_first)

    def _write_first(self) -> None:
        if (first := self._take_first()) and not self.transport.is_closing():
            self.transport.write(first)

    def _take_first(self) -> bytes:
        """The beginning of the answer, if it still waits. What follows no longer waits."""
        first, self._first = self._first, None
        if self._first_timer is not None:
            self._first_timer.cancel()
            self._first_timer = None
        return b"".join(first) if first else b""

    def close_after_answer(self) -> None:
        """Close once everything is written; where the connection was to stay, something failed."""
        self._write_first()
        if self._current.keep_alive:
            self.transport.close()
        else:
            self._leave()

    def abort(self) -> None:
        """Drop the connection, unsent data included."""
        self.transport.abort()

    def write(self, frames: list[bytes]) -> bool:
        """Write a piece of a body, in a chunk where the client knows chunks. Returns whether there is room for more.

        Only for pieces of a stream: the cycle's `send` does the same in a coroutine, after its checks.
        """
        if not self.transport.is_closing():
            body = b"".join(frames)
            if self._current.chunked_encoding:
                body = b"%x\r\n%b\r\n" % (len(body), body)
            self.transport.write(body if self._first is None else self._take_first() + body)
        return not self.flow.write_paused

    async def drain(self) -> None:
        """Wait until there is room."""
        await self.flow.drain()

    def unsent(self) -> int:
        """Bytes that the client has not received yet: in the transport and, on Linux, in the kernel."""
        waiting = self.transport.get_write_buffer_size()
        if (sock := self.transport.get_extra_info("socket")) is not None:
            waiting += _in_kernel(sock.fileno())
        return waiting

    def _expect_another(self) -> None:
        if not self._deaf:
            self._limit.set(self._keep_alive, self.transport.close)

    def shutdown(self) -> None:
        """Called by uvicorn: close now, or after the answer."""
        if self._answering:
            self._current.keep_alive = False
        else:
            self.transport.close()

    @property
    def _current(self) -> Cycle:
        assert self.cycle is not None
        return self.cycle

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _await_request(self) -> None:
        self._awaits_request = True
        self._limit.set(REQUEST_TIMEOUT, self._give_up)

    def _give_up(self) -> None:
        self._refuse("request_timeout")

    def _refuse(self, code: str) -> None:
        """Ignore all further input. An answer under way continues; otherwise send the reason."""
        if self._deaf or self.transport.is_closing():
            return
        self._deaf = True
        self._limit.clear()
        if self._answering and not self._current.more_body:
            self._current.keep_alive = False
            return
        if self._in_head or not self._current.response_started:
            self._say(Problem(code, _DETAILS[code], 1 if code == "too_many_streams" else None))
        self._leave()

    def _say(self, problem: Problem) -> None:
        own: dict[str, Any] = {} if self._in_head else self._current.scope  # type: ignore[assignment]
        seen = own.get(SEEN)  # if the guard has
        identity = new_id() if seen is None else seen.request_id
        if self._refusals is not None:
            address = self._client[0] if self._client else ""
            self._refusals.note(problem, identity, client_address=address, path=own.get("path", ""))
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
        """Close after the answer. While the client may still be sending its request, drain the input before closing."""
        if self.transport.is_closing():
            return
        self._write_first()
        if not (self._in_head or self._current.more_body):
            self.transport.close()
            return
        self._deaf = self._lingering = True
        if self._answering:  # to its route, this is a client that disconnected
            self._current.disconnected = True
            self._current.message_event.set()
            self._departures.tell(self._tell_leave)
        self._limit.set(LINGER, self.transport.close)
        self.flow.resume_reading()
        self.transport.write_eof()


def _known_address(transport: asyncio.Transport, end: str) -> tuple[str, int] | None:
    """The host and port of an end of a TCP connection, as the event loop knows them; None for other sockets."""
    address = transport.get_extra_info(end)
    return (address[0], address[1]) if isinstance(address, tuple) else None


def _in_kernel(descriptor: int) -> int:
    """The bytes of a socket's send queue that the peer has not acknowledged; 0 if the system does not report them."""
    if sys.platform != "linux" or descriptor < 0:  # below 0: the socket is closed; ioctl would raise ValueError
        return 0
    import fcntl
    import termios

    answer = bytearray(4)
    with suppress(OSError):  # it has been closed meanwhile
        fcntl.ioctl(descriptor, termios.TIOCOUTQ, answer)
    return int.from_bytes(answer, sys.byteorder)


_DETAILS = {
    "headers_too_large": f"The headers are larger than {HEADER_LIMIT} bytes.",
    "invalid_request": "This is not a valid HTTP request.",
    "too_many_streams": FULL,
    "request_timeout": f"The request did not come within {REQUEST_TIMEOUT:g} s.",
}
