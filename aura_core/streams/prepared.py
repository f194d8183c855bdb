"""Ask one address again and again: what is the same for each request is made once, and the rest by aiohttp's parts."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from aura_core.streams.connections import READ_AHEAD, STALE, Connection, Connector, Request, went_stale

Headers = Iterable[tuple[bytes, bytes]]
SWITCHING = 101  # it ends a request, unlike the other interim responses
_FRAMING = {b"content-length", b"transfer-encoding", b"connection"}
_NO_HEADERS: Mapping[str, str] = {}


class _Uncounted(tuple[int, ...]):
    """In place of aiohttp's list of where a body's chunks end, which nobody here asks for: it takes 760 bytes for each
    answer, and time for each token."""

    __slots__ = ()

    def append(self, _end: int) -> None:
        """Forget it."""


_UNCOUNTED = _Uncounted()


class Answer:
    """A response whose head has arrived, with what is used of aiohttp's: `status`, `headers`, `raw_headers`, `content`.

    Whoever gets it closes it: `async with answer`.
    """

    __slots__ = ("_connection", "content", "headers", "raw_headers", "status")

    def __init__(self, connection: Any, message: Any, content: aiohttp.StreamReader) -> None:
        """`message` is the head as aiohttp's parser gives it."""
        self._connection = connection
        self.status: int = message.code
        self.headers = message.headers
        self.raw_headers: Headers = message.raw_headers
        self.content = content
        if type(content) is aiohttp.StreamReader:  # not the empty one, which all share
            content._http_chunk_splits = _UNCOUNTED  # type: ignore[assignment]  # all that is used of it
        content.on_eof(self._release)

    async def __aenter__(self) -> "Answer":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def aclose(self) -> None:
        """`close`, as AiohttpBody has it."""
        self.close()

    def close(self) -> None:
        """Keep the connection if the body is complete; otherwise close it, which stops the server."""
        if self._connection is not None:
            if self.content.exception() is None:
                self.content.set_exception(aiohttp.ClientConnectionError("the answer was closed"))
            self._release()

    def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.release()


class PreparedPost:
    """POST to one address over a `session`. A request takes half of the CPU that it takes with aiohttp's own, which
    makes an address, headers, a request, a task that writes it, and a response each time; an open answer takes less
    memory.

    It follows no redirect, asks for no coding and decodes none, and replaces stale connections, as `session` does.
    """

    def __init__(self, own: aiohttp.ClientSession, url: str, headers: Mapping[str, str] = _NO_HEADERS) -> None:
        """`headers` go with every request, in lower case."""
        connector = own.connector
        assert isinstance(connector, Connector)
        self._connector = connector
        # It names the connection, and is never sent itself.
        loop = asyncio.get_running_loop()
        target = Request(
            "POST",
            URL(url),
            headers={"accept-encoding": "identity", **headers},
            loop=loop,
            session=own,
            skip_auto_headers=["content-type"],
        )
        self._target = target
        self._begin = b"POST %b HTTP/1.1\r\n" % target.url.raw_path_qs.encode()
        usual = [(name.lower().encode(), value.encode()) for name, value in target.headers.items()]
        self._usual = {name: b"%b: %b\r\n" % (name, value) for name, value in usual if name not in _FRAMING}
        self._all_usual = b"".join(self._usual.values())

    async def send(self, headers: Headers, content: bytes, timeout: aiohttp.ClientTimeout) -> Answer:
        """Send a request, with these headers before the usual ones. Raises what aiohttp does: TimeoutError if there is
        no connection in time, aiohttp.ClientError; and ValueError for a header that is more than a line."""
        head = self._head(headers, len(content))
        fresh = False
        while True:
            try:
                connection: Any = await self._connector.take(self._target, fresh, traces=[], timeout=timeout)
            except TimeoutError as exc:
                raise aiohttp.ConnectionTimeoutError(f"no connection to {self._target.host} in time") from exc
            protocol = connection.protocol
            try:
                answer = await _ask(connection, (head, content), timeout, self._target)
            except aiohttp.ClientConnectionError as exc:
                if not went_stale(protocol, exc):
                    raise
            else:
                if answer.status != STALE or not (isinstance(protocol, Connection) and protocol.reused):
                    return answer
                answer.close()
            fresh = True

    def _head(self, headers: Headers, length: int) -> bytes:
        lines = []
        replaced = set()
        for given, value in headers:
            name = given.lower()
            if name in self._usual:
                replaced.add(name)
            if name not in _FRAMING:
                lines.append(b"%b: %b\r\n" % (name, value))
        usual, own = self._all_usual, b"".join(lines)
        if replaced:
            usual = b"".join([line for name, line in self._usual.items() if name not in replaced])
        head = b"%b%b%bcontent-length: %d\r\n\r\n" % (self._begin, usual, own, length)
        ends = len(self._usual) - len(replaced) + len(lines) + 3
        if head.count(b"\n") != ends or head.count(b"\r") != ends or b"\0" in head:
            raise ValueError("a header holds a line break")
        return head


async def _ask(connection: Any, request: Iterable[bytes], timeout: aiohttp.ClientTimeout, target: Request) -> Answer:
    protocol = connection.protocol
    try:
        protocol.set_response_params(
            read_until_eof=True, auto_decompress=False, read_timeout=timeout.sock_read, read_bufsize=READ_AHEAD
        )
        transport = protocol.transport
        if transport is None or transport.is_closing():
            raise aiohttp.ClientConnectionResetError("the connection was closed")
        transport.write(b"".join(request))
        protocol.start_timeout()
        while True:
            message, content = await protocol.read()
            if not 100 <= message.code < 200 or message.code == SWITCHING:
                return Answer(connection, message, content)
    except HttpProcessingError as exc:
        connection.close()
        raise aiohttp.ClientResponseError(
            target.request_info, (), status=exc.code, message=exc.message, headers=exc.headers
        ) from exc
    except BaseException:
        connection.close()
        raise
