"""Connections to a server, kept between answers: what comes unasked is never an answer, and a stale one is replaced.

aura_ollama and aura_openai have the same file: neither may depend on the other, and a test compares the two.
"""

import functools
import select
import socket
import ssl
from typing import Any

import aiohttp
from aiohttp import AddrInfoType, ClientHandlerType, ClientRequest, ClientResponse
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

STALE = 408  # what a server says on a connection that was idle for too long, whatever was asked meanwhile
INTERIM_LIMIT = 16
"""Interim answers that may come before the answer; servers send one, or two."""
INTERIM_PIECE = 16 * 1024
"""Bytes that are parsed at once: of these, some 600 may be interim answers."""
READ_AHEAD = 8 * 1024
"""Bytes of an answer from which on aiohttp reads no more while the client is slow; it may hold twice that."""
RECEIVE_BUFFER = 32 * 1024
"""Bytes of a connection's receive buffer (Linux takes twice that): what one read may bring, and what waits in the kernel
for a client that does not read. On a line of 100 ms it still brings 300 KB a second, many times what a model writes."""
_PROBE = b"HTTP/1.1 204 Probe\r\n\r\n"


def session(context: ssl.SSLContext, **more: Any) -> aiohttp.ClientSession:
    """A session without cookies or a pool limit, which reads in small pieces and replaces stale connections; `more` is
    aiohttp's own."""
    return aiohttp.ClientSession(
        connector=Connector(ssl=context, socket_factory=_small_socket),
        read_bufsize=READ_AHEAD,
        cookie_jar=aiohttp.DummyCookieJar(),
        request_class=Request,
        middlewares=(replace_stale,),
        **more,
    )


class InterimLimit(ResponseHandler):
    """aiohttp's connection, with a bound on interim answers (100 Continue): it reads any number, and a server that
    sends nothing else would hold the event loop for seconds. What sends more is closed, as what is not HTTP is."""

    _interim = 0

    def set_response_params(self, **params: Any) -> None:
        """Called by aiohttp with each request, before it is written."""
        self._interim = 0
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        if len(data) <= INTERIM_PIECE:
            super().data_received(data)
            return
        for start in range(0, len(data), INTERIM_PIECE):
            super().data_received(data[start : start + INTERIM_PIECE])
            if self.exception() is not None:
                return

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Called by aiohttp with the head of each answer that it has read, and its body."""
        if 100 <= data[0].code < 200:
            self._interim += 1
            if self._interim > INTERIM_LIMIT:
                if self.exception() is None:
                    self.set_exception(HttpProcessingError(message="too many interim answers"))
                    if self.transport is not None:
                        self.transport.close()
                return
        super().feed_data(data, size)


class Connection(InterimLimit):
    """aiohttp's own, which (3.14) takes any bytes for the next answer, and whose reader waits for ever when the framing
    breaks.

    RFC 9112, section 9.2: a connection on which something comes that no request asked for is closed. Unasked is what
    comes between the end of an answer and the end of the next request, or behind an answer in the same piece.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.requests = 0
        self.heard = False  # some byte has come since the last request
        self._expecting = True  # a server may refuse a new connection before it has read the request
        self._answers = 0  # heads that have come since the last request
        self._ended = False  # the body has come

    def set_response_params(self, **params: Any) -> None:
        """Called by aiohttp with each request, before it is written."""
        self.requests += 1
        self.heard = self._ended = False
        self._answers = 0
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
        super().data_received(data)
        if self._ended:
            self._ended = self._expecting = False
            if self._answers > 1 or self._has_begun_another():
                self._close()

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Called by aiohttp with the head of each answer that it has read, and its body."""
        head, body = data
        if self._answers or not 100 <= head.code < 200:
            self._answers += 1
            body.on_eof(self._end)
        super().feed_data(data, size)

    def _end(self) -> None:
        self._ended = True

    def set_exception(self, exc: Any, *cause: Any) -> None:
        """No more HTTP comes; aiohttp says that only to whoever waits for the next answer's head."""
        super().set_exception(exc, *cause)
        body = getattr(self, "_payload", None)
        if isinstance(exc, HttpProcessingError) and body is not None and not (body.is_eof() or body.exception()):
            body.set_exception(aiohttp.ClientPayloadError("broken off by what is no HTTP"))

    def has_unread(self) -> bool:
        """Whether something has come that the event loop has not read yet; with TLS it may be none of the answer's."""
        sock = self.transport.get_extra_info("socket") if self.transport is not None else None
        return sock is not None and _is_readable(sock)

    def _has_begun_another(self) -> bool:
        """Whether a part of a head came behind the answer: then it swallows a probe that is fed to the same parser."""
        if self._parser is None or self._should_close:
            return False
        try:
            heads, _, rest = self._parser.feed_data(_PROBE)
        except HttpProcessingError:
            return True
        return bool(rest) or [(head.code, head.raw_headers) for head, _ in heads] != [(204, ())]

    def _close(self) -> None:
        self.force_close()
        if self.transport is not None:
            self.transport.close()


class Request(ClientRequest):
    """aiohttp's own, which knows its connection. `fresh`: it must be a new one."""

    connection: Connection | None = None
    fresh = False

    @property
    def reused(self) -> bool:
        """Whether its connection has served another request before."""
        return self.connection is not None and self.connection.requests > 1


class Connector(aiohttp.TCPConnector):
    """Connections without a limit: aiohttp's own would let the 101st stream wait, and httpx's don't reach it
    (httpx-aiohttp 0.2)."""

    def __init__(self, **more: Any) -> None:
        super().__init__(limit=0, **more)
        # There is no public way. With an aiohttp that has another one only tests notice what Connection no longer does.
        factory = getattr(self, "_factory", None)
        if isinstance(factory, functools.partial) and factory.func is ResponseHandler:
            own: type[ResponseHandler] = Connection
            self._factory = functools.partial(own, *factory.args, **factory.keywords)

    async def connect(self, req: ClientRequest, *args: Any, **more: Any) -> Any:
        """A connection for a request: a kept one on which nothing has come, or a new one."""
        aside = []
        try:
            while True:
                found = await super().connect(req, *args, **more)
                connection = found.protocol
                if not isinstance(connection, Connection) or not isinstance(req, Request):
                    return found
                if connection.requests and connection.has_unread():
                    found.close()
                elif connection.requests and req.fresh:
                    aside.append(found)
                else:
                    req.connection = connection
                    return found
        finally:
            for kept in aside:
                kept.release()


async def replace_stale(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Ask again, once and at once, on a new connection where a kept one turns out to be stale: it ends before any byte
    of the answer, or says 408. A server may close a connection while a request is on its way there; it has then done
    nothing with it."""
    assert isinstance(request, Request)
    try:
        response = await handler(request)
    except aiohttp.ClientConnectionError as exc:
        if isinstance(exc, TimeoutError) or not request.reused or request.connection.heard:  # type: ignore[union-attr]
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
