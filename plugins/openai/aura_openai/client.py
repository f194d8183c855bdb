"""One server, reached with the official SDK: it does authentication, addresses and status errors, but no decoding."""

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx2
import openai
from aiohttp import ClientConnectorCertificateError, ClientConnectorDNSError, ClientSSLError
from openai import AsyncOpenAI, AsyncStream, Omit, omit

from aura_core import ProviderError
from aura_core.streams import AiohttpBody, Endpoint, bad_response, status_error

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
            raise self.explain(exc, model) from exc
        return AiohttpBody(response, self.server.name)

    async def get(self, path: str) -> bytes:
        """The body of an answer. Raises ProviderError."""
        try:
            response = await self._sdk.get(path, cast_to=httpx2.Response, options={"headers": self._headers})
        except openai.OpenAIError as exc:
            raise self.explain(exc, "") from exc
        return response.content

    def explain(self, exc: openai.OpenAIError, model: str) -> ProviderError:
        """An error of the SDK as a ProviderError."""
        name = self.server.name
        if isinstance(exc, openai.APIStatusError):
            body = b""
            with suppress(httpx2.StreamError):
                body = exc.response.content
            return status_error(self.server, exc.status_code, exc.response.headers, body, model)
        if isinstance(exc, openai.APITimeoutError):
            limit = self._connect_timeout
            return ProviderError(f"{name} took no connection within {limit:g} s (connect_timeout).", "timeout")
        if isinstance(exc, openai.APIConnectionError):
            causes = _causes(exc)
            if any(isinstance(cause, httpx2.RemoteProtocolError) for cause in causes):
                return bad_response(self.server)
            return ProviderError(f"{name} {_why(causes)}", "unavailable")
        return ProviderError(f"{name} could not be asked ({type(exc).__name__}).", "llm_error")


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
