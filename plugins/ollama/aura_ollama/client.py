"""The way to one Ollama server: httpx's requests and responses over aiohttp's transport."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import httpx
from aiohttp.http_exceptions import HttpProcessingError
from httpx_aiohttp import AiohttpTransport

from aura_core import ProviderError
from aura_core.streams import Read, decoding, status_error
from aura_ollama.connections import session
from aura_ollama.errors import server
from aura_ollama.settings import OllamaSettings

BODY_LIMIT = 8 * 1024 * 1024
ERROR_LIMIT = 64 * 1024
ERROR_SECONDS = 5.0


@asynccontextmanager
async def connect(settings: OllamaSettings) -> AsyncIterator["OllamaClient"]:
    """A client for one server."""
    # Reading the certificates takes longer than everything else here, and most servers are local.
    https = settings.url().startswith("https:")
    context = httpx.create_ssl_context() if https else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    own = session(context)
    async with AiohttpTransport(verify=context, client=own) as transport:
        yield OllamaClient(transport, settings)


class Body:
    """A response's body, which is all that is kept of it while it comes.

    It is read from aiohttp: the way through httpx leads every piece through more generators, a tenth of a token's cost.
    `read` gives what has come, b"" at its end; it raises aiohttp.ClientError where it is cut off, after all that came
    before, and ProviderError where it is coded and can't be read.
    """

    def __init__(self, response: httpx.Response, server: str) -> None:
        stream: Any = response.stream
        self.aclose: Callable[[], Awaitable[None]] = stream.aclose
        # No method of its own: that would tie what was read ahead to itself, until the garbage collector finds it.
        read = _reader(stream._aiohttp_response.content)
        self.read = decoding(read, response.headers.get("content-encoding"), server)


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


class OllamaClient:
    """Asks, and tells what went wrong.

    It is no httpx.AsyncClient, which merges addresses, headers and cookies for each request (a tenth of its cost), and
    ties each response to its stream, so that what was read ahead stays until the garbage collector finds it. Nothing
    here follows a redirect or looks for proxies or a .netrc: the key goes to this server only.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport, settings: OllamaSettings) -> None:
        self._transport = transport
        self._settings = settings
        self._base = httpx.URL(settings.url() + "/")
        self._chat = self._base.join("api/chat")
        self._headers = httpx.Headers({"accept-encoding": "identity", "content-type": "application/json"})
        key = _key(settings.api_key_env)
        if key:
            self._headers["authorization"] = f"Bearer {key}"
        self.server = server(settings, key)
        # aiohttp's transport takes `pool` for all that comes before the request, a slow resolver included.
        limit = settings.connect_timeout
        self._extensions = {"timeout": {"connect": limit, "pool": limit}}

    async def chat(self, content: bytes, model: str) -> Body:
        """Ask for an answer, whose body is still to be read, and then to be closed. Raises ProviderError."""
        request = httpx.Request("POST", self._chat, headers=self._headers, content=content, extensions=self._extensions)
        return await self._send(request, model)

    async def get(self, path: str) -> bytes:
        """The whole body of a resource. Raises ProviderError."""
        url = self._base.join(path)
        body = await self._send(httpx.Request("GET", url, headers=self._headers, extensions=self._extensions))
        whole = bytearray()
        try:
            while chunk := await body.read():
                whole += chunk
                if len(whole) > BODY_LIMIT:
                    raise ProviderError("Ollama's answer is longer than 8 MiB.", "bad_response")
            return bytes(whole)
        except aiohttp.ClientError as exc:
            where = self._settings.url()
            raise ProviderError(f"The connection to Ollama at {where} was lost.", "unavailable") from exc
        finally:
            await body.aclose()

    async def _send(self, request: httpx.Request, model: str = "") -> Body:
        where = self._settings.url()
        try:
            response = await self._transport.handle_async_request(request)
        except httpx.TransportError as exc:
            # httpx-aiohttp calls refused and dropped connections ConnectTimeout as well; only the cause tells.
            if isinstance(exc, httpx.TimeoutException) and isinstance(exc.__cause__, TimeoutError):
                limit = self._settings.connect_timeout
                raise ProviderError(
                    f"No connection to Ollama at {where} within {limit:g} s (connect_timeout).", "timeout"
                ) from exc
            raise ProviderError(
                f"Ollama does not answer at {where}; is it running? Start it with: ollama serve", "unavailable"
            ) from exc
        except aiohttp.ClientError as exc:  # no HTTP, or broken; httpx-aiohttp 0.2 lets it pass as it is
            raise ProviderError(f"What answers at {where} is no Ollama server.", "bad_response") from exc
        body = Body(response, self.server.name)
        if response.status_code == 200:
            return body
        try:
            said = await _beginning(body)
        finally:
            await body.aclose()
        raise status_error(self.server, response.status_code, response.headers, said, model)


def _key(variable: str) -> str:
    """The key that a variable holds, "" where there is none. Raises ProviderError, without the key."""
    key = os.environ.get(variable or " ", "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ProviderError(
            f"The variable {variable} holds characters that no header can carry; set it to the key alone.", "auth"
        )
    return key


async def _beginning(body: Body) -> bytes:
    """The beginning of an error's body, as far as it comes soon."""
    said = b""
    try:
        async with asyncio.timeout(ERROR_SECONDS):
            while len(said) <= ERROR_LIMIT and (chunk := await body.read()):
                said += chunk
    except (TimeoutError, aiohttp.ClientError):
        pass  # the status alone says enough
    except ProviderError as exc:
        said += exc.message.encode()  # the words can't be read; why is all that can be told besides the status
    return said
