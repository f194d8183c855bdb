"""Ask an agent and get its events: one that lives in this process, or one of a server somewhere else."""

import ssl
from collections.abc import AsyncGenerator
from contextlib import aclosing, nullcontext
from typing import Any, Protocol
from urllib.parse import quote

import httpx
import msgspec
from msgspec import UNSET

from aura_core.answer.events import AskingEvent, DoneEvent, ErrorEvent, Event, ReasoningEvent, TokenEvent, Values
from aura_core.deadline import timeout
from aura_core.door import AgentInfo
from aura_core.doors.native import Answer, ChatBody, question
from aura_core.errors import CODES, ConfigError
from aura_core.limits import (
    CONNECT_TIMEOUT,
    HEARTBEAT_LIMIT,
    HEARTBEATS_MISSED,
    REMOTE_ANSWER_LIMIT,
    REMOTE_SILENCE,
    REMOTE_WORDS_LIMIT,
    SHORTEST_SILENCE,
)
from aura_core.problems import PROBLEMS, Problem
from aura_core.runtime import Runtime
from aura_core.streams import NotEvents, SseReader

_EVENTS: dict[str, msgspec.json.Decoder[Event]] = {
    "token": msgspec.json.Decoder(TokenEvent),
    "reasoning": msgspec.json.Decoder(ReasoningEvent),
    "done": msgspec.json.Decoder(DoneEvent),
    "error": msgspec.json.Decoder(ErrorEvent),
}

_ASKING = b"asking "
"""How the comment begins that names the next candidate."""

_NOT_OURS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, NotEvents)


class _Endless(Exception):
    """The body is longer than an answer of Aura can be."""


class _Refusal(msgspec.Struct, frozen=True):
    """RFC 9457 problem details, of Aura or of a program in front of it; without a `code` they are not Aura's."""

    title: str = ""
    detail: str = ""
    code: str = ""
    partial: str | msgspec.UnsetType = UNSET


class Client(Protocol):
    """Asks agents. Both methods raise Problem for a failure before the answer begins."""

    async def agent(self, agent_id: str) -> AgentInfo:
        """The description of an agent."""
        ...

    def ask(self, agent: AgentInfo, body: ChatBody) -> AsyncGenerator[Event, None]:
        """The events of an answer; always ends with `done` or `error`. Closing it cancels."""
        ...

    async def close(self) -> None:
        """Close all connections and provider clients."""
        ...


