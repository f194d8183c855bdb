"""One Aura process: its settings, plugins, provider instances and agents, and the answers under way."""

import asyncio
import logging
import os
import sys
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from copy import deepcopy
from functools import partial
from time import time
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from aura_core.answer.candidates import Candidate, Rests
from aura_core.answer.events import Framing
from aura_core.answer.fallback import Fallback
from aura_core.answer.relay import Limits, Relay
from aura_core.answer.stream_record import Asked, StreamRecord
from aura_core.bindings import Bindings, Bound
from aura_core.budget import FULL, Budget, Share
from aura_core.clients import DEFAULT, Client
from aura_core.config.agents import BUILT_IN, AgentStore
from aura_core.config.settings import Settings
from aura_core.config.untrusted import Refusal
from aura_core.door import Question, system_prompt
from aura_core.doors.table import Doors
from aura_core.errors import ConfigError, ProviderError
from aura_core.limits import ANSWER_RESERVE, TELL_DELAY, TOLD_TOGETHER
from aura_core.plugins.loader import Plugins, allowed_by_environment
from aura_core.plugins.place import Place
from aura_core.plugins.registry import Providers
from aura_core.problems import Problem
from aura_core.telemetry import otel_variables, redact
from aura_core.telemetry.refusals import Refusals
from aura_core.text import counted
from aura_core.types import ChatRequest, Message, Token

if TYPE_CHECKING:
    from aura_core.telemetry.traces import AnswerSpans, Traces

log = logging.getLogger("aura")

Observer = Callable[[StreamRecord, float], None]
"""Told of each answer that is over, with the time of its end (seconds since 1970)."""
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Started(msgspec.Struct, frozen=True):
    """What is known of an answer under way: the id of its request, who answers, and who asked by which door, from
    where."""

    request_id: str
    bound: Bound
    client: Client
    client_address: str = ""
    door: str = ""
    spans: "AnswerSpans | None" = None


