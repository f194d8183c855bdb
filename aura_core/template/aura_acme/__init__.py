"""Acme for Aura: answers stream from `POST /chat` as server-sent events."""

import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
from aura_core import ChatRequest, Model, ProviderError, Token, Usage, hookimpl, secret, secret_place
from aura_core.streams import (
    Endpoint,
    Read,
    Scrub,
    SseReader,
    bad_response,
    decoding,
    error_body,
    failure,
    read_reason,
    status_error,
    upstream_id,
    whole_body,
)
from msgspec import Meta

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
        except ValueError:  # the port is not a number, say
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


class Models(msgspec.Struct):
    """The answer of `GET /models`."""

    models: list[Model]


class AcmeClient(NamedTuple):
    """One client for all answers, and what messages say about its server."""

    http: "httpx.AsyncClient"
    server: Endpoint


@hookimpl
def provider_settings() -> type[msgspec.Struct]:
    """The table `[providers.acme]`."""
    return AcmeSettings


@hookimpl
def open_client(settings: AcmeSettings) -> AbstractAsyncContextManager[AcmeClient]:
    """Make the client. The core calls this in a worker thread: slow imports belong here."""
    import httpx

    key = secret(settings, "api_key")
    # identity: a server may compress its answer unless it is told not to.
    headers = {"content-type": "application/json", "accept-encoding": "identity"}
    if key:
        headers["authorization"] = f"Bearer {key}"

    @asynccontextmanager
    async def client() -> AsyncIterator[AcmeClient]:
        async with httpx.AsyncClient(
            base_url=settings.base_url,
            headers=headers,
            timeout=httpx.Timeout(None, connect=settings.connect_timeout),  # the core has the other limits
            # httpx's own limit would let the 101st answer wait. On a connection that is reused, it takes bytes that
            # came after an answer for the next one (httpcore 1.0), so each answer gets a new connection.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            follow_redirects=False,  # the key goes to the host that the operator named, and to no other
            trust_env=False,
        ) as opened:
            yield AcmeClient(opened, endpoint(settings, key))

    return client()


def endpoint(settings: AcmeSettings, key: str) -> Endpoint:
    """What messages say about the server. Scrub keeps the key, and parts of it, out of the server's own words."""
    where = secret_place(settings, "api_key")
    return Endpoint(
        f"Acme at {settings.base_url}",
        Scrub(key),
        f"check the key in {where}" if where else "set api_key_env",
        "is base_url right?",
        "Acme's protocol",
        "aura models acme lists what it has.",
    )


@hookimpl
async def stream_chat(request: ChatRequest, settings: AcmeSettings, client: AcmeClient) -> AsyncIterator[Token]:
    """Stream an answer. Whoever leaves it closes the connection, and the server stops generating."""
    import httpx

    server, content = client.server, msgspec.json.encode(body(request))
    answered = False
    try:
        async with client.http.stream("POST", "/chat", content=content, headers=request.headers) as response:
            answered = True
            read = decoding(pieces(response), response.headers.get("content-encoding"), server.name)
            if response.status_code != 200:
                said = await error_body(read, httpx.TransportError)
                raise status_error(server, response.status_code, response.headers, said, request.model)
            yield Token(upstream_id=upstream_id(response.headers))
            reader = SseReader(server.name)
            while piece := await read():
                for event in reader.feed(piece):
                    yield token(event.data, server, request.model)
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


def pieces(response: "httpx.Response") -> Read:
    """The body's bytes as they come, b"" at the end."""
    raw = response.aiter_raw()

    async def read() -> bytes:
        return await anext(raw, b"")

    return read


def token(data: bytes, server: Endpoint, model: str) -> Token:
    """What one event says."""
    try:
        event = msgspec.json.decode(data, type=Event)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise bad_response(server, data, begun=True) from None
    if event.error is not None:
        raise failure(server, read_reason(event.error), model)
    return Token(event.text, event.thinking, event.finish, counted(event.usage))


def counted(usage: Any) -> Usage | None:
    """What the answer cost, where the server says it as it should."""
    try:
        return msgspec.convert(usage, Usage | None)
    except msgspec.ValidationError:
        return None


@hookimpl
async def list_models(client: AcmeClient) -> list[Model]:
    """What `GET /models` lists, for `aura models` and `aura doctor`."""
    import httpx

    server = client.server
    try:
        async with client.http.stream("GET", "/models") as response:
            read = decoding(pieces(response), response.headers.get("content-encoding"), server.name)
            if response.status_code != 200:
                said = await error_body(read, httpx.TransportError)
                raise status_error(server, response.status_code, response.headers, said, "")
            return msgspec.json.decode(await whole_body(read, server.name), type=Models).models
    except httpx.TransportError:
        raise ProviderError(f"{server.name} does not answer; is it running?", "unavailable") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise bad_response(server) from None
