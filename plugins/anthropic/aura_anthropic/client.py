"""One server, reached with the official SDK: it does authentication, addresses and status errors, but no decoding."""

from collections.abc import Mapping
from typing import Any

import anthropic
import httpx2
from anthropic import AsyncAnthropic, AsyncStream, Omit

from aura_core.streams import AiohttpBody, Endpoint, request_error


class Anthropic(AsyncAnthropic):
    """An SDK client that sends the headers of its instance, and none from ANTHROPIC_CUSTOM_HEADERS."""

    own_headers: Mapping[str, str] = {}

    @property
    def default_headers(self) -> dict[str, str | Omit]:
        return {
            **self.auth_headers,
            "anthropic-version": super().default_headers["anthropic-version"],
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
            "User-Agent": f"aura-anthropic anthropic-python/{anthropic.__version__}",
            **self.own_headers,
        }


class AnthropicClient:
    """An SDK client, and the texts for its errors. `headers` go with every request."""

    def __init__(
        self, sdk: AsyncAnthropic, server: Endpoint, connect_timeout: float, official: bool, headers: Mapping[str, Any]
    ) -> None:
        self.server = server
        self.official = official
        self._sdk = sdk
        self._connect_timeout = connect_timeout
        self._headers = headers

    async def post(self, path: str, content: bytes, model: str, headers: Mapping[str, str]) -> AiohttpBody:
        """Send a request; the caller reads the response's body, and then closes it. Raises ProviderError."""
        try:
            # The SDK has no type for a raw streamed response; it returns a `cast_to`.
            response: Any = await self._sdk.post(
                path,
                cast_to=httpx2.Response,
                content=content,
                options={"headers": {**self._headers, **headers}},
                stream=True,
                stream_cls=AsyncStream[object],
            )
        except anthropic.AnthropicError as exc:
            raise request_error(self.server, exc, model, self._connect_timeout) from exc
        return AiohttpBody(response, self.server.name)

    async def get(self, path: str) -> bytes:
        """The body of an answer. Raises ProviderError."""
        try:
            response = await self._sdk.get(path, cast_to=httpx2.Response, options={"headers": self._headers})
        except anthropic.AnthropicError as exc:
            raise request_error(self.server, exc, "", self._connect_timeout) from exc
        return response.content
