"""The transport of an SDK over httpx2: aiohttp, without a pool limit, redirects, cookies, proxies or .netrc.

It needs the extra `aura-server[sdk]`.
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import lru_cache
from typing import Any

import aiohttp
import httpx2
from aiohttp import ClientConnectorCertificateError, ClientConnectorDNSError, ClientSSLError
from httpx_aiohttp.httpx2 import AiohttpTransport
from httpx_aiohttp.httpx2.transport import AiohttpResponseStream

from aura_core.errors import ProviderError
from aura_core.streams.aiohttp_body import AiohttpBody
from aura_core.streams.body import error_body
from aura_core.streams.connections import session
from aura_core.streams.failure import Endpoint, bad_response, status_error
from aura_core.streams.prepared import PreparedPost


def certificates(url: str) -> ssl.SSLContext:
    """The certificates that TLS trusts, with SSL_CERT_FILE. Reading them takes 20 ms or more, so only for TLS."""
    verify = True if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Called for both: otherwise httpx2 would import modules later, on the event loop.
    return httpx2.create_ssl_context(verify=verify)


@asynccontextmanager
async def http_client(context: ssl.SSLContext, connect_timeout: float) -> AsyncIterator[httpx2.AsyncClient]:
    """A client for one server."""
    # "pool" is aiohttp's time for a connection, including DNS; the core limits how long an answer may take.
    timeout = httpx2.Timeout(None, connect=connect_timeout, pool=connect_timeout)
    async with HttpClient(Transport(context), timeout) as client:
        yield client


_OWN_HEADERS = {"accept-encoding": "identity"}
_BEYOND = ("data", "files", "json", "params", "cookies", "extensions")
"""What a question to a model does not have; httpx2 makes requests that have it."""
QUESTION = "aura_question"
"""The key of a request's extensions that holds its address and body, where it is a question."""
MOST_PREPARED = 64
"""Addresses of one server that are prepared; Azure has one for each model."""
# Neither of these can be changed.
_timeout = lru_cache(maxsize=64)(aiohttp.ClientTimeout)
_url = lru_cache(maxsize=64)(httpx2.URL)


class HttpClient(httpx2.AsyncClient):
    """httpx2's client, but it sends the SDK's request unchanged: no cookies, redirects, proxies or .netrc.

    httpx2's own `send` would tie each response to its stream, so that bytes read ahead stay until the garbage collector
    runs.
    """

    def __init__(self, transport: httpx2.AsyncBaseTransport, timeout: httpx2.Timeout) -> None:
        super().__init__(transport=transport, timeout=timeout, headers=_OWN_HEADERS, trust_env=False)
        self._direct = transport

    def build_request(
        self, method: str, url: httpx2.URL | str, *, content: Any = None, headers: Any = None, **more: Any
    ) -> httpx2.Request:
        """The SDK's request. For a question it is made without merging what this client does not have: a base address,
        cookies, parameters; that takes half of the time."""
        timeout = more.get("timeout")
        plain = method.upper() == "POST" and type(content) is bytes and not any(map(more.get, _BEYOND))
        if not plain or not isinstance(timeout, httpx2.Timeout):
            return super().build_request(method, url, content=content, headers=headers, **more)
        given = headers if isinstance(headers, list) else httpx2.Headers(headers).multi_items()
        own = [header for header in given if header[0].lower() not in _OWN_HEADERS]
        address = str(url)
        return httpx2.Request(
            method,
            _url(address),
            headers=httpx2.Headers([*own, *_OWN_HEADERS.items()]),
            stream=httpx2.ByteStream(content),
            extensions={"timeout": timeout.as_dict(), QUESTION: (address, content)},
        )

    async def send(self, request: httpx2.Request, *, stream: bool = False, **_: Any) -> httpx2.Response:
        """The response; the body of a stream is not read yet. Raises httpx2.TransportError."""
        response = await self._direct.handle_async_request(request)
        response.request = request
        if not stream:
            try:
                await response.aread()
            finally:
                await response.aclose()
        return response