class LocalClient:
    """Answers come from this process, without a server."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def agent(self, agent_id: str) -> AgentInfo:
        bound = await self._runtime.bindings.bind(agent_id)
        return self._runtime.bindings.agent_info(self._runtime.agents.entries[bound.agent.id.lower()])

    async def ask(self, agent: AgentInfo, body: ChatBody) -> AsyncGenerator[Event, None]:
        relay = self._runtime.answer(await self._runtime.bindings.bind(agent.id), question(agent.id, body), Values())
        try:
            while not relay.drained:
                for event in await relay.take():
                    yield event
        finally:
            self._runtime.release(relay)

    async def close(self) -> None:
        await self._runtime.close()


class RemoteClient:
    """Answers come from a server."""

    def __init__(self, url: str, token: str | None, token_env: str) -> None:
        """`token_env` names the variable that holds the token. Raises ConfigError where `url` is not an address."""
        self._url = _address(url)
        self._token_env = token_env
        headers = {b"accept-encoding": b"identity"}  # a compressed body may become a thousand times as large
        if token:
            headers[b"authorization"] = b"Bearer " + token.encode()
        # Without https no certificates are read, which takes longer than a request.
        tls = self._url.lower().startswith("https:")
        try:
            context = httpx.create_ssl_context() if tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        except OSError as exc:
            raise ConfigError(f"SSL_CERT_FILE: {exc.strerror or exc}") from None
        # Reading has limits of its own, which do not count a standstill of this process: see _send and _pieces.
        limits = httpx.Timeout(None, connect=CONNECT_TIMEOUT)
        self._http = httpx.AsyncClient(headers=headers, timeout=limits, trust_env=False, verify=context)

    async def agent(self, agent_id: str) -> AgentInfo:
        try:
            async with aclosing(await self._send("GET", self._route(agent_id), REMOTE_SILENCE)) as response:
                body = await _read(response)
        except httpx.InvalidURL:  # over 65,536 letters
            raise Problem("agent_not_found", "There is no agent of a name as long as that.") from None
        except httpx.RequestError as exc:
            raise self._lost(exc) from exc
        except TimeoutError:
            raise self._silent() from None
        except _Endless:
            raise self._foreign() from None
        if response.status_code != 200:
            raise self._problem(response, body)
        try:
            info = msgspec.json.decode(body, type=AgentInfo)
        except _NOT_OURS:
            raise self._foreign() from None
        words = {key: _short(getattr(info, key)) for key in ("id", "name", "provider", "model") if getattr(info, key)}
        return msgspec.structs.replace(info, **words)

    async def ask(self, agent: AgentInfo, body: ChatBody) -> AsyncGenerator[Event, None]:
        address = self._route(agent.id) + ("/chat/stream" if agent.streaming else "/chat")
        content = msgspec.json.encode(body)
        headers = {"content-type": "application/json"}
        # A whole answer comes without heartbeats, and the head of its response comes only with it.
        wait = REMOTE_SILENCE if agent.streaming else None
        silence: float | None = None
        try:
            async with aclosing(await self._send("POST", address, wait, content=content, headers=headers)) as response:
                silence = _silence(response)
                if response.status_code != 200:
                    problem = self._problem(response, await _read(response))
                    if problem.partial is UNSET:
                        raise problem
                    # An answer of /chat that began and failed: as a stream would have told it.
                    if problem.partial:
                        yield TokenEvent(problem.partial)
                    yield ErrorEvent(problem.detail, problem.code, problem.retry_after)
                    return
                if not agent.streaming:
                    for event in _whole(await _read(response)):
                        yield event
                    return
                async with aclosing(_events(response, silence)) as events:
                    async for event in events:
                        yield event
                        if isinstance(event, (DoneEvent, ErrorEvent)):
                            return
        except httpx.RequestError as exc:
            raise self._lost(exc) from exc
        except TimeoutError:
            if silence is None:
                raise self._silent() from None
            yield ErrorEvent(f"The server has been silent for {silence:g} s.", "interrupted")
            return
        except _Endless:
            yield ErrorEvent(f"The answer is longer than {REMOTE_ANSWER_LIMIT // 1024**2} MiB.", "bad_response")
            return
        except _NOT_OURS:
            raise self._foreign() from None
        yield ErrorEvent("The connection to Aura was lost.", "interrupted")

    async def close(self) -> None:
        await self._http.aclose()

    def _route(self, agent_id: str) -> str:
        return f"{self._url}/api/agents/{quote(agent_id, safe='', errors='replace')}"

    async def _send(self, method: str, address: str, wait: float | None, **content: Any) -> httpx.Response:
        """Send a request and give its response, whose body is yet to be read.

        Raises TimeoutError where the head of the response does not come within `wait` seconds.
        """
        request = self._http.build_request(method, address, **content)
        async with nullcontext() if wait is None else timeout(wait):
            return await self._http.send(request, stream=True)

    def _silent(self) -> Problem:
        return Problem(
            "unavailable", f"Aura does not answer at {self._url}: nothing came for {REMOTE_SILENCE:g} s; is it stuck?"
        )

    def _lost(self, exc: Exception) -> Problem:
        if isinstance(exc, httpx.RemoteProtocolError | httpx.ReadError):
            return Problem("interrupted", "The connection to Aura was lost.")
        cause: BaseException = exc
        while not isinstance(exc, httpx.TimeoutException) and (deeper := cause.__cause__ or cause.__context__):
            cause = deeper
        why = str(cause) or "not in time"
        return Problem("unavailable", f"Aura does not answer at {self._url} ({why}); start it with: aura serve")

    def _foreign(self) -> Problem:
        return Problem("bad_response", f"There is no Aura at {self._url}: the answer is not in its format.")

    def _problem(self, response: httpx.Response, body: bytes) -> Problem:
        """What a refusal says, of this version of Aura or of a newer one."""
        try:
            refusal = msgspec.json.decode(body, type=_Refusal)
        except _NOT_OURS:
            refusal = _Refusal()
        words = _short(refusal.detail or refusal.title)
        if not refusal.code:
            status = f"it answers with status {response.status_code}" + (f" ({words})" if words else "")
            return Problem("bad_response", f"There is no Aura at {self._url}: {status}.")
        if refusal.code == "unauthorized":
            does = "refuses the token" if "authorization" in self._http.headers else "requires a token"
            return Problem(refusal.code, f"{self._url} {does}; set the variable {self._token_env} to the server's.")
        seconds = response.headers.get("retry-after", "")
        retry_after = float(seconds) if seconds.isascii() and seconds.isdigit() else None  # a proxy may send a date
        known = refusal.code in PROBLEMS or refusal.code in CODES
        return Problem(
            _short(refusal.code),
            words or f"{self._url} refuses with status {response.status_code}.",
            retry_after,
            refusal.partial,
            known_as=None if known else (response.status_code, refusal.title),
        )


def _address(url: str) -> str:
    """The address of a server, with its scheme. Raises ConfigError."""
    full = url.rstrip("/") if "://" in url else f"http://{url.rstrip('/')}"
    try:
        parts = httpx.URL(full)
        good = parts.scheme in ("http", "https") and parts.host and (parts.port or 0) < 2**16
    except httpx.InvalidURL:
        good = False
    if not good or "?" in full or "#" in full:
        raise ConfigError(f"{url!r} is not the address of a server, such as http://127.0.0.1:5300")
    return full


async def _read(response: httpx.Response) -> bytes:
    """A whole body. Raises _Endless and TimeoutError."""
    body = bytearray()
    async for chunk in _pieces(response, REMOTE_SILENCE):
        body += chunk
        if len(body) > REMOTE_ANSWER_LIMIT:
            raise _Endless
    return bytes(body)


def _silence(response: httpx.Response) -> float:
    """Seconds without a byte after which a stream has broken, by the server's own heartbeat."""
    try:
        heartbeat = float(response.headers.get("aura-heartbeat", ""))
    except ValueError:
        return REMOTE_SILENCE
    if not 0 < heartbeat <= HEARTBEAT_LIMIT:
        return REMOTE_SILENCE
    return max(HEARTBEATS_MISSED * heartbeat, SHORTEST_SILENCE)


