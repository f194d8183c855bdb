"""Connections to a server, reused between answers: unsolicited bytes are never an answer, stale ones are replaced."""

import functools
import select
import socket
import ssl
from typing import Any

import aiohttp
from aiohttp import AddrInfoType, ClientHandlerType, ClientRequest, ClientResponse
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

from aura_core.hang_up import borrow

STALE = 408  # sent by servers on a connection that was idle for too long, whatever the request
INTERIM_LIMIT = 16
"""Interim responses that may precede the response; servers send one or two."""
INTERIM_PIECE = 16 * 1024
"""Bytes that are parsed at once: they hold at most about 600 interim responses."""
READ_AHEAD = 8 * 1024
"""aiohttp stops reading while twice as many bytes of a response wait for a slow client."""
RECEIVE_BUFFER = 16 * 1024
"""Bytes of a connection's receive buffer (Linux doubles it): the most that one read returns, and that the kernel holds
for a slow client. With a round trip of 100 ms it allows 160 KB a second, several times the output of a model."""
LAST_CHUNK = b"0\r\n\r\n"
_PROBE = b"HTTP/1.1 204 Probe\r\n\r\n"


def session(context: ssl.SSLContext, **more: Any) -> aiohttp.ClientSession:
    """A session without cookies or a pool limit, which reads in small pieces and replaces stale connections; `more` is
    aiohttp's own."""
    return aiohttp.ClientSession(
        connector=Connector(ssl=context, socket_factory=_small_socket),
        read_bufsize=READ_AHEAD,
        cookie_jar=aiohttp.DummyCookieJar(),
        request_class=Request,
        response_class=Response,
        middlewares=(replace_stale,),
        **more,
    )


class _Heads(list[Any]):
    """The heads of responses that nobody has read yet: one, and rarely a few. An empty deque takes 760 bytes."""

    def popleft(self) -> Any:
        """As a deque has it."""
        return self.pop(0)


class Connection(ResponseHandler):
    """aiohttp's connection, which (3.14) takes unsolicited bytes for the next response, whose reader waits forever when
    the framing breaks, and which reads any number of interim responses (100 Continue): a server that sends nothing else
    would block the event loop for seconds.

    RFC 9112, section 9.2: a connection that receives unsolicited bytes must be closed. Unsolicited bytes arrive between
    the end of a response and the end of the next request, or behind a response in the same read.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._buffer = _Heads()  # type: ignore[assignment]  # it has all that is used of aiohttp's
        self.requests = 0
        self.heard = False  # whether bytes have arrived since the last request
        self._expecting = True  # a server may refuse a new connection before it reads the request
        self._answers = 0  # heads since the last request
        self._interim = 0  # interim ones among them
        self._ended = False  # whether the body is complete

    @property
    def reused(self) -> bool:
        """Whether it has served another request before this one."""
        return self.requests > 1

    def set_response_params(self, **params: Any) -> None:
        """Called by aiohttp with each request, before it is written."""
        self.requests += 1
        self.heard = self._ended = False
        self._answers = self._interim = 0
        super().set_response_params(**params)

    def start_timeout(self) -> None:
        """Called by aiohttp when a request is written."""
        self._expecting = True
        super().start_timeout()

    def data_received(self, data: bytes) -> None:
        if not self._expecting and data:
            self._close()
            return
        self.heard = True
        if len(data) <= INTERIM_PIECE:
            super().data_received(data)
        else:
            self._receive_in_pieces(data)
        if self._ended:
            self._ended = self._expecting = False
            # Behind the last chunk nothing follows: what does would be a head of its own, or not end like that.
            if self._answers > 1 or (not data.endswith(LAST_CHUNK) and self._has_begun_another()):
                self._close()

    def _receive_in_pieces(self, data: bytes) -> None:
        for start in range(0, len(data), INTERIM_PIECE):
            super().data_received(data[start : start + INTERIM_PIECE])
            if self.exception() is not None:
                return

    def resume_reading(self, *how: Any, **more: Any) -> None:
        """Called by aiohttp with each piece that somebody has read; nearly always reading was not paused."""
        if self._reading_paused or getattr(self, "_buffer_paused", False):
            super().resume_reading(*how, **more)

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Called by aiohttp with the head of each answer that it has read, and its body."""
        head, body = data
        is_interim = 100 <= head.code < 200
        if self._answers or not is_interim:
            self._answers += 1
            body.on_eof(self._end)
        if is_interim:
            self._interim += 1
            if self._interim > INTERIM_LIMIT:
                self._refuse_interim()
                return
        super().feed_data(data, size)

    def _refuse_interim(self) -> None:
        if self.exception() is None:
            self.set_exception(HttpProcessingError(message="too many interim answers"))
            if self.transport is not None:
                self.transport.close()

    def _end(self) -> None:
        self._ended = True

    def set_exception(self, exc: Any, *cause: Any) -> None:
        """No more HTTP follows; aiohttp tells only a caller that waits for the next head."""
        super().set_exception(exc, *cause)
        body = getattr(self, "_payload", None)
        if isinstance(exc, HttpProcessingError) and body is not None and not (body.is_eof() or body.exception()):
            body.set_exception(aiohttp.ClientPayloadError("interrupted by bytes that are not HTTP"))

    def has_unread(self) -> bool:
        """Whether bytes have arrived that are not read yet; with TLS they need not belong to a response."""
        sock = self.transport.get_extra_info("socket") if self.transport is not None else None
        return sock is not None and _is_readable(sock)

    def _has_begun_another(self) -> bool:
        """Whether part of a head followed the response: then the parser takes a probe for the rest of that head."""
        if self._parser is None or self._should_close:
            return False
        try:
            heads, _, rest = self._parser.feed_data(_PROBE)
        except HttpProcessingError:
            return True
        return bool(rest) or [(head.code, head.raw_headers) for head, _ in heads] != [(204, ())]

    def close(self) -> None:
        """Called by aiohttp when it does not reuse the connection.

        While reading is paused for a slow client, TLS could not say goodbye: it would first wait up to 30 s for the
        bytes that are not read, and the server would go on generating. And a request that a server does not read would
        wait, with its prompt, for as long as the server lives.
        """
        if self._reading_paused or self._unsent:
            self.abort()
        else:
            super().close()

    @property
    def should_close(self) -> bool:
        """Asked by aiohttp when a response is over: a server may answer before it has read the whole request, and reads
        no further; the next request would wait behind the rest."""
        return super().should_close or self._unsent

    @property
    def _unsent(self) -> bool:
        return self.transport is not None and self.transport.get_write_buffer_size() > 0

    def hang_up(self) -> bool:
        """Close, if its reader waits for bytes, without waking it: whoever calls this cancels it in a moment. Returns
        whether it was closed. A reader that does something else is cancelled at once, and closes it."""
        if not (_waits(self) or _waits(self._payload)):
            return False
        self.heard = True  # to a request that is still written, the connection has not gone stale
        self._parser, self._eof = None, True
        self.force_close()
        self.abort()  # with TLS, `close` would wait for a server that sends without end
        return True

    def _close(self) -> None:
        self.force_close()
        if self.transport is not None:
            self.transport.abort()  # the server may send without end: do not wait for it, as TLS would


