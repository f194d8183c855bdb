"""Anthropic's Messages API for Aura, complete and correct: what the mutants of `kinds` break in one place each."""

import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from aura_core import ChatRequest, Model, ProviderError, Token, Usage, hookimpl, secret
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

if TYPE_CHECKING:
    import httpx

REASONS = {"pause_turn": "length"}  # the turn is not complete; the core knows all other words
log = logging.getLogger("aura.messages")


class MessagesSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[providers.messages]` in aura.toml."""

    base_url: Annotated[
        str, Meta(description="address of the API", extra={"own_default": "https://api.example.invalid"})
    ]
    api_key_env: Annotated[
        str, Meta(description="variable that holds the API key", extra={"own_default": "VENDOR_API_KEY"})
    ] = ""
    api_key_file: Annotated[str, Meta(description="file that holds the API key; it goes before api_key_env")] = ""
    connect_timeout: Annotated[float, Meta(gt=0, le=600, description="seconds to wait for a connection")] = 10.0


class MessagesOptions(msgspec.Struct, frozen=True):
    """An agent's `options`; others are passed on."""

    top_k: int | None = None
    top_p: float | None = None
    stop_sequences: list[str] | None = None


class Counts(msgspec.Struct):
    """Tokens; those of the cache are counted beside the others."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0


class Delta(msgspec.Struct):
    """A piece of a block, or the end of the answer."""

    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: Any = None
    partial_json: Any = None
    stop_reason: str | None = None


class Event(msgspec.Struct):
    """One event. What an answer does not need is not required to be right."""

    type: str
    message: Any = None
    delta: Delta | None = None
    usage: Any = None
    error: Any = None


class ListedModel(msgspec.Struct):
    """One model of `GET /v1/models`."""

    id: str
    display_name: str = ""


class Listed(msgspec.Struct):
    """The answer of `GET /v1/models`."""

    data: list[ListedModel]


class Client(NamedTuple):
    """One client for all answers, and what messages say about its server."""

    http: "httpx.AsyncClient"
    server: Endpoint
    key: str


@hookimpl
def provider_settings() -> type[msgspec.Struct]:
    """The table `[providers.messages]`."""
    return MessagesSettings


@hookimpl
def agent_options() -> type[msgspec.Struct]:
    """What an agent may say in `options`."""
    return MessagesOptions


@hookimpl
def open_client(settings: MessagesSettings) -> AbstractAsyncContextManager[Client]:
    """Make the client, in a worker thread."""
    import httpx

    key = secret(settings, "api_key")
    headers = {
        "content-type": "application/json",
        "accept-encoding": "identity",
        "anthropic-version": "2023-06-01",
    }
    if key:
        headers["x-api-key"] = key

    @asynccontextmanager
    async def client() -> AsyncIterator[Client]:
        async with httpx.AsyncClient(
            base_url=settings.base_url,
            headers=headers,
            timeout=httpx.Timeout(None, connect=settings.connect_timeout),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            follow_redirects=False,
            trust_env=False,
        ) as opened:
            yield Client(opened, endpoint(settings, key), key)

    return client()


def endpoint(settings: MessagesSettings, key: str) -> Endpoint:
    """What messages say about the server."""
    where = "api_key_file" if settings.api_key_file else settings.api_key_env
    return Endpoint(
        f"The API at {settings.base_url}",
        Scrub(key),
        f"check the key in {where}" if where else "set api_key_env",
        "is base_url right?",
        "the Messages API",
    )


@hookimpl
async def stream_chat(request: ChatRequest, settings: MessagesSettings, client: Client) -> AsyncIterator[Token]:
    """Stream an answer."""
    import httpx

    server, answered = client.server, False
    content = msgspec.json.encode(body(request))
    try:
        async with client.http.stream("POST", "/v1/messages", content=content, headers=request.headers) as response:
            answered = True
            read = decoding(pieces(response), response.headers.get("content-encoding"), server.name)
            if response.status_code != 200:
                said = await error_body(read, httpx.TransportError)
                raise status_error(server, response.status_code, response.headers, said, request.model)
            yield Token(upstream_id=upstream_id(response.headers))
            state = State()
            reader = SseReader(server.name)
            while piece := await read():
                for event in reader.feed(piece):
                    token = state.token(event.data, server, request.model)
                    if token is not None:
                        yield token
    except httpx.ConnectTimeout:
        raise ProviderError(f"No connection within {settings.connect_timeout:g} s.", "timeout") from None
    except httpx.TransportError:
        if not answered:
            raise ProviderError(f"{server.name} does not answer; is it running?", "unavailable") from None


def body(request: ChatRequest) -> dict[str, Any]:
    """The request; max_tokens is required."""
    found = {**request.options, "model": request.model, "stream": True}
    found["messages"] = [{"role": m.role, "content": m.content} for m in request.messages if m.role != "system"]
    if system := next((m.content for m in request.messages if m.role == "system"), ""):
        found["system"] = system
    if request.temperature is not None:
        found["temperature"] = request.temperature
    found["max_tokens"] = request.max_tokens or 4096
    return found


def pieces(response: "httpx.Response") -> Read:
    """The body's bytes as they come, b"" at the end."""
    raw = response.aiter_raw()

    async def read() -> bytes:
        return await anext(raw, b"")

    return read


class State:
    """What is remembered of one answer: its counts."""

    def __init__(self) -> None:
        self.counts = Counts()

    def token(self, data: bytes, server: Endpoint, model: str) -> Token | None:
        """What one event says."""
        try:
            event = msgspec.json.decode(data, type=Event)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise bad_response(server, data, begun=True) from None
        if event.type == "error" or event.error is not None:
            raise failure(server, read_reason(data), model)
        if event.type == "message_start" and isinstance(event.message, dict):
            return self.counted(event.message.get("usage"))
        if event.type == "content_block_delta" and event.delta is not None:
            if event.delta.type == "text_delta":
                return Token(event.delta.text)
            if event.delta.type == "thinking_delta":
                return Token(reasoning=event.delta.thinking)
        if event.type == "message_delta" and event.delta is not None:
            counted = self.counted(event.usage)
            reason = REASONS.get(event.delta.stop_reason or "", event.delta.stop_reason)
            return Token(finish_reason=reason, usage=counted.usage if counted else None)
        return None

    def counted(self, usage: Any) -> Token | None:
        """The counts so far; None where there are none."""
        try:
            new = msgspec.convert(usage, Counts)
        except msgspec.ValidationError:
            return None
        old = self.counts
        self.counts = Counts(
            new.input_tokens or old.input_tokens,
            new.output_tokens or old.output_tokens,
            new.cache_read_input_tokens or old.cache_read_input_tokens,
            new.cache_creation_input_tokens or old.cache_creation_input_tokens,
        )
        now = self.counts
        read, written = now.cache_read_input_tokens, now.cache_creation_input_tokens
        return Token(usage=Usage(now.input_tokens + read + written, now.output_tokens, read, written))


@hookimpl
async def list_models(client: Client) -> list[Model]:
    """What `GET /v1/models` lists."""
    return [Model(model.id, model.display_name) for model in await listed(client)]


@hookimpl
async def default_model(client: Client) -> str | None:
    """The first model, which is the newest."""
    found = await listed(client)
    return found[0].id if found else None


@hookimpl
async def check_health(client: Client) -> None:
    """Whether the server knows the key."""
    await listed(client)


@hookimpl
async def check_request(request: ChatRequest) -> list[str]:
    """What is likely to go wrong."""
    return [] if request.max_tokens else ["max_tokens is not set; 4096 is sent"]


async def listed(client: Client) -> list[ListedModel]:
    """The models."""
    import httpx

    server = client.server
    try:
        async with client.http.stream("GET", "/v1/models") as response:
            read = decoding(pieces(response), response.headers.get("content-encoding"), server.name)
            if response.status_code != 200:
                said = await error_body(read, httpx.TransportError)
                raise status_error(server, response.status_code, response.headers, said, "")
            return msgspec.json.decode(await whole_body(read, server.name), type=Listed).data
    except httpx.TransportError:
        raise ProviderError(f"{server.name} does not answer; is it running?", "unavailable") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise bad_response(server) from None
