"""A server that speaks length-prefixed JSON over HTTP: four bytes of length, big-endian, then a JSON object."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from aura_core import ChatRequest, ProviderError, Token, Usage, hookimpl, secret

if TYPE_CHECKING:
    import httpx

FRAME_LIMIT = 8 * 1024 * 1024
CODES = {401: "auth", 402: "quota_exceeded", 403: "auth", 429: "rate_limited"}


class FramedSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[providers.framed]`."""

    endpoint: Annotated[str, Meta(description="where the server answers", extra={"env": "FRAMED_ENDPOINT"})]
    token_env: Annotated[
        str, Meta(description="variable that holds the token", extra={"own_default": "FRAMED_TOKEN"})
    ] = ""
    token_file: Annotated[str, Meta(description="file that holds the token; it wins over token_env")] = ""


class Frame(msgspec.Struct):
    """One frame of an answer."""

    t: str = ""
    end: str | None = None
    counts: tuple[int, int] | None = None
    fault: str | None = None


@hookimpl
def provider_settings() -> type[msgspec.Struct]:
    return FramedSettings


@hookimpl
def open_client(settings: FramedSettings) -> "AbstractAsyncContextManager[httpx.AsyncClient]":
    import httpx

    token = secret(settings, "token")
    return httpx.AsyncClient(
        headers={"accept-encoding": "identity"} | ({"x-token": token} if token else {}),
        timeout=httpx.Timeout(None, connect=10),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        follow_redirects=False,
        trust_env=False,
    )


@hookimpl
async def stream_chat(
    request: ChatRequest, settings: FramedSettings, client: "httpx.AsyncClient"
) -> AsyncIterator[Token]:
    import httpx

    question: dict[str, Any] = {
        **request.options,
        "model": request.model,
        "turns": [[m.role, m.content] for m in request.messages],
    }
    if request.temperature is not None:
        question["heat"] = request.temperature
    if request.max_tokens is not None:
        question["limit"] = request.max_tokens
    answered = False
    try:
        content = pack(question)
        async with client.stream("POST", settings.endpoint, content=content, headers=request.headers) as response:
            answered = True
            if response.status_code != 200:
                raise refused(response.status_code, response.headers.get("retry-after", ""))
            if coding := response.headers.get("content-encoding"):
                raise ProviderError(f"The answer is coded in {coding}, which was not asked for.", "bad_response")
            async with aclosing(frames(response.aiter_raw())) as found:
                async for data in found:
                    yield token(data)
    except httpx.TransportError:
        if not answered:
            raise ProviderError("The server does not answer; is endpoint right?", "unavailable") from None


def pack(value: Any) -> bytes:
    """A value as a frame."""
    data = msgspec.json.encode(value)
    return len(data).to_bytes(4, "big") + data


async def frames(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The JSON of each complete frame."""
    rest = bytearray()
    async for chunk in chunks:
        rest += chunk
        while len(rest) >= 4:
            end = 4 + int.from_bytes(rest[:4], "big")
            if end > FRAME_LIMIT:
                raise nonsense()
            if len(rest) < end:
                break
            yield bytes(rest[4:end])
            del rest[:end]


def token(data: bytes) -> Token:
    """The token of a frame."""
    try:
        frame = msgspec.json.decode(data, type=Frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise nonsense() from None
    if frame.fault is not None:
        raise ProviderError(f"The server failed: {frame.fault}")
    return Token(frame.t, finish_reason=frame.end, usage=Usage(*frame.counts) if frame.counts else None)


def refused(status: int, retry_after: str) -> ProviderError:
    """The error for a status other than 200."""
    wait = float(retry_after) if retry_after.isdecimal() else None
    code: Any = CODES.get(status) or ("unavailable" if status in (500, 502, 503, 504, 520, 524, 529) else None)
    code = code or ("bad_request" if 400 <= status < 500 else "llm_error")
    return ProviderError(f"The server answered with status {status}.", code, wait)


def nonsense() -> ProviderError:
    """The error for a response in another protocol."""
    return ProviderError("The server does not speak this protocol; is endpoint right?", "bad_response")
