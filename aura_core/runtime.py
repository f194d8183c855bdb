"""Everything that one Aura process knows: settings, plugins, provider instances, agents, and the answers under way."""

import asyncio
import logging
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from copy import deepcopy
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from aura_core.answer.candidates import Candidate, Rests
from aura_core.answer.events import Framing
from aura_core.answer.fallback import Fallback
from aura_core.answer.relay import Limits, Relay
from aura_core.answer.stream_record import Asked, StreamRecord
from aura_core.budget import FULL, Budget, Share
from aura_core.clients import DEFAULT, Client
from aura_core.config.agents import BUILT_IN, Agent, AgentStore, Entry, FrontMatter
from aura_core.config.decode import decode
from aura_core.config.fallback import FallbackEntry
from aura_core.config.settings import Settings
from aura_core.config.untrusted import Refusal
from aura_core.door import AgentInfo, Question, system_prompt
from aura_core.doors.table import Doors
from aura_core.errors import ConfigError, ProviderError
from aura_core.interrupts import plugin_code
from aura_core.limits import ANSWER_RESERVE
from aura_core.plugins.instance import Instance
from aura_core.plugins.loader import Plugin, Plugins, allowed_by_environment
from aura_core.plugins.options import misspelt
from aura_core.plugins.registry import Providers, Unusable
from aura_core.problems import Problem
from aura_core.telemetry import redact
from aura_core.telemetry.refusals import Refusals
from aura_core.types import ChatRequest, Message, Token

if TYPE_CHECKING:
    from aura_core.telemetry.traces import AnswerSpans, Traces

log = logging.getLogger("aura")

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class ProviderInfo(msgspec.Struct, frozen=True):
    """A provider, a door or a wrapper, as operators see it. `kind` is None where a plugin could not be loaded."""

    name: str
    plugin: str
    distribution: str | None
    version: str | None
    kind: Literal["provider", "door", "wrapper"] | None
    status: str
    error: str | None
    remedy: str | None