class Request(ClientRequest):
    """aiohttp's request, which knows its connection. With `fresh` it must be a new one."""

    connection: Connection | None = None
    fresh = False

    @property
    def reused(self) -> bool:
        """Whether its connection has served another request before."""
        return self.connection is not None and self.connection.reused


class Response(ClientResponse):
    """aiohttp's response with an ASCII reason phrase: a server may send any bytes, and httpx-aiohttp 0.2 cannot encode
    those that are not UTF-8."""

    async def start(self, connection: Any) -> ClientResponse:
        await super().start(connection)
        self.reason = (self.reason or "").encode("ascii", "replace").decode()
        return self


class Connector(aiohttp.TCPConnector):
    """Connections without a limit on their number: with aiohttp's default the 101st stream would wait, and
    httpx-aiohttp 0.2 does not pass httpx's limits on."""

    def __init__(self, **more: Any) -> None:
        super().__init__(limit=0, **more)
        # aiohttp has no public hook for this. If it changes, only our tests notice that Connection is unused.
        factory = getattr(self, "_factory", None)
        if isinstance(factory, functools.partial) and factory.func is ResponseHandler:
            own: type[ResponseHandler] = Connection
            self._factory = functools.partial(own, *factory.args, **factory.keywords)

    async def connect(self, req: ClientRequest, *args: Any, **more: Any) -> Any:
        """A connection for a request; called by aiohttp."""
        if not isinstance(req, Request):
            return await super().connect(req, *args, **more)
        found = await self.take(req, req.fresh, *args, **more)
        if isinstance(found.protocol, Connection):
            req.connection = found.protocol
        return found

    async def take(self, req: ClientRequest, fresh: bool, *args: Any, **more: Any) -> Any:
        """A connection to where the request goes: a reused one without unsolicited bytes, or a new one."""
        aside = []
        try:
            while True:
                found = await super().connect(req, *args, **more)
                connection = found.protocol
                if not isinstance(connection, Connection):
                    return found
                if connection.requests and connection.has_unread():
                    found.close()
                elif connection.requests and fresh:
                    aside.append(found)
                else:
                    borrow(found)
                    return found
        finally:
            for kept in aside:
                kept.release()


def _waits(queue: Any) -> bool:
    """Whether somebody waits for what this queue or reader of aiohttp will have."""
    waiter = getattr(queue, "_waiter", None)
    return waiter is not None and not waiter.done()


def went_stale(connection: Any, exc: aiohttp.ClientConnectionError) -> bool:
    """Whether a reused connection ended before the first byte of the response."""
    reused = isinstance(connection, Connection) and connection.reused
    return reused and not connection.heard and not isinstance(exc, TimeoutError)


async def replace_stale(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Repeat a request once, immediately, on a new connection if a reused one was stale: it ended before the first byte
    of the response, or the status is 408. The server closed it while the request was on its way, and has not
    processed it."""
    assert isinstance(request, Request)
    try:
        response = await handler(request)
    except aiohttp.ClientConnectionError as exc:
        if not went_stale(request.connection, exc):
            raise
    else:
        if response.status != STALE or not request.reused:
            return response
        response.close()
    request.fresh = True
    return await handler(request)


def _small_socket(address: AddrInfoType) -> socket.socket:
    """A socket for this address. Its buffer is set before it connects, when TCP agrees on its window."""
    family, kind, protocol, _, _ = address
    sock = socket.socket(family, kind, protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    return sock


def _is_readable(sock: socket.socket) -> bool:
    if not hasattr(select, "poll"):  # Windows, whose select has no limit on a descriptor's number
        return bool(select.select([sock.fileno()], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))