class Transport(AiohttpTransport):
    """httpx-aiohttp's transport, with its exceptions corrected (it reports refused connections as timeouts), and with a
    limit for the bodies of errors. A question is sent with what was prepared for its address."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._session = session(context)
        self._prepared: dict[str, PreparedPost] = {}
        super().__init__(verify=context, client=self._session)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        question: tuple[str, bytes] | None = request.extensions.get(QUESTION)
        asked = super().handle_async_request(request) if question is None else self._ask(request, *question)
        try:
            response = await asked
        except httpx2.TimeoutException as exc:
            if isinstance(exc.__cause__, TimeoutError):
                raise
            raise httpx2.ConnectError(str(exc), request=request) from exc.__cause__
        except TimeoutError as exc:
            raise httpx2.ConnectTimeout(str(exc), request=request) from exc
        except aiohttp.ClientConnectionError as exc:
            raise httpx2.ConnectError(str(exc), request=request) from exc
        except aiohttp.ClientError as exc:  # not HTTP, or invalid; httpx-aiohttp 0.2 does not translate it
            raise httpx2.RemoteProtocolError(type(exc).__name__, request=request) from exc
        if response.status_code < 300:
            return response
        beginning = _Beginning(response)
        response.headers.pop("content-encoding", None)  # the stream below is decoded
        return httpx2.Response(
            response.status_code,
            headers=response.headers,
            stream=beginning,
            extensions=response.extensions,
        )

    async def _ask(self, request: httpx2.Request, address: str, content: bytes) -> httpx2.Response:
        prepared = self._prepared.get(address)
        if prepared is None:
            prepared = PreparedPost(self._session, address)
            if len(self._prepared) < MOST_PREPARED:
                self._prepared[address] = prepared
        limits = request.extensions["timeout"]
        timeout = _timeout(connect=limits["pool"], sock_connect=limits["connect"], sock_read=limits["read"])
        answer = await prepared.send(request.headers.raw, content, timeout)
        stream = AiohttpResponseStream(answer)  # type: ignore[arg-type]  # an Answer has all that it uses
        response = httpx2.Response(answer.status, headers=list(answer.raw_headers), stream=stream)
        response.headers.encoding = "iso-8859-1"  # else httpx2 decodes all of them for the first look at one
        return response


class _Beginning(httpx2.AsyncByteStream):
    """The beginning of an error's body: the SDK reads a body to its end before it reports the status."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self._read = AiohttpBody(response, "It").read

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield await error_body(self._read, aiohttp.ClientError)

    async def aclose(self) -> None:
        await self._response.aclose()


def request_error(server: Endpoint, exc: BaseException, model: str, connect_timeout: float) -> ProviderError:
    """The exception of an SDK as a ProviderError: by the response that it holds, else by the error of httpx2 that
    caused it. `connect_timeout` is in seconds."""
    response = getattr(exc, "response", None)
    if isinstance(response, httpx2.Response):
        body = b""
        with suppress(httpx2.StreamError):
            body = response.content
        return status_error(server, response.status_code, response.headers, body, model)
    causes = _causes(exc)
    if any(isinstance(cause, httpx2.TimeoutException) for cause in causes):
        said = f"{server.name} took no connection within {connect_timeout:g} s (connect_timeout)."
        return ProviderError(said, "timeout")
    if any(isinstance(cause, httpx2.RemoteProtocolError) for cause in causes):
        return bad_response(server)
    if any(isinstance(cause, httpx2.TransportError) for cause in causes):
        return ProviderError(f"{server.name} {_why(causes)}", "unavailable")
    return ProviderError(f"{server.name} could not be asked ({type(exc).__name__}).", "llm_error")


def _causes(exc: BaseException) -> list[BaseException]:
    causes: list[BaseException] = []
    while (cause := exc.__cause__) is not None and cause not in causes:
        causes.append(cause)
        exc = cause
    return causes


def _why(causes: list[BaseException]) -> str:
    """Why a connection failed, in words."""
    if any(isinstance(cause, ClientConnectorDNSError) for cause in causes):
        return "has no address; is the name of the host right?"
    if any(isinstance(cause, (ClientSSLError, ClientConnectorCertificateError)) for cause in causes):
        return "has no certificate that is trusted here; SSL_CERT_FILE may name one."
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return "does not answer; is it running, and is the address right?"
    return "closed the connection, or cannot be reached."
