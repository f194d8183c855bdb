"""Telex for Aura: answers stream from `POST /generate` as binary frames, after a login."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from aura_core import ChatRequest, ProviderError, Token, Usage, hookimpl, secret, secret_place
from aura_core.streams import (
    Endpoint,
    Read,
    Scrub,
    bad_response,
    count,
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

HEAD = 5
"""Bytes before a payload: its kind, and its length."""
FRAME_LIMIT = 8 * 2**20
KINDS = {"system": b"S", "user": b"U", "assistant": b"A"}


class TelexSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[providers.telex]` in aura.toml."""

    base_url: Annotated[
        str,
        Meta(description="address of the server, without /generate", extra={"own_default": "http://127.0.0.1:7000"}),
    ]
    api_key_env: Annotated[
        str, Meta(description="variable that holds the key", extra={"own_default": "TELEX_API_KEY"})
    ] = ""
    api_key_file: Annotated[str, Meta(description="file that holds the key; it goes before api_key_env")] = ""
    connect_timeout: Annotated[float, Meta(gt=0, le=600, description="seconds to wait for a connection")] = 10.0

    def __post_init__(self) -> None:
        if urlsplit(self.base_url).scheme not in ("http", "https"):
            raise ValueError("base_url: it must be http:// or https:// and a host")


class Session(msgspec.Struct):
    """The answer to a login."""

    session: str


class End(msgspec.Struct):
    """The payload of a frame `E`; the counts are not needed, so they are not required to be right."""

    why: str
    into: Any = msgspec.field(name="in", default=None)
    out: Any = None


class TelexClient:
    """One HTTP client, and the session that all answers share."""

    def __init__(self, http: "httpx.AsyncClient", server: Endpoint, key: str) -> None:
        self.http = http
        self.server = server
        self._key = key
        self._session = ""
        self._lock = asyncio.Lock()

    async def session(self) -> str:
        """The session; the first answer logs in, and the others wait for it."""
        async with self._lock:
            if not self._session:
                self._session = await self._login()
            return self._session

    def forget(self, session: str) -> None:
        """The server does not know this session any more: the next answer logs in again."""
        if self._session == session:
            self._session = ""

    async def _login(self) -> str:
        import httpx

        headers = {"authorization": f"Bearer {self._key}"} if self._key else {}
        async with self.http.stream("POST", "/login", headers=headers) as response:
            read = decoding(pieces(response), response.headers.get("content-encoding"), self.server.name)
            if response.status_code != 200:
                said = await error_body(read, httpx.TransportError)
                raise status_error(self.server, response.status_code, response.headers, said, "")
            try:
                return msgspec.json.decode(await whole_body(read, self.server.name), type=Session).session
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                raise bad_response(self.server) from None


@hookimpl
def provider_settings() -> type[msgspec.Struct]:
    """The table `[providers.telex]`."""
    return TelexSettings


@hookimpl
def open_client(settings: TelexSettings) -> AbstractAsyncContextManager[TelexClient]:
    """Make the client; the login waits for the first answer, so that a server that is down costs only that one."""
    import httpx

    key = secret(settings, "api_key")

    @asynccontextmanager
    async def client() -> AsyncIterator[TelexClient]:
        async with httpx.AsyncClient(
            base_url=settings.base_url,
            headers={"accept-encoding": "identity"},
            timeout=httpx.Timeout(None, connect=settings.connect_timeout),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            follow_redirects=False,
            trust_env=False,
        ) as opened:
            where = secret_place(settings, "api_key") or "api_key_env"
            server = Endpoint(
                f"Telex at {settings.base_url}", Scrub(key), f"check the key in {where}", "is base_url right?", "Telex"
            )
            yield TelexClient(opened, server, key)

    return client()


@hookimpl
async def stream_chat(request: ChatRequest, settings: TelexSettings, client: TelexClient) -> AsyncIterator[Token]:
    """Stream an answer."""
    import httpx

    server, answered = client.server, False
    try:
        session = await client.session()
        headers = {**request.headers, "x-session": session}
        async with client.http.stream("POST", "/generate", content=question(request), headers=headers) as response:
            answered = True
            read = decoding(pieces(response), response.headers.get("content-encoding"), server.name)
            if response.status_code != 200:
                said = await error_body(read, httpx.TransportError)
                if response.status_code == 401:
                    client.forget(session)
                raise status_error(server, response.status_code, response.headers, said, request.model)
            yield Token(upstream_id=upstream_id(response.headers))
            frames = Frames(server)
            while piece := await read():
                for kind, payload in frames.feed(piece):
                    yield token(kind, payload, server, request.model)
    except httpx.ConnectTimeout:
        raise ProviderError(f"No connection to Telex within {settings.connect_timeout:g} s.", "timeout") from None
    except httpx.TransportError:
        if not answered:
            raise ProviderError(f"{server.name} does not answer; is it running?", "unavailable") from None


def frame(kind: bytes, payload: bytes) -> bytes:
    """A frame: its kind, the length of its payload, and the payload."""
    return kind + len(payload).to_bytes(4, "big") + payload


def question(request: ChatRequest) -> bytes:
    """The turns, and what somebody set."""
    turns = [frame(KINDS[message.role], message.content.encode()) for message in request.messages]
    found: dict[str, Any] = {**request.options, "model": request.model}
    if request.temperature is not None:
        found["temperature"] = request.temperature
    if request.max_tokens is not None:
        found["max_tokens"] = request.max_tokens
    return b"".join([*turns, frame(b"P", msgspec.json.encode(found))])


def pieces(response: "httpx.Response") -> Read:
    """The body's bytes as they come, b"" at the end."""
    raw = response.aiter_raw()

    async def read() -> bytes:
        return await anext(raw, b"")

    return read


class Frames:
    """Splits a body into frames: `feed` it each piece as it comes."""

    def __init__(self, server: Endpoint) -> None:
        self._server = server
        self._rest = bytearray()

    def feed(self, piece: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The kind and the payload of each frame that is complete."""
        self._rest += piece
        while len(self._rest) >= HEAD:
            end = HEAD + int.from_bytes(self._rest[1:HEAD], "big")
            if not self._rest[:1].isupper() or end > FRAME_LIMIT:
                raise bad_response(self._server)
            if len(self._rest) < end:
                return
            kind, payload = bytes(self._rest[:1]), bytes(self._rest[HEAD:end])
            del self._rest[:end]
            yield kind, payload


def token(kind: bytes, payload: bytes, server: Endpoint, model: str) -> Token:
    """What a frame says; an empty token for a sign of life, and for a kind that we do not know."""
    try:
        if kind == b"T":
            return Token(payload.decode())
        if kind == b"R":
            return Token(reasoning=payload.decode())
        if kind == b"E":
            end = msgspec.json.decode(payload, type=End)
            usage = Usage(count(end.into), count(end.out)) if end.out is not None else None
            return Token(finish_reason=end.why, usage=usage)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise bad_response(server, begun=True) from None
    if kind == b"F":
        raise failure(server, read_reason(payload), model)
    return Token()
