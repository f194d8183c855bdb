"""The way to one Ollama server: httpx's requests and responses over aiohttp's transport."""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from aura_core import ProviderError, secret
from aura_core.streams import AiohttpBody, error_body, session, status_error, whole_body
from aura_ollama.errors import server
from aura_ollama.settings import OllamaSettings


@asynccontextmanager
async def connect(settings: OllamaSettings) -> AsyncIterator["OllamaClient"]:
    """A client for one server."""
    # Reading the certificates takes longer than all the rest, and most servers are local.
    https = settings.url().startswith("https:")
    context = httpx.create_ssl_context() if https else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    own = session(context)
    async with AiohttpTransport(verify=context, client=own) as transport:
        yield OllamaClient(transport, settings)


class OllamaClient:
    """Sends requests, and raises what went wrong as ProviderError.

    It is not an httpx.AsyncClient, which merges addresses, headers and cookies for each request (a tenth of its cost),
    and ties each response to its stream, so that bytes read ahead stay until the garbage collector runs. Nothing here
    follows a redirect or uses proxies or a .netrc: the key goes to this server only.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport, settings: OllamaSettings) -> None:
        self._transport = transport
        self._settings = settings
        self._url = settings.url()
        self._base = httpx.URL(self._url + "/")
        self._chat = self._base.join("api/chat")
        headers = {"accept-encoding": "identity", "content-type": "application/json"}
        key = secret(settings, "api_key")
        if key:
            headers["authorization"] = f"Bearer {key}"
        self.server = server(settings, key)
        # aiohttp's transport uses `pool` for everything before the request, including a slow resolver.
        limit = settings.connect_timeout
        extensions = {"timeout": {"connect": limit, "pool": limit}}
        self._headers = headers
        self._common: dict[str, Any] = {"extensions": extensions}

    async def chat(self, content: bytes, model: str, headers: Mapping[str, str]) -> AiohttpBody:
        """Request an answer; the caller reads its body, and then closes it. Raises ProviderError."""
        # With a stream httpx adds no headers; aiohttp adds the host and the length.
        given = {**self._headers, **headers}
        request = httpx.Request("POST", self._chat, headers=given, stream=httpx.ByteStream(content), **self._common)
        request.read()
        return await self._send(request, model)

    async def get(self, path: str) -> bytes:
        """The whole body of a resource. Raises ProviderError."""
        return await self._whole(httpx.Request("GET", self._base.join(path), headers=self._headers, **self._common))

    async def post(self, path: str, content: bytes) -> bytes:
        """The whole answer to a question that is not a chat. Raises ProviderError."""
        url = self._base.join(path)
        return await self._whole(httpx.Request("POST", url, headers=self._headers, content=content, **self._common))

    async def _whole(self, request: httpx.Request) -> bytes:
        body = await self._send(request)
        try:
            return await whole_body(body.read, self.server.name)
        except aiohttp.ClientError as exc:
            raise ProviderError(f"The connection to Ollama at {self._url} was lost.", "unavailable") from exc
        finally:
            await body.aclose()

    async def _send(self, request: httpx.Request, model: str = "") -> AiohttpBody:
        where = self._url
        try:
            response = await self._transport.handle_async_request(request)
        except httpx.TransportError as exc:
            # httpx-aiohttp also raises ConnectTimeout for refused and dropped connections; only the cause differs.
            if isinstance(exc, httpx.TimeoutException) and isinstance(exc.__cause__, TimeoutError):
                limit = self._settings.connect_timeout
                raise ProviderError(
                    f"No connection to Ollama at {where} within {limit:g} s (connect_timeout).", "timeout"
                ) from exc
            raise ProviderError(
                f"Ollama does not answer at {where}; is it running? Start it with: ollama serve", "unavailable"
            ) from exc
        except aiohttp.ClientError as exc:  # not HTTP, or invalid; httpx-aiohttp 0.2 does not translate it
            raise ProviderError(f"The server at {where} is not Ollama.", "bad_response") from exc
        body = AiohttpBody(response, self.server.name)
        if response.status_code == 200:
            return body
        try:
            said = await error_body(body.read, aiohttp.ClientError)
        finally:
            await body.aclose()
        raise status_error(self.server, response.status_code, response.headers, said, model)
