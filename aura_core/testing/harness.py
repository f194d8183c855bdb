"""A provider instance between a scripted server and the core's relay: its tokens, and the client's events."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from aura_core import door
from aura_core.answer.candidates import Candidate
from aura_core.answer.events import ReasoningEvent, TokenEvent, Values
from aura_core.answer.relay import Limits, Relay
from aura_core.config.sources import Value
from aura_core.config.suggest import did_you_mean
from aura_core.errors import CODES, ProviderError
from aura_core.limits import CLEANUP_LIMIT
from aura_core.plugins.distributions import published, requirements_of
from aura_core.plugins.instance import Instance
from aura_core.plugins.loader import CORE_DISTRIBUTION, GROUP, Plugins
from aura_core.telemetry import redact
from aura_core.testing.conformance import KEY, Description, Failure, Transcript
from aura_core.testing.upstream import Part, Reply, Request, Upstream, split_at
from aura_core.types import ChatRequest, Message, Token, Usage

PATIENCE = 25.0
"""Seconds to wait for events that take milliseconds on an idle machine; LIMITS are more than twice as long."""
LIMITS = Limits(retries=0, first_token_timeout=60, idle_timeout=60, total_timeout=0, write_timeout=60, heartbeat=0)
PIECE = 65536
FORMER_DISTRIBUTION = "aura-core"
"""What the distribution of Aura 0.1 was called."""


class Broken(AssertionError):
    """A promise is not kept; the text says what was seen."""


class Inapplicable(Exception):
    """A promise that cannot be checked here; the text says why."""


class PlayedAnswer:
    """One answer under way. `tokens` are the plugin's own, `events` what the relay makes of them. `fault` says how the
    plugin misused its contract, "" where it did not; `swallowed` whether it kept a cancellation to itself."""

    def __init__(self, instance: Instance, request: ChatRequest, limits: Limits = LIMITS) -> None:
        self.tokens: list[Token] = []
        self.events: list[Any] = []
        self.token_at: list[float] = []
        self.closed_at = 0.0
        self.raised: BaseException | None = None
        self.raised_text = ""
        self.fault = ""
        self.swallowed = self.abandoned = False
        self._instance = instance
        self._request = request
        candidate = Candidate(self._start, instance.plugin, abandoned=lambda: setattr(self, "abandoned", True))
        self.relay = Relay(candidate, limits, Values(), lambda text: redact.message(text, [KEY]))

    async def _start(self) -> AsyncIterator[Token]:
        client = await self._instance.client()
        hooks = self._instance.hooks
        iterator = hooks.stream_chat(request=self._request, settings=self._instance.settings, client=client)
        return _Watched(iterator, self)

    @property
    def text(self) -> str:
        """All text so far, as the plugin gave it."""
        return "".join(token.content for token in self.tokens)

    @property
    def pieces(self) -> list[str]:
        """The text as it was cut."""
        return [token.content for token in self.tokens if token.content]

    @property
    def reasoning(self) -> str:
        """All reasoning so far."""
        return "".join(token.reasoning for token in self.tokens)

    @property
    def finishes(self) -> list[str]:
        """Every finish reason of the plugin."""
        return [token.finish_reason for token in self.tokens if token.finish_reason is not None]

    @property
    def usage(self) -> Usage | None:
        """The last usage of the plugin."""
        return next((token.usage for token in reversed(self.tokens) if token.usage is not None), None)

    @property
    def error(self) -> door.Failure | None:
        """How it failed."""
        return self.relay.error

    @property
    def ended(self) -> bool:
        """Whether it is done or has failed, taken or not."""
        return self.relay.succeeded or self.relay.error is not None

    @property
    def end(self) -> str:
        """How it ended, in words."""
        if self.relay.error is not None:
            code = self.relay.error.code
            if isinstance(self.raised, ProviderError) and self.raised.code not in CODES:
                code += f", as its code {self.raised.code!r} does not exist{did_you_mean(self.raised.code, CODES)}"
            return f"error {code} ({self.relay.error.message})"
        return f"done {self.relay.finish_reason}" if self.relay.succeeded else "no end"

    @property
    def said(self) -> str:
        """The text that reached the client."""
        return "".join(event.content for event in self.events if isinstance(event, TokenEvent))

    @property
    def thought(self) -> bool:
        """Whether reasoning reached the client."""
        return any(isinstance(event, ReasoningEvent) for event in self.events)

    async def finish(self) -> "PlayedAnswer":
        """Take all of it."""
        try:
            while not self.relay.drained:
                self.events += await self.relay.take()
        finally:
            await self.leave()
        if self.fault:
            raise Broken(self.fault)
        return self

    async def leave(self) -> None:
        """Leave, as a client that closes its connection; wait for the plugin's clean-up, but not forever."""
        self.relay.close()
        await self.relay.wait_closed()


