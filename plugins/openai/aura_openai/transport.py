"""The SDK's way to the network: aiohttp, without a pool limit, without redirects, cookies, proxies or .netrc."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import httpx2
from aiohttp.http_exceptions import HttpProcessingError
from httpx_aiohttp.httpx2 import AiohttpTransport

from aura_core.streams import Read, decoding, error_body, upstream_id
from aura_openai.connections import session


def certificates(url: str) -> ssl.SSLContext:
    """What TLS trusts, SSL_CERT_FILE included. Reading it takes 20 ms or more, so it is left out without TLS."""
    verify = True if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Called for both: it imports what httpx2 would else import later, on the event loop.
    return httpx2.create_ssl_context(verify=verify)


@asynccontextmanager
async def http_client(context: ssl.SSLContext, connect_timeout: float) -> AsyncIterator[httpx2.AsyncClient]:
    """A client for one server."""
    # "pool" is aiohttp's whole way to a connection, names included; the core limits how long an answer may take.
    timeout = httpx2.Timeout(None, connect=connect_timeout, pool=connect_timeout)
    async with HttpClient(Transport(verify=context, client=session(context)), timeout) as client:
        yield client


class HttpClient(httpx2.AsyncClient):
    """httpx2's, which sends what the SDK made as it is: no cookies, no redirects, no proxies, no .netrc.

    httpx2's own `send` would tie each response to its stream, so that what was read ahead stays until the garbage
    collector finds it.
    """

    def __init__(self, transport: httpx2.AsyncBaseTransport, timeout: httpx2.Timeout) -> None:
        super().__init__(transport=transport, timeout=timeout, headers={"accept-encoding": "identity"}, trust_env=False)
        self._direct = transport

    async def send(self, request: httpx2.Request, *, stream: bool = False, **_: Any) -> httpx2.Response:
        """The response; its body is still to be read where it is a stream. Raises httpx2.TransportError."""
        response = await self._direct.handle_async_request(request)
        response.request = request
        if not stream:
            try:
                await response.aread()
            finally:
                await response.aclose()
        return response


class Transport(AiohttpTransport):
    """httpx-aiohttp's, which calls refused and dropped connections timeouts, and lets an error's body be endless."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            response = await super().handle_async_request(request)
        except httpx2.TimeoutException as exc:
            if isinstance(exc.__cause__, TimeoutError):
                raise
            raise httpx2.ConnectError(str(exc), request=request) from exc.__cause__
        except aiohttp.ClientError as exc:  # no HTTP, or broken; httpx-aiohttp 0.2 lets it pass as it is
            raise httpx2.RemoteProtocolError(type(exc).__name__, request=request) from exc
        if response.status_code < 300:
            return response
        beginning = _Beginning(response)
        response.headers.pop("content-encoding", None)  # what is given on is decoded
        return httpx2.Response(
            response.status_code,
            headers=response.headers,
            stream=beginning,
            extensions=response.extensions,
        )


class Body:
    """A response's body, which is all that is kept of it while it comes.

    It is read from aiohttp: the way through httpx leads every piece through more generators, a tenth of a token's cost.
    `read` gives what has come, b"" at its end; it raises aiohttp.ClientError where it is cut off, after all that came
    before, and ProviderError where it is coded and can't be read.
    """

    def __init__(self, response: httpx2.Response, server: str) -> None:
        stream: Any = response.stream
        self.aclose: Callable[[], Awaitable[None]] = stream.aclose
        # No method of its own: that would tie what was read ahead to itself, until the garbage collector finds it.
        read = _reader(stream._aiohttp_response.content)
        self.read = decoding(read, response.headers.get("content-encoding"), server)
        self.upstream_id = upstream_id(response.headers)


def _reader(content: aiohttp.StreamReader) -> Read:
    async def read() -> bytes:
        try:
            return await content.readany()
        except (aiohttp.ClientError, HttpProcessingError) as exc:  # the latter is what aiohttp's parser in Python says
            # Once the connection is lost readany only raises, whatever it has read ahead.
            if rest := content._read_nowait(-1):
                return rest
            raise aiohttp.ClientPayloadError(type(exc).__name__) from exc

    return read


class _Beginning(httpx2.AsyncByteStream):
    """An error's body as far as it comes soon: the SDK reads it to its end before it says what the status was."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self._read = Body(response, "It").read

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield await error_body(self._read, aiohttp.ClientError)

    async def aclose(self) -> None:
        await self._response.aclose()
