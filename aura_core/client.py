"""Ask an agent and get its events: one that lives in this process, or one of a server somewhere else."""

import ssl
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol
from urllib.parse import quote

import httpx
import msgspec
from msgspec import UNSET

from aura_core.answer.events import DoneEvent, ErrorEvent, Event, ReasoningEvent, TokenEvent, Values
from aura_core.door import AgentInfo
from aura_core.doors.native import Answer, ChatBody, question
from aura_core.errors import ConfigError
from aura_core.limits import CONNECT_TIMEOUT, REMOTE_ANSWER_LIMIT, REMOTE_WORDS_LIMIT
from aura_core.problems import Problem, ProblemBody
from aura_core.runtime import Runtime

_EVENTS: dict[bytes, msgspec.json.Decoder[Event]] = {
    b"token": msgspec.json.Decoder(TokenEvent),
    b"reasoning": msgspec.json.Decoder(ReasoningEvent),
    b"done": msgspec.json.Decoder(DoneEvent),
    b"error": msgspec.json.Decoder(ErrorEvent),
}


_NOT_OURS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Endless(Exception):
    """More comes than any Aura would say."""


class Client(Protocol):
    """Something that answers. Both methods raise Problem for what is wrong before an answer begins."""

    async def agent(self, agent_id: str) -> AgentInfo:
        """What is known of an agent."""
        ...

    def ask(self, agent: AgentInfo, body: ChatBody) -> AsyncGenerator[Event, None]:
        """The events of an answer; always ends with `done` or `error`. Closing it cancels."""
        ...

    async def close(self) -> None:
        """Let go of everything."""
        ...


class LocalClient:
    """Answers come from this process, without a server."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def agent(self, agent_id: str) -> AgentInfo:
        bound = await self._runtime.bind(agent_id)
        return self._runtime.agent_info(self._runtime.agents.entries[bound.agent.id.lower()])

    async def ask(self, agent: AgentInfo, body: ChatBody) -> AsyncGenerator[Event, None]:
        relay = self._runtime.answer(await self._runtime.bind(agent.id), question(agent.id, body), Values())
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
        """`token_env` names the variable that holds the token. Raises ConfigError for what cannot be an address."""
        self._url = _address(url)
        self._token_env = token_env
        headers = {b"accept-encoding": b"identity"}  # what is packed may be a thousand times as large
        if token:
            if not token.isprintable():
                raise ConfigError(f"{token_env}: the token holds a line break or another control character")
            headers[b"authorization"] = b"Bearer " + token.encode()
        # Reading certificates takes longer than a request.
        tls = self._url.lower().startswith("https:")
        try:
            context = httpx.create_ssl_context() if tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        except OSError as exc:
            raise ConfigError(f"SSL_CERT_FILE: {exc.strerror or exc}") from None
        # An answer may be silent for long; the server pings, and the user can stop it.
        timeout = httpx.Timeout(None, connect=CONNECT_TIMEOUT)
        self._http = httpx.AsyncClient(headers=headers, timeout=timeout, trust_env=False, verify=context)

    async def agent(self, agent_id: str) -> AgentInfo:
        try:
            async with self._http.stream("GET", self._route(agent_id)) as response:
                body = await _read(response)
        except httpx.InvalidURL:  # over 65,536 letters
            raise Problem("agent_not_found", "There is no agent of a name as long as that.") from None
        except httpx.RequestError as exc:
            raise self._lost(exc) from exc
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
        route = "/chat/stream" if agent.streaming else "/chat"
        content = msgspec.json.encode(body)
        headers = {"content-type": "application/json"}
        try:
            async with self._http.stream(
                "POST", self._route(agent.id) + route, content=content, headers=headers
            ) as response:
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
                async with aclosing(_events(response)) as events:
                    async for event in events:
                        yield event
                        if isinstance(event, (DoneEvent, ErrorEvent)):
                            return
        except httpx.RequestError as exc:
            raise self._lost(exc) from exc
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

    def _lost(self, exc: Exception) -> Problem:
        if isinstance(exc, httpx.RemoteProtocolError | httpx.ReadError):
            return Problem("interrupted", "The connection to Aura was lost.")
        cause: BaseException = exc
        while not isinstance(exc, httpx.TimeoutException) and (deeper := cause.__cause__ or cause.__context__):
            cause = deeper
        why = str(cause) or "not in time"
        return Problem("unavailable", f"Aura does not answer at {self._url} ({why}); start it with: aura serve")

    def _foreign(self) -> Problem:
        return Problem("bad_response", f"There is no Aura at {self._url}: the answer is none of its own.")

    def _problem(self, response: httpx.Response, body: bytes) -> Problem:
        try:
            problem = msgspec.json.decode(body, type=ProblemBody)
            if problem.code == "unauthorized":
                does = "refuses the token" if "authorization" in self._http.headers else "requires a token"
                return Problem(problem.code, f"{self._url} {does}; set the variable {self._token_env} to the server's.")
            seconds = response.headers.get("retry-after", "")
            retry_after = float(seconds) if seconds.isascii() and seconds.isdigit() else None  # a proxy may send a date
            return Problem(problem.code, _short(problem.detail), retry_after, problem.partial)
        except (*_NOT_OURS, KeyError):
            return Problem(
                "bad_response", f"There is no Aura at {self._url}: it answers with status {response.status_code}."
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
        raise ConfigError(f"{url!r} is no address of a server, such as http://127.0.0.1:5300")
    return full


async def _read(response: httpx.Response) -> bytes:
    """A body, whole. Raises _Endless."""
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > REMOTE_ANSWER_LIMIT:
            raise _Endless
    return bytes(body)


async def _events(response: httpx.Response) -> AsyncGenerator[Event, None]:
    """The events of a stream; comments and unknown events are passed over. A proxy may have changed the line ends.

    Raises _Endless, for one event and for all that is said.
    """
    name, data, parts = b"", list[bytes](), list[bytes]()  # the last are those of a line that is not whole yet
    after_cr = False
    size = said = 0
    async for chunk in response.aiter_raw():
        whole = chunk.removeprefix(b"\n") if after_cr else chunk  # the other half of a CRLF
        after_cr = chunk.endswith(b"\r")
        for piece in whole.splitlines(keepends=True):  # of bytes: at LF, CRLF and CR only
            parts.append(piece)
            size += len(piece)
            if size > REMOTE_ANSWER_LIMIT or said > REMOTE_ANSWER_LIMIT:
                raise _Endless
            if not piece.endswith((b"\n", b"\r")):
                break  # the last one
            line = b"".join(parts).rstrip(b"\r\n")
            parts.clear()
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if field == b"event":
                name = value
            elif field == b"data":
                data.append(value)
            elif not line:
                if (decoder := _EVENTS.get(name)) is not None:
                    said += size
                    yield _fit(decoder.decode(b"\n".join(data)))
                name, size = b"", 0
                data.clear()


def _fit(event: Event) -> Event:
    """The event, with words of a length that can be shown."""
    if isinstance(event, ErrorEvent):
        return msgspec.structs.replace(event, message=_short(event.message), code=_short(event.code))
    return event


def _short(text: str) -> str:
    return text if len(text) <= REMOTE_WORDS_LIMIT else text[: REMOTE_WORDS_LIMIT - 1] + "…"


def _whole(body: bytes) -> list[Event]:
    whole = msgspec.json.decode(body, type=Answer)
    done = DoneEvent(whole.total_tokens, whole.finish_reason)
    return [TokenEvent(whole.content), done] if whole.content else [done]