class _Watched:
    """A plugin's iterator that records its tokens and its exception."""

    def __init__(self, iterator: Any, answer: PlayedAnswer) -> None:
        if not hasattr(iterator, "__anext__"):
            iterator = aiter(iterator)
        self._iterator = iterator
        self._answer = answer

    def __aiter__(self) -> "_Watched":
        return self

    async def __anext__(self) -> Token:
        answer = self._answer
        try:
            token: Token = await self._iterator.__anext__()
        except StopAsyncIteration:
            answer.closed_at = time.monotonic()
            answer.swallowed = _is_cancelled()
            raise
        except BaseException as exc:
            answer.raised = exc
            answer.raised_text = _words(exc)  # before anybody redacts it
            answer.swallowed = isinstance(exc, Exception) and _is_cancelled()
            raise
        answer.swallowed = _is_cancelled()
        if isinstance(token, Token) and not (fault := _fault(token)):
            answer.tokens.append(token)
            answer.token_at.append(time.monotonic())
        else:
            answer.fault = answer.fault or (fault if isinstance(token, Token) else f"it yielded {token!r}, not a Token")
        return token

    async def aclose(self) -> None:
        close = getattr(self._iterator, "aclose", None)
        if close is not None:
            await close()


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _words(exc: BaseException) -> str:
    fields = (getattr(exc, name, "") for name in ("message", "upstream_words", "upstream_id"))
    return " ".join(str(each) for each in (exc, *fields) if each)


def _fault(token: Token) -> str:
    """What is wrong with the types of a token; "" where nothing is."""
    for field, kinds in {
        "content": str,
        "reasoning": str,
        "finish_reason": (str, type(None)),
        "usage": (Usage, type(None)),
        "detail": str,
        "upstream_id": str,
    }.items():
        value = getattr(token, field)
        if not isinstance(value, kinds):  # type: ignore[arg-type]
            wanted = "a str" if kinds is str else "a str or None" if field == "finish_reason" else "a Usage or None"
            return f"it yielded a Token with {field}={value!r}, which must be {wanted}, not {type(value).__name__}"
    return ""