async def _pieces(response: httpx.Response, silence: float) -> AsyncGenerator[bytes, None]:
    """A body's bytes as they come. Raises TimeoutError when none come for `silence` seconds; heartbeats are bytes."""
    chunks = response.aiter_raw()
    while True:
        async with timeout(silence):
            chunk = await anext(chunks, None)
        if chunk is None:
            return
        yield chunk


async def _events(response: httpx.Response, silence: float = REMOTE_SILENCE) -> AsyncGenerator[Event, None]:
    """The events of a stream; unknown events and comments other than `asking` are skipped.

    A proxy may have changed the line ends.
    Raises _Endless, for one event and for all bytes together, NotEvents and TimeoutError.
    """
    reader, received = SseReader("Aura", REMOTE_ANSWER_LIMIT), 0
    async for piece in _pieces(response, silence):
        received += len(piece)
        if received > REMOTE_ANSWER_LIMIT:
            raise _Endless
        events = reader.feed(piece)
        if reader.comment.startswith(_ASKING):
            asked = reader.comment.removeprefix(_ASKING).decode(errors="replace")
            yield AskingEvent(_short(asked))
        reader.comment = b""
        for event in events:
            if (decoder := _EVENTS.get(event.name)) is not None:
                yield _fit(decoder.decode(event.data))


def _fit(event: Event) -> Event:
    """The event, with its texts cut to a length that can be shown."""
    if isinstance(event, ErrorEvent):
        return msgspec.structs.replace(event, message=_short(event.message), code=_short(event.code))
    return event


def _short(text: str) -> str:
    return text if len(text) <= REMOTE_WORDS_LIMIT else text[: REMOTE_WORDS_LIMIT - 1] + "…"


def _whole(body: bytes) -> list[Event]:
    whole = msgspec.json.decode(body, type=Answer)
    done = DoneEvent(whole.total_tokens, whole.finish_reason)
    return [TokenEvent(whole.content), done] if whole.content else [done]