class Bound(msgspec.Struct, frozen=True):
    """An agent and an instance that answers for it, as `asks` says: with which model, temperature and options.

    The first token must come within `limit` seconds (0: no limit but the server's); `limited_by` names that setting.
    `fallback` are those that are asked next, in their order. `place` is the part of the file with its options.
    """

    agent: Agent
    instance: Instance
    asks: FrontMatter | FallbackEntry
    limit: float = 0
    limited_by: str = ""
    fallback: tuple["Bound", ...] = ()
    place: str = "options"

    @property
    def model(self) -> str | None:
        """The model, as far as it is known without asking anybody."""
        return self.asks.model or self.instance.known_model


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
        self.doors = Doors(self.plugins.doors)
        self.limits = msgspec.convert(settings.server, Limits, from_attributes=True)
        self.budget = Budget(settings.server.max_buffered)
        self.relays: dict[Relay, Started] = {}
        self._held = Counter[str]()  # answers under way of each client
        self.abandonments = Counter[str]()
        self.restarts = 0  # 1 in a worker that replaced one that crashed
        self.rests = Rests()
        self.refused = Refusals()
        self.observers: list[Callable[[StreamRecord], None]] = []
        self.traces: Traces | None = None  # of the server, where they are on
        self.looks: list[Callable[[float], None]] = []  # called once a second, with how late the event loop was
        self.connections: Callable[[], int] = int  # of clients; the server says how many
        self.leaving = False  # a signal has ended the server; balancers are told to send it nothing more
        self.draining = False  # and it takes no new answers
        self._streaming: dict[tuple[str, str, int], bool] = {}  # see `streams`
        self._streaming_version = -1
        self._leaving: set[Relay] = set()  # those whose plugin still cleans up
        self.secrets: list[str] = []
        self.add_secrets([*self.providers.secrets(), *settings.clients.secrets])
        for instance in self.providers.instances.values():
            instance.redact = self.redact
            instance.add_secrets = self.add_secrets

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
        agents = [error for entry in self.agents.entries.values() if (error := self.agent_error(entry))]
        options = [warning for entry in self.agents.entries.values() for warning in self.option_warnings(entry)]
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

    # Agents

    def entry(self, agent_id: str, client: Client = DEFAULT) -> Entry:
        """The agent of this id, or its error. Raises Problem where there is none that the client may see."""
        entry = self.agents.get(agent_id)
        if entry is None or not client.sees(entry.id):
            raise Problem("agent_not_found", "There is no agent of this name; GET /api/agents lists them.")
        return entry

    async def bind(self, agent_id: str, client: Client = DEFAULT) -> Bound:
        """The agent of this id and the instance that answers for it. Raises Problem."""
        entry = self.entry(agent_id, client)
        if entry.agent is None:
            raise Problem("agent_invalid", entry.error or "The agent's file is broken.")
        if entry.agent.front_matter.provider is None:
            await self.providers.choose()
        return self._bound(entry.agent)

    def _bound(self, agent: Agent) -> Bound:
        """The agent with its instance, and those of its fallback that can be asked. Raises Problem where the agent's
        own provider cannot answer."""
        asks = agent.front_matter
        instance = self._instance(agent, asks.provider, asks.options)
        others: list[Bound] = []
        for number, entry in enumerate(asks.fallback):
            with suppress(Problem):  # one that is broken costs the others nothing; `agent_error` shows it
                own = self._instance(agent, entry.provider, entry.options, f"fallback[{number}]")
                # The same one was chosen, or is the default.
                if own is not instance or entry.model not in (None, asks.model):
                    others.append(Bound(agent, own, entry, place=f"fallback[{number}]"))
        limit, limited_by = asks.first_token_timeout or 0.0, "the agent's first_token_timeout"
        if others and asks.first_token_timeout is None:
            limit, limited_by = self.settings.server.fallback_after, "server.fallback_after"
        limited = [msgspec.structs.replace(each, limit=limit, limited_by=limited_by) for each in others[:-1]]
        return Bound(agent, instance, asks, limit, limited_by, fallback=(*limited, *others[-1:]))

    def _check_fallback(self, agent: Agent) -> None:
        """Raises Problem where an entry of the agent's fallback cannot be asked."""
        for number, entry in enumerate(agent.front_matter.fallback):
            self._instance(agent, entry.provider, entry.options, f"fallback[{number}]")

    def _instance(self, agent: Agent, name: str | None, options: dict[str, Any], entry: str = "") -> Instance:
        """The instance of this name, which takes these options; `entry` is the part of the fallback that has them."""
        prefix = f"{entry}: " if entry else ""
        try:
            instance = self.providers.get(name)
        except Unusable as why:
            code = "provider_misconfigured" if why.installed else "provider_not_installed"
            default = self.settings.origins.get("defaults.provider", "[defaults]")
            place = agent.where(entry or "provider") if name else default
            raise Problem(code, f"{place}: {prefix}{why}") from None
        struct = instance.hooks.options_type
        if options and struct is not None:
            try:
                decode(options, struct, lambda key: f"{agent.where(entry or 'options')}: {prefix}options")
            except ConfigError as exc:
                raise Problem("agent_invalid", str(exc)) from None
        return instance

    def _known_bound(self, agent: Agent) -> Bound | None:
        """As `_bound`; None while it takes asking to know who serves the agent, and so whose options it has."""
        undecided = agent.front_matter.provider is None and self.providers.undecided
        return None if undecided else self._bound(agent)

    def agent_error(self, entry: Entry) -> str | None:
        """Why the agent does not answer, or not in the version that its file has now."""
        if entry.error is not None or entry.agent is None:
            return entry.error
        try:
            self._known_bound(entry.agent)
            self._check_fallback(entry.agent)
        except Problem as problem:
            return problem.detail
        return None

    def option_warnings(self, entry: Entry) -> list[str]:
        """The options of an agent that its plugin lets pass, and that are probably misspelt."""
        agent, bound = entry.agent, None
        if agent is None:
            return []
        with suppress(Problem):
            bound = self._known_bound(agent)
        if bound is None:
            return []
        return [
            f"{agent.where(each.place)}: the option {option!r} is passed on as it is, as the plugin"
            f" {each.instance.plugin!r} does not know it; did you mean {meant!r}?"
            for each in (bound, *bound.fallback)
            for option, meant in misspelt(each.asks.options, each.instance.hooks.options_type)
        ]

    def agent_info(self, entry: Entry) -> AgentInfo:
        """What clients may know of an agent."""
        agent = entry.agent
        if agent is None:
            return AgentInfo(entry.id, entry.id, "", None, None, None, True, [], error=entry.error)
        front_matter = agent.front_matter
        provider, model, streaming = front_matter.provider, front_matter.model, True
        bound = None
        with suppress(Problem):
            bound = self._known_bound(agent)
        if bound is not None:
            provider, model = bound.instance.name, bound.model
            streaming = self.streams(bound)
        return AgentInfo(
            agent.id,
            front_matter.name or agent.id,
            front_matter.description,
            provider,
            model,
            front_matter.temperature,
            streaming,
            front_matter.tags,
            [entry.provider for entry in front_matter.fallback],
            self.agent_error(entry),
        )

    @property
    def listed_state(self) -> tuple[object, ...]:
        """What the list of agents depends on: while this stays equal, the list does."""
        models = tuple(instance.known_model for instance in self.providers.instances.values())
        return self.agents.version, self.providers.chosen, models

    def agent_infos(self, answering: bool = False, client: Client = DEFAULT) -> list[AgentInfo]:
        """All agents by id that the client may see, or only those that can answer."""
        entries = [entry for _, entry in sorted(self.agents.entries.items()) if client.sees(entry.id)]
        return [self.agent_info(entry) for entry in entries if not answering or self.can_answer(entry)]

    def can_answer(self, entry: Entry) -> bool:
        """Whether a question to the agent is taken; one whose file broke goes on as it was."""
        if entry.agent is None:
            return False
        try:
            self._known_bound(entry.agent)
        except Problem:
            return False
        return True

    def streams(self, bound: Bound) -> bool:
        """Whether the agent's answers can stream; where a plugin fails to say, they can.

        The hook is pure, so it is called once for each model and each version of an agent.
        """
        if self._streaming_version != self.agents.version:
            self._streaming_version = self.agents.version
            self._streaming.clear()
        # The identity is unique here: `asks` lives as long as this version of the agents.
        key = bound.instance.name, bound.model or "", id(bound.asks)
        if (known := self._streaming.get(key)) is None:
            known = self._streaming[key] = self._supports_streaming(bound)
        return known

    def _supports_streaming(self, bound: Bound) -> bool:
        instance = bound.instance
        try:
            with plugin_code():
                return instance.supports_streaming(bound.model or "", deepcopy(bound.asks.options))
        except KeyboardInterrupt:
            raise
        except BaseException as exc:  # SystemExit, too: it is the plugin's
            log.error("plugin %r: supports_streaming failed", instance.plugin, exc_info=exc)
            return True

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
        return Candidate(
            lambda: self._start(bound, question, headers, spans),
            _named(instance),
            instance.name,
            lambda: bound.model,
            bound.limit,
            bound.limited_by,
            lambda: self.abandonments.update([instance.plugin]),
            instance.address,
        )

    def release(self, relay: Relay) -> None:
        """Close an answer, free its slot, and log how it went."""
        relay.close()
        if not relay.closed:
            self._leaving.add(relay)
            relay.when_closed(self._leaving.discard)
        started = self.relays.pop(relay, None)
        if started is not None:
            self._held[started.client.name] -= 1
            asked = Asked(started.request_id, started.client.name, started.client_address, started.door)
            record = relay.record(started.bound.agent.id, asked)
            self._tell(record, [] if started.spans is None else [started.spans.end])

    def _tell(self, record: StreamRecord, more: list[Callable[[StreamRecord], None]]) -> None:
        """Log and count an answer that is over; it must end well for its client even where one of these raises."""
        for tell in (_log, *self.observers, *more):
            try:
                tell(record)
            except Exception:
                with suppress(Exception):  # the log itself may be what fails
                    log.exception("an answer's figures could not be taken")

    async def _start(
        self, bound: Bound, question: Question, headers: Mapping[str, str], spans: "AnswerSpans | None"
    ) -> AsyncIterator[Token]:
        instance = bound.instance
        span = None
        if spans is not None:
            span = spans.attempt(instance.name, instance.kind)
            headers = span.headers(headers)
        client = await instance.client()
        request = await self.request(bound, question, headers)
        if span is not None:
            span.asks(request)
        iterator: AsyncIterator[Token] | None = instance.hooks.stream_chat(
            request=request, settings=instance.settings, client=client
        )
        if iterator is None:
            raise ProviderError(f"The provider plugin {_named(instance)!r} returned nothing.")
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
            deepcopy(asks.options),  # a plugin may change its copy; the agent is shared
            dict(headers),
        )

    def redact(self, text: str) -> str:
        """Text from a plugin or an upstream, made fit for a user."""
        return redact.message(text, self.secrets)

    # Life

    def used_instances(self) -> set[str]:
        """The names of the instances that agents use."""
        names = set()
        for entry in self.agents.entries.values():
            try:
                if entry.agent is not None:
                    bound = self._bound(entry.agent)
                    names |= {each.instance.name for each in (bound, *bound.fallback)}
            except Problem:
                continue
        return names

    async def warm(self) -> str | None:
        """Choose the provider of agents that name none, and open the clients that agents use, so that no request pays
        for it. Returns the choice in a sentence, where one was needed."""
        choice = await self.choose()
        await self.providers.open(self.used_instances())
        return choice

    async def choose(self) -> str | None:
        """Choose the provider of agents that name none, where there are such. Returns the choice in a sentence."""
        agents = [entry.agent for entry in self.agents.entries.values() if entry.agent is not None]
        return await self.providers.choose() if any(agent.front_matter.provider is None for agent in agents) else None

    async def close(self) -> None:
        """End every answer and close every client."""
        for relay in list(self.relays):
            self.release(relay)
        await asyncio.gather(*(relay.wait_closed() for relay in self._leaving))
        await self.providers.close()
        if self.traces is not None:
            await self.traces.close()

    def provider_infos(self) -> list[ProviderInfo]:
        """Every instance, every table without a plugin, every door and wrapper, and every plugin that could not be
        loaded."""
        infos = []
        for name, instance in self.providers.instances.items():
            plugin = self.providers.plugin_of(instance)
            status = "ok" if not instance.error else "error" if instance.configured else "unconfigured"
            remedy = "correct it in aura.toml or the environment" if instance.error else None
            infos.append(
                ProviderInfo(
                    name, plugin.name, plugin.distribution, plugin.version, "provider", status, instance.error, remedy
                )
            )
        for plugin in self.plugins.all:
            if plugin.door:
                infos.append(_plugin_info(plugin.name, plugin, "door"))
            elif plugin.status == "ok" and not plugin.provider:
                infos.append(_plugin_info(plugin.name, plugin, "wrapper"))
        unusable = [plugin for plugin in self.plugins.all if plugin.status != "ok"]
        for name, why in self.providers.missing.items():
            table = self.settings.tables[name]
            wanted = str(table["plugin"].value) if "plugin" in table else name
            infos += [_plugin_info(name, p) for p in unusable if p.name == wanted][:1] or [
                ProviderInfo(name, wanted, None, None, "provider", "missing", why, None)
            ]
        for plugin in unusable:
            if (info := _plugin_info(plugin.name, plugin)) not in infos:  # a table of its own name may be there
                infos.append(info)
        return sorted(infos, key=lambda info: info.name)


def _log(record: StreamRecord) -> None:
    level = logging.WARNING if record.outcome == "error" else logging.INFO
    if log.isEnabledFor(level):
        # Not log.log(): it looks for the caller's line, which costs half of what all else of this line does.
        line = logging.LogRecord(log.name, level, "", 0, "stream", None, None)
        line.fields = record
        log.handle(line)


def _named(instance: Instance) -> str:
    """The plugin and whoever wraps its answers: the fault may be of each."""
    wrappers = instance.hooks.wrappers("stream_chat")
    return f"{instance.plugin} (wrapped by {', '.join(wrappers)})" if wrappers else instance.plugin


def _plugin_info(name: str, plugin: Plugin, kind: Literal["door", "wrapper"] | None = None) -> ProviderInfo:
    return ProviderInfo(
        name, plugin.name, plugin.distribution, plugin.version, kind, plugin.status, plugin.error, plugin.remedy
    )
