"""Acme for Aura: answers stream from `POST /chat` as server-sent events."""

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from aura_core import ChatRequest, ProviderError, Token, Usage, hookimpl, secret
from aura_core.streams import SseReader

if TYPE_CHECKING:
    import httpx


class AcmeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[providers.acme]` in aura.toml."""

    base_url: Annotated[
        str,
        Meta(
            description="address of the server, without /chat",
            extra={"env": "ACME_BASE_URL", "own_default": "http://127.0.0.1:8000"},
        ),
    ]
    api_key_env: Annotated[
        str, Meta(description="variable that holds the API key", extra={"own_default": "ACME_API_KEY"})
    ] = ""
    api_key_file: Annotated[str, Meta(description="file that holds the API key; it goes before api_key_env")] = ""
    connect_timeout: Annotated[float, Meta(gt=0, le=600, description="seconds to wait for a connection")] = 10.0

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.base_url)
            known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:  # a port that is no number, say
            known = False
        if not known or re.search(r"[\s@?#]", self.base_url):
            raise ValueError("base_url: it must be http:// or https://, a host, and no user, query or fragment")


class Event(msgspec.Struct):
    """What the server says in one event."""

    text: str = ""
    thinking: str = ""
    finish: str | None = None
    usage: Any = None  # what an answer does not need is not required to be right
    error: Any = None


@hookimpl
def provider_settings() -> type[msgspec.Struct]:
    """The table `[providers.acme]`."""
    return AcmeSettings


@hookimpl
def open_client(settings: AcmeSettings) -> "AbstractAsyncContextManager[httpx.AsyncClient]":
    """One client for all answers. The core calls this in a worker thread: slow imports belong here."""
    import httpx

    @asynccontextmanager
    async def client() -> AsyncIterator[httpx.AsyncClient]:
        # identity: a server may compress what it is not told to leave as it is, and events() reads bytes as they are.
        headers = {"content-type": "application/json", "accept-encoding": "identity"}
        if key := secret(settings, "api_key"):
            headers["authorization"] = f"Bearer {key}"
        async with httpx.AsyncClient(
            base_url=settings.base_url,
            headers=headers,
            timeout=httpx.Timeout(None, connect=settings.connect_timeout),  # the core has the other limits
            # httpx's own limit would let the 101st answer wait. On a connection that is kept, it takes what came behind
            # an answer for the next one (httpcore 1.0), so each answer gets a new connection.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            follow_redirects=False,  # the key goes to the host that the operator named, and to no other
            trust_env=False,
        ) as opened:
            yield opened

    return client()


@hookimpl
async def stream_chat(
    request: ChatRequest, settings: AcmeSettings, client: "httpx.AsyncClient"
) -> AsyncIterator[Token]:
    """Stream an answer. Whoever leaves it closes the connection, and the server stops generating."""
    import httpx

    content, answered = msgspec.json.encode(body(request)), False
    try:
        async with client.stream("POST", "/chat", content=content, headers=request.headers) as response:
            answered = True
            if response.status_code != 200:
                raise status_error(response.status_code, response.headers.get("retry-after"), settings)
            if (coding := response.headers.get("content-encoding", "identity")) != "identity":
                raise ProviderError(f"Acme's answer is coded in {coding}, which was not asked for.", "bad_response")
            async with aclosing(events(response.aiter_raw())) as found:
                async for data in found:
                    yield token(data)
    except httpx.ConnectTimeout:
        limit = settings.connect_timeout
        raise ProviderError(f"No connection to Acme within {limit:g} s (connect_timeout).", "timeout") from None
    except httpx.TransportError:
        if not answered:  # refused, or closed before the status line, as an idle connection may be: the core asks again
            raise ProviderError(f"Acme does not answer at {settings.base_url}; is it running?", "unavailable") from None
        # Cut off: an answer that ends without a finish reason is an error for the core.


def body(request: ChatRequest) -> dict[str, Any]:
    """Only what somebody set is sent."""
    found = {**request.options, "model": request.model, "messages": request.messages, "stream": True}
    if request.temperature is not None:
        found["temperature"] = request.temperature
    if request.max_tokens is not None:
        found["max_tokens"] = request.max_tokens
    return found


async def events(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The data of each server-sent event."""
    reader = SseReader("Acme")
    async for chunk in chunks:
        for event in reader.feed(chunk):
            yield event.data


def token(data: bytes) -> Token:
    """What one event says."""
    try:
        event = msgspec.json.decode(data, type=Event)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise bad_response() from None
    if event.error is not None:
        raise ProviderError("Acme failed in the middle of the answer.", "llm_error")
    return Token(event.text, event.thinking, event.finish, counted(event.usage))


def counted(usage: Any) -> Usage | None:
    """What the answer cost, where the server says it as it should."""
    try:
        return msgspec.convert(usage, Usage | None)
    except msgspec.ValidationError:
        return None


def status_error(status: int, retry_after: str | None, settings: AcmeSettings) -> ProviderError:
    """A status other than 200, and what to do about it. The body is not shown: it may hold a part of the key."""
    wait = float(retry_after) if retry_after and retry_after.isdecimal() else None
    if status in (401, 403):
        hint = f"check the key in {settings.api_key_env}" if settings.api_key_env else "set api_key_env"
        return ProviderError(f"Acme refused access; {hint}.", "auth")
    if status == 402:
        return ProviderError("The account at Acme has no credit left.", "quota_exceeded")
    if status == 404:
        return ProviderError("Acme has no such model, or base_url is wrong.", "model_not_found")
    if status == 429:
        return ProviderError("Acme limits the rate of requests.", "rate_limited", wait)
    if status in (500, 502, 503, 504, *range(520, 525), 529):
        return ProviderError(f"Acme is busy or not reachable (status {status}).", "unavailable", wait)
    if 300 <= status < 400:
        return ProviderError("Acme redirects to another address; name that one as base_url.", "bad_response")
    if status < 500:
        return ProviderError(f"Acme refused the request (status {status}).", "bad_request")
    return ProviderError(f"Acme failed (status {status}).", "llm_error")


def bad_response() -> ProviderError:
    """What answers there does not speak Acme's protocol."""
    return ProviderError("The server's answer is not Acme's protocol; is base_url right?", "bad_response")
