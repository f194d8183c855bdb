"""The way to one Ollama server."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import httpx

from aura_core import ProviderError, secret
from aura_core.streams import AiohttpBody, PreparedPost, error_body, session, status_error, whole_body
from aura_ollama.errors import server
from aura_ollama.settings import OllamaSettings


@asynccontextmanager
async def connect(settings: OllamaSettings) -> AsyncIterator["OllamaClient"]:
    """A client for one server."""
    # Reading the certificates takes longer than all the rest, and most servers are local.
    https = settings.url().startswith("https:")
    context = httpx.create_ssl_context() if https else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # `connect` is aiohttp's time for everything before the request, including a slow resolver.
    limit = settings.connect_timeout
    timeout = aiohttp.ClientTimeout(None, connect=limit, sock_connect=limit)
    async with session(context, timeout=timeout, auto_decompress=False) as own:
        yield OllamaClient(own, settings)


class OllamaClient:
    """Sends requests, and raises what went wrong as ProviderError.

    Nothing here follows a redirect or uses proxies or a .netrc: the key goes to this server only.
    """

    def __init__(self, own: aiohttp.ClientSession, settings: OllamaSettings) -> None:
        self._session = own
        self._settings = settings
        self._url = settings.url()
        self._base = httpx.URL(self._url + "/")
        headers = {"accept-encoding": "identity", "content-type": "application/json"}
        key = secret(settings, "api_key")
        if key:
            headers["authorization"] = f"Bearer {key}"
        self.server = server(settings, key)
        self._headers = headers
        self._chat = PreparedPost(own, self._address("api/chat"), headers)

    def _address(self, path: str) -> str:
        return str(self._base.join(path))

    def chat(self, content: bytes, model: str, headers: Mapping[str, str]) -> Awaitable[AiohttpBody]:
        """Request an answer; the caller reads its body, and then closes it. Raises ProviderError."""
        given = [(name.encode(), value.encode()) for name, value in headers.items()]
        return self._body(self._chat.send(given, content, self._session.timeout), model)

    async def get(self, path: str) -> bytes:
        """The whole body of a resource. Raises ProviderError."""
        return await self._whole("GET", path)

    async def post(self, path: str, content: bytes) -> bytes:
        """The whole answer to a question that is not a chat. Raises ProviderError."""
        return await self._whole("POST", path, content)

    async def _whole(self, method: str, path: str, content: bytes | None = None) -> bytes:
        asked = self._session.request(
            method, self._address(path), data=content, headers=self._headers, allow_redirects=False
        )
        body = await self._body(asked)
        try:
            return await whole_body(body.read, self.server.name)
        except aiohttp.ClientError as exc:
            raise ProviderError(f"The connection to Ollama at {self._url} was lost.", "unavailable") from exc
        finally:
            await body.aclose()

    async def _body(self, asked: Awaitable[Any], model: str = "") -> AiohttpBody:
        """The body of a response, where its status is 200. Raises ProviderError."""
        where = self._url
        try:
            response = await asked
        except TimeoutError as exc:
            limit = self._settings.connect_timeout
            raise ProviderError(
                f"No connection to Ollama at {where} within {limit:g} s (connect_timeout).", "timeout"
            ) from exc
        except aiohttp.ClientConnectionError as exc:
            raise ProviderError(
                f"Ollama does not answer at {where}; is it running? Start it with: ollama serve", "unavailable"
            ) from exc
        except aiohttp.ClientError as exc:  # not HTTP, or invalid
            raise ProviderError(f"The server at {where} is not Ollama.", "bad_response") from exc
        body = AiohttpBody(response, self.server.name)
        if response.status == 200:
            return body
        try:
            said = await error_body(body.read, aiohttp.ClientError)
        finally:
            await body.aclose()
        raise status_error(self.server, response.status, response.headers, said, model)