class Runtime:
    """The core without its server: the same for `aura serve`, `aura chat` and the lists."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self.settings = settings
        self._environ = environ
        self.plugins = Plugins(allowed_by_environment(environ))
        self.providers = Providers(settings, self.plugins, environ)
        named = settings.agents_within is None and "agents.directory" in settings.origins
        self.agents = AgentStore(settings.directory, settings.agents_within, named)
        self.bindings = Bindings(settings, self.agents, self.providers)
        self.doors = Doors(self.plugins.doors)
        self.limits = msgspec.convert(settings.server, Limits, from_attributes=True)
        self.budget = Budget(settings.server.max_buffered)
        self.relays: dict[Relay, Started] = {}
        self._held = Counter[str]()  # answers under way of each client
        self.abandonments = Counter[str]()
        self.restarts = 0  # 1 in a worker that replaced one that crashed
        self.rests = Rests()
        self.refused = Refusals()
        self.observers: list[Observer] = []
        self.traces: Traces | None = None  # of the server, where they are on
        # Called once a second, with how late the event loop was.
        self.looks: list[Callable[[float], None]] = [lambda _: self.refused.tell()]
        self.connections: Callable[[], int] = int  # of clients; the server says how many
        self.stopping = False  # a signal has ended the server; balancers are told to send it nothing more
        self.draining = False  # and it takes no new answers
        self._leaving: set[Relay] = set()  # those whose plugin still cleans up
        self._untold = deque[tuple[StreamRecord, float]]()  # with the times of their ends
        self._telling = False  # whether a timer will tell the observers of them
        settings.clients.reload()  # a worker that replaces another has the settings of the start, not its tokens
        self.secrets: list[str] = []
        self.add_secrets([*self.providers.secrets(), *settings.clients.secrets])
        for instance in self.providers.instances.values():
            instance.redact = self.redact
            instance.add_secrets = self.add_secrets
        self.add_secrets(otel_variables.secrets(environ))

    def add_secrets(self, values: list[str]) -> None:
        """Hide these, too, in whatever is shown or logged."""
        if not set(values) <= set(self.secrets):
            self.secrets = sorted({*self.secrets, *values}, key=len, reverse=True)

    @property
    def folder_warning(self) -> str | None:
        """Why the folder of the agents cannot be read, unless nobody named it and it was never there."""
        problem, origin = self.agents.problem, self.settings.origins.get("agents.directory")
        never = self.agents.entries == BUILT_IN and not os.path.lexists(self.agents.directory)
        if problem is None or (origin is None and never):
            return None
        return f"{origin}: {problem}" if origin else problem

    @property
    def warnings(self) -> list[str]:
        """What an operator should know, a line each."""
        folder = [self.folder_warning] if self.folder_warning else []
        broken = [f"plugin {p.name!r} of {p.distribution}: {p.error}; {p.remedy}" for p in self.plugins.broken]
        entries = self.agents.entries.values()
        agents = [error for entry in entries if (error := self.bindings.agent_error(entry))]
        options = [warning for entry in entries for warning in self.bindings.option_warnings(entry)]
        refused = [str(refusal) for refusal in self.settings.refusals]
        exposed = [self.agents.exposed] if self.agents.exposed else []
        return [
            *refused,
            *self.settings.warnings,
            *folder,
            *exposed,
            *self.plugins.warnings,
            *self.providers.warnings,
            *broken,
            *agents,
            *options,
            *([traces] if (traces := otel_variables.problem(self._environ)) else []),
        ]

    def faults_of_settings(self) -> list[str]:
        """What is wrong with the provider tables of the settings as they are now on disk, a line each, without what was
        wrong at the start. Raises ConfigError where a restart would fail."""
        if self.settings.again is None:
            return []
        settings = self.settings.again()
        if settings.unguarded is not None and self.settings.unguarded is None:  # it may listen elsewhere: --uds
            raise ConfigError(settings.unguarded)
        faults = Providers(settings, self.plugins, self._environ).warnings
        return [fault for fault in faults if fault not in self.providers.warnings]

    @property
    def refusals(self) -> list[Refusal]:
        """What an untrusted folder asked for and did not get."""
        tables = [refusal for instance in self.providers.instances.values() for refusal in instance.refusals]
        return [*self.settings.refusals, *tables, *self.agents.refusals]

    # Answers

    def check_room(self, client: Client = DEFAULT) -> None:
        """Raises Problem when the server stops, or the client or the server has as many answers as it may."""
        if self.draining:
            raise Problem("server_shutdown", "The server is shutting down.")
        limit = client.max_streams
        if limit and self._held[client.name] >= limit:
            full = f"All {limit} of your streams are" if limit > 1 else "Your only stream is"
            raise Problem("client_limit", f"{full} in use; end one, or try again when one has ended.", retry_after=1)
        limit = self.settings.server.max_streams
        if len(self.relays) >= limit:
            full = f"All {limit} streams are" if limit > 1 else "The only stream is"
            raise Problem("too_many_streams", f"{full} in use (server.max_streams).", retry_after=1)

    def answer(
        self,
        bound: Bound,
        question: Question,
        framing: Framing,
        stuck: Callable[[], object] | None = None,
        request_id: str = "-",
        headers: Mapping[str, str] = NO_HEADERS,
        share: Share | None = None,
        client: Client = DEFAULT,
        client_address: str = "",
        door: str = "",
    ) -> Relay:
        """Begin an answer for `client`; `headers` are added to the plugin's request. Raises Problem when the
        server is full or stops; the caller must `release` the relay.

        Frames that wait for the client count in `share`; without one, for a caller in this process, there is no limit.
        """
        self.check_room(client)
        if share is not None and not share.grow(ANSWER_RESERVE):
            raise Problem("too_many_streams", FULL, retry_after=1)
        if bound.instance.full and all(each.instance.full for each in bound.fallback):
            raise Problem("too_many_streams", _all_full(bound), retry_after=1)
        spans = None
        if self.traces is not None:
            spans = self.traces.answer(bound.agent.id, bound.agent.front_matter.name, question.stream)
        first = self._candidate(bound, question, headers, spans)
        candidates: Candidate | Fallback = first
        if bound.fallback:
            others = [self._candidate(other, question, headers, spans) for other in bound.fallback]
            candidates = Fallback([first, *others], self.rests)
        relay = Relay(candidates, self.limits, framing, self.redact, stuck, share)
        self.relays[relay] = Started(request_id, bound, client, client_address, door, spans)
        self._held[client.name] += 1
        return relay

    def _candidate(
        self, bound: Bound, question: Question, headers: Mapping[str, str], spans: "AnswerSpans | None"
    ) -> Candidate:
        instance = bound.instance
        place = Place(instance)
        return Candidate(
            partial(self._start, bound, question, headers, place, spans),
            instance.responsible,
            instance.name,
            bound.model,
            bound.limit,
            bound.limited_by,
            partial(self.abandonments.update, (instance.plugin,)),
            instance.address,
            place,
        )

    def release(self, relay: Relay) -> None:
        """Close an answer, and free its slot. The observers are told how it went in a moment, see `tell`."""
        relay.close()
        if not relay.closed:
            self._leaving.add(relay)
            relay.when_closed(self._leaving.discard)
        started = self.relays.pop(relay, None)
        if started is None:
            return
        self._held[started.client.name] -= 1
        if not self.observers and started.spans is None:
            return
        asked = Asked(started.request_id, started.client.name, started.client_address, started.door)
        record = relay.record(started.bound.agent.id, asked)
        if started.spans is not None:
            _tell(started.spans.end, record)  # now, so that they end before the span of the request
        self._untold.append((record, time()))
        if not self._telling:
            self._telling = True
            asyncio.get_running_loop().call_later(TELL_DELAY, self._tell_some)

    def _tell_some(self) -> None:
        self.tell(TOLD_TOGETHER)
        if self._untold:
            asyncio.get_running_loop().call_soon(self._tell_some)
        else:
            self._telling = False

    def tell(self, most: int = sys.maxsize) -> None:
        """Tell the observers of answers that are over, of all of them before somebody reads the figures and at the end.

        It is done for several together: one by one, between other work, it takes three times as long.
        """
        for _ in range(min(most, len(self._untold))):
            record, ended = self._untold.popleft()
            for observer in self.observers:
                _tell(observer, record, ended)

    async def _start(
        self,
        bound: Bound,
        question: Question,
        headers: Mapping[str, str],
        place: Place,
        spans: "AnswerSpans | None",
    ) -> AsyncIterator[Token]:
        instance = bound.instance
        span = None
        if spans is not None:
            span = spans.attempt(instance.name, instance.kind)
            headers = span.headers(headers)
        client = await place.client()
        request = await self.request(bound, question, headers)
        if span is not None:
            span.asks(request)
        iterator: AsyncIterator[Token] | None = instance.hooks.answer(
            request=request, settings=instance.settings, client=client
        )
        if iterator is None:
            raise ProviderError(f"The provider plugin {instance.responsible!r} returned nothing.")
        return iterator

    async def request(self, bound: Bound, question: Question, headers: Mapping[str, str] = NO_HEADERS) -> ChatRequest:
        """What the provider is asked. Raises ProviderError where no model is known."""
        asks = bound.asks
        model = asks.model or await bound.instance.model()
        system = system_prompt(bound.agent.prompt, question.context)
        limit = asks.max_tokens
        if question.max_tokens is not None:
            limit = question.max_tokens if limit is None else min(limit, question.max_tokens)
        return ChatRequest(
            [Message("system", system), *question.messages] if system else list(question.messages),
            model,
            asks.temperature,
            limit,
            deepcopy(asks.options) if asks.options else {},  # a plugin may change its copy; the agent is shared
            dict(headers),
        )

    def redact(self, text: str) -> str:
        """Text from a plugin or an upstream, made fit for a user."""
        return redact.message(text, self.secrets)

    # Life

    async def warm(self) -> str | None:
        """Choose the provider of agents that name none, and open the clients that agents use, so that no request pays
        for it. Returns the choice in a sentence, where one was needed."""
        choice = await self.bindings.choose()
        await self.providers.open(self.bindings.used_instances())
        return choice

    async def close(self) -> None:
        """End every answer and close every client."""
        for relay in list(self.relays):
            self.release(relay)
        self.tell()
        await asyncio.gather(*(relay.wait_closed() for relay in self._leaving))
        await self.providers.close()
        if self.traces is not None:
            await self.traces.close()


def _tell(observer: Callable[..., object], *what: object) -> None:
    """An answer must end well for its client, and the other observers are told of it, even if one of them raises."""
    try:
        observer(*what)
    except Exception:
        with suppress(Exception):  # the log itself may be what fails
            log.exception("an answer's figures could not be taken")


def _all_full(bound: Bound) -> str:
    """That every provider of an agent has as many answers as it may."""
    names = list(dict.fromkeys(each.instance.name for each in (bound, *bound.fallback)))
    if len(names) == 1:
        limit = counted(bound.instance.max_streams, "answer")
        return f"The provider {names[0]!r} has {limit} under way, all that it may (providers.{names[0]}.max_streams)."
    return f"The providers {', '.join(names)} have as many answers under way as they may (their max_streams)."
