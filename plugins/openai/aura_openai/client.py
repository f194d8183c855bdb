"""One server, reached with the official SDK: it does authentication, addresses and status errors, but no decoding."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import httpx2
import openai
from openai import AsyncOpenAI, AsyncStream, Omit, omit

from aura_core.streams import AiohttpBody, Endpoint, request_error

if TYPE_CHECKING:
    Base = AsyncOpenAI
else:
    Base = object

NO_HEADERS: Mapping[str, str] = {}


class OwnHeaders(Base):
    """An SDK client that sends the headers of its instance, and none from OPENAI_CUSTOM_HEADERS and the like."""

    own_headers: Mapping[str, str] = {}

    @property
    def default_headers(self) -> dict[str, str | Omit]:
        return {
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
            "User-Agent": f"aura-openai openai-python/{openai.__version__}",
            **self.own_headers,
        }


class OpenAI(OwnHeaders, AsyncOpenAI):
    """The SDK's client."""


class OpenAIClient:
    """An SDK client, and the texts for its errors. `authorized`: whether it has a credential to send."""

    def __init__(self, sdk: AsyncOpenAI, server: Endpoint, connect_timeout: float, authorized: bool = True) -> None:
        self.server = server
        self._sdk = sdk
        self._connect_timeout = connect_timeout
        # The SDK requires a key even if the server does not; then the header is left out.
        self._headers: Mapping[str, str | Omit] = {} if authorized else {"Authorization": omit}

    async def post(self, path: str, content: bytes, model: str, headers: Mapping[str, str] = NO_HEADERS) -> AiohttpBody:
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
        except openai.OpenAIError as exc:
            raise request_error(self.server, exc, model, self._connect_timeout) from exc
        return AiohttpBody(response, self.server.name)

    async def get(self, path: str) -> bytes:
        """The body of an answer. Raises ProviderError."""
        try:
            response = await self._sdk.get(path, cast_to=httpx2.Response, options={"headers": self._headers})
        except openai.OpenAIError as exc:
            raise request_error(self.server, exc, "", self._connect_timeout) from exc
        return response.content