class Harness:
    """The environment of one check: the plugin's instance, the kit's server, and a prompt."""

    def __init__(self, conformance: Description, upstream: Upstream) -> None:
        self.conformance = conformance
        self.upstream = upstream
        self.plugins = Plugins([conformance.plugin])
        self.written_for = written_for(conformance.plugin)
        self._instance: Instance | None = None
        for path, reply in conformance.replies.items():
            upstream.on(path, reply)

    def asks_for(self, version: str) -> bool:
        """Whether the promises that are new in this version of Aura apply: the plugin does not require an older one."""
        return version <= self.written_for

    def make(self, table: Mapping[str, Any] | None = None, name: str | None = None) -> Instance:
        """An instance of the plugin; raises Broken where its settings are refused."""
        plugin = self.conformance.plugin
        if table is None:
            table = self.conformance.table(self.upstream.url)
        values = {key: Value(value, "the conformance description") for key, value in table.items()}
        instance = Instance(name or plugin, plugin, self.plugins.hooks[plugin], values, {})
        if instance.error:
            raise Broken(f"its settings are refused: {instance.error}")
        return instance

    @property
    def instance(self) -> Instance:
        """The instance that most checks use."""
        if self._instance is None:
            self._instance = self.make()
        return self._instance

    @asynccontextmanager
    async def opened(self, table: Mapping[str, Any], name: str | None = None) -> AsyncIterator[Instance]:
        """Another instance, for a while."""
        instance = self.make(table, name)
        try:
            yield instance
        finally:
            await instance.close()

    async def close(self) -> None:
        """Close the instance's client."""
        if self._instance is not None:
            await self._instance.close()
            self._instance = None

    def request(self, *turns: Message, **more: Any) -> ChatRequest:
        """What is asked; without turns a plain prompt."""
        return ChatRequest(list(turns) or [Message("user", "Hello")], self.conformance.model, **more)

    def reply(self, body: bytes | Sequence[Part], **more: Any) -> Reply:
        """A reply of the server in its own content type, in one write or in these."""
        parts: Sequence[Part] = split_at(body, range(PIECE, len(body), PIECE)) if isinstance(body, bytes) else body
        dialect = self.conformance.dialect
        headers = {"content-type": dialect.content_type if dialect else "application/octet-stream"}
        return Reply(parts, headers=headers | dict(more.pop("headers", {})), **more)

    def start(
        self, reply: Reply | None = None, request: ChatRequest | None = None, on: Instance | None = None
    ) -> PlayedAnswer:
        """Begin an answer."""
        if reply is not None:
            self.upstream.default = reply
        return PlayedAnswer(on or self.instance, request or self.request())

    async def ask(self, reply: Reply | None = None, request: ChatRequest | None = None) -> PlayedAnswer:
        """A whole answer."""
        return await self.start(reply, request).finish()

    async def start_all(self, replies: Mapping[str, Reply]) -> dict[str, PlayedAnswer]:
        """An answer to each of these replies, all at the same time."""
        started = {}
        for name, reply in replies.items():
            asked = len(self.questions)
            self.upstream.queue(reply)
            started[name] = self.start()
            await until(lambda asked=asked, name=name: len(self.questions) > asked or started[name].ended)  # type: ignore[misc]
        return started

    def text_record(self) -> bytes:
        """A record with some text and its framing. Raises Inapplicable where the kit cannot tell."""
        dialect, text = self.conformance.dialect, "word " * 800
        if dialect is None or dialect.split is None:
            raise Inapplicable("its dialect has no `split`, so the kit cannot repeat a record")
        found = [record for record in dialect.split(self.conformance.whole([text, "end"])) if text.encode() in record]
        if not found:
            raise Inapplicable("no record holds a token as it is, so the kit cannot repeat one")
        return found[0]

    async def play(self, body: bytes) -> PlayedAnswer:
        """The answer to these bytes in one write. Raises Inapplicable if it fails."""
        try:
            answer = await self.ask(self.reply(body))
        except Broken as seen:  # `text` says it as what it is
            raise Inapplicable(f"it cannot answer at all: {seen}") from None
        if not answer.relay.succeeded:
            raise Inapplicable(f"a whole answer ends with {answer.end}; see `finish`")
        return answer

    @property
    def module(self) -> str:
        """The plugin's package."""
        found = next((ep for ep in published(GROUP)[0] if ep.name == self.conformance.plugin), None)
        return "" if found is None else found.value.partition(":")[0].partition(".")[0]

    async def replay(self, transcript: Transcript | Failure) -> PlayedAnswer:
        """The answer to a transcript."""
        if isinstance(transcript, Failure):
            reply = self.reply(transcript.body, status=transcript.status, headers=transcript.headers)
        else:
            reply = self.reply(transcript.body)
        return await self.ask(reply, self.request(options=dict(transcript.options)))

    @property
    def questions(self) -> list[Request]:
        """The requests for an answer; others, such as a login, are left out."""
        others = self.conformance.replies
        return [request for request in self.upstream.requests if request.path.partition("?")[0] not in others]

    @property
    def streams(self) -> bool:
        """Whether the plugin says that it can stream."""
        return self.instance.supports_streaming(self.conformance.model, {})

    def must_stream(self) -> None:
        """Raise Inapplicable for a provider that cannot."""
        if not self.streams:
            raise Inapplicable("supports_streaming says that it cannot stream")


def written_for(plugin: str) -> str:
    """The version of Aura that an installed plugin was written for: "0.1" if its distribution requires that one."""
    found = next((ep for ep in published(GROUP)[0] if ep.name == plugin), None)
    names = {requirement.name for requirement in requirements_of(found.dist)} if found is not None else set[str]()
    return "0.1" if FORMER_DISTRIBUTION in names and CORE_DISTRIBUTION not in names else "0.2"


async def until(condition: Callable[[], bool], patience: float = PATIENCE) -> bool:
    """Whether it comes true soon."""
    end = asyncio.get_running_loop().time() + patience
    while not condition():
        if asyncio.get_running_loop().time() > end:
            return False
        await asyncio.sleep(0.005)
    return True


async def hook(asked: Callable[[], Awaitable[Any]]) -> str | None:
    """Call an optional hook; the message that it raises, None where it answers."""
    try:
        await asked()
    except Exception as exc:
        return str(getattr(exc, "message", exc))
    return None


CLEANUP = CLEANUP_LIMIT + 0.5


def encoded(value: Any) -> str:
    """A value, short and on one line, for a report."""
    text = "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode()
        for each in msgspec.json.encode(value).decode()
    )
    return text if len(text) <= 160 else f"{text[:100]} … {text[-50:]}"
