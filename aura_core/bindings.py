"""Which provider instance answers for an agent: its own, those of its fallback, or the one that was chosen."""

import logging
from contextlib import suppress
from copy import deepcopy
from typing import Any

import msgspec

from aura_core.clients import DEFAULT, Client
from aura_core.config.agents import Agent, AgentStore, Entry, FrontMatter
from aura_core.config.decode import decode
from aura_core.config.fallback import FallbackEntry
from aura_core.config.settings import Settings
from aura_core.door import AgentInfo
from aura_core.errors import ConfigError
from aura_core.interrupts import plugin_code
from aura_core.plugins.instance import Instance
from aura_core.plugins.options import misspelt
from aura_core.plugins.registry import Providers, Unusable
from aura_core.problems import Problem

log = logging.getLogger("aura")


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

    def model(self) -> str | None:
        """The model, as far as it is known without asking anybody."""
        return self.asks.model or self.instance.known_model


class Bindings:
    """The agents with the instances that answer for them, as both are now."""

    def __init__(self, settings: Settings, agents: AgentStore, providers: Providers) -> None:
        self._settings = settings
        self._agents = agents
        self._providers = providers
        # What stays true for a version of the agents; the identities of their parts are unique for as long.
        self._bounds: dict[tuple[int, str | None], Bound] = {}  # by the agent, and the provider of those without one
        self._streaming: dict[tuple[str, str, int], bool] = {}  # see `streams`
        self._checked: set[tuple[int, type]] = set()  # options that their plugin takes, by identity and its Struct
        self._version = -1

    def entry(self, agent_id: str, client: Client = DEFAULT) -> Entry:
        """The agent of this id, or its error. Raises Problem where there is none that the client may see."""
        entry = self._agents.get(agent_id)
        if entry is None or not client.sees(entry.id):
            raise Problem("agent_not_found", "There is no agent of this name; GET /api/agents lists them.")
        return entry

    async def bind(self, agent_id: str, client: Client = DEFAULT) -> Bound:
        """The agent of this id and the instance that answers for it. Raises Problem."""
        entry = self.entry(agent_id, client)
        if entry.agent is None:
            raise Problem("agent_invalid", entry.error or "The agent's file is broken.")
        if entry.agent.front_matter.provider is None:
            await self._providers.choose()
        self._forget_old()
        key = id(entry.agent), self._providers.chosen
        if (bound := self._bounds.get(key)) is None:
            bound = self._bounds[key] = self._bound(entry.agent)
        return bound

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
            limit, limited_by = self._settings.server.fallback_after, "server.fallback_after"
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
            instance = self._providers.get(name)
        except Unusable as why:
            code = "provider_misconfigured" if why.installed else "provider_not_installed"
            default = self._settings.origins.get("defaults.provider", "[defaults]")
            place = agent.where(entry or "provider") if name else default
            raise Problem(code, f"{place}: {prefix}{why}") from None
        struct = instance.hooks.options_type
        self._forget_old()
        if options and struct is not None and (id(options), struct) not in self._checked:
            try:
                decode(options, struct, lambda key: f"{agent.where(entry or 'options')}: {prefix}options")
            except ConfigError as exc:
                raise Problem("agent_invalid", str(exc)) from None
            self._checked.add((id(options), struct))
        return instance

    def _forget_old(self) -> None:
        if self._version != self._agents.version:
            self._version = self._agents.version
            self._bounds.clear()
            self._streaming.clear()
            self._checked.clear()

    def _known_bound(self, agent: Agent) -> Bound | None:
        """As `_bound`; None while it takes asking to know who serves the agent, and so whose options it has."""
        undecided = agent.front_matter.provider is None and self._providers.undecided
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
            provider, model = bound.instance.name, bound.model()
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
        models = tuple(instance.known_model for instance in self._providers.instances.values())
        return self._agents.version, self._providers.chosen, models

    def agent_infos(self, answering: bool = False, client: Client = DEFAULT) -> list[AgentInfo]:
        """All agents by id that the client may see, or only those that can answer."""
        entries = [entry for _, entry in sorted(self._agents.entries.items()) if client.sees(entry.id)]
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
        key = bound.instance.name, bound.model() or "", id(bound.asks)
        if (known := self._streaming.get(key)) is None:
            known = self._streaming[key] = self._supports_streaming(bound)
        return known

    def _supports_streaming(self, bound: Bound) -> bool:
        instance = bound.instance
        try:
            with plugin_code():
                return instance.supports_streaming(bound.model() or "", deepcopy(bound.asks.options))
        except KeyboardInterrupt:
            raise
        except BaseException as exc:  # SystemExit, too: it is the plugin's
            log.error("plugin %r: supports_streaming failed", instance.plugin, exc_info=exc)
            return True

    def used_instances(self) -> set[str]:
        """The names of the instances that agents use."""
        names = set()
        for entry in self._agents.entries.values():
            try:
                if entry.agent is not None:
                    bound = self._bound(entry.agent)
                    names |= {each.instance.name for each in (bound, *bound.fallback)}
            except Problem:
                continue
        return names

    async def choose(self) -> str | None:
        """Choose the provider of agents that name none, where there are such. Returns the choice in a sentence."""
        agents = [entry.agent for entry in self._agents.entries.values() if entry.agent is not None]
        return await self._providers.choose() if any(agent.front_matter.provider is None for agent in agents) else None
