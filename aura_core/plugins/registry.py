"""All provider instances by name, why others are missing, and the one that serves agents which name none."""

import asyncio
from collections.abc import Callable, Mapping

from aura_core.config.settings import Settings
from aura_core.config.sources import Table
from aura_core.config.suggest import did_you_mean
from aura_core.limits import CHOICE_TIMEOUT, OPENING_TIMEOUT
from aura_core.plugins.instance import Instance
from aura_core.plugins.loader import CORE_PLUGIN, NAME, Plugin, Plugins

OURS = "Aura's own are in the folder plugins of its repository"
"""Where to get a provider. No package is guessed: anybody may own that name on an index."""


class Unusable(Exception):
    """Why no instance serves under a name. `installed` tells a missing plugin from a faulty table."""

    def __init__(self, message: str, installed: bool) -> None:
        super().__init__(message)
        self.installed = installed


class Providers:
    """All instances by name: those with a table in aura.toml, and the default instance of every installed plugin."""

    def __init__(self, settings: Settings, plugins: Plugins, environ: Mapping[str, str]) -> None:
        self.plugins = plugins
        self.instances: dict[str, Instance] = {}
        self.missing: dict[str, str] = {}
        self.warnings: list[str] = []
        self._default = settings.defaults.provider or None
        self.chosen: str | None = None
        self.agree: Callable[[str], str] = str
        """Gives the choice that holds for all processes, told that of this one; they might choose differently."""
        self._choosing: asyncio.Task[str] | None = None
        self._environ = environ
        self._plugin_of_table: dict[str, str] = {}
        # `aura init` writes an empty table for each plugin; one that AURA_PLUGINS switches off needs no warning for it.
        off = {plugin.name for plugin in plugins.all if plugin.status == "disabled"}
        said = {name: table for name, table in settings.tables.items() if table or name not in off}
        tables: dict[str, Table] = {name: {} for name in plugins.hooks} | said
        for name, table in sorted(tables.items()):
            self._add(name, table)

    def _add(self, name: str, table: Table) -> None:
        named = table.get("plugin") or next(iter(table.values()), None)
        place = named.origin if named else f"[providers.{name}]"
        plugin = table["plugin"].value if "plugin" in table else name
        hooks = self.plugins.hooks.get(plugin) if isinstance(plugin, str) else None
        self._plugin_of_table[name] = str(plugin)
        if not NAME.fullmatch(name):
            hint = did_you_mean(name.lower(), self.plugins.hooks)
            self.missing[name] = f"{place}: the name of a provider is of the form [a-z][a-z0-9_]*, not {name!r}{hint}"
            self.warnings.append(self.missing[name])
        elif hooks is None:
            unsaid = "" if "plugin" in table else "the table sets no plugin, and "
            self.missing[name] = f"{place}: {unsaid}{self._why_missing(str(plugin))}"
            self.warnings.append(self.missing[name])
        else:
            instance = Instance(name, str(plugin), hooks, table, self._environ)
            self.instances[name] = instance
            if instance.error and table:
                self.warnings.append(instance.error)

    def _why_missing(self, plugin: str) -> str:
        for other in self.plugins.all:
            if other.name == plugin and other.status == "disabled":
                return f"the plugin {plugin!r} is switched off; {other.remedy}"
            if other.name == plugin and other.error:
                return f"the plugin {plugin!r} of {other.distribution} is broken: {other.error}; {other.remedy}"
            if other.name == plugin and not other.provider:
                return f"the plugin {plugin!r} is not a provider"
        installed = sorted(self.plugins.hooks)
        hint = did_you_mean(plugin, installed) or f"; installed are {', '.join(installed)}. {OURS}"
        return f"provider {plugin!r} is not installed{hint}"

    def get(self, name: str | None) -> Instance:
        """The instance of this name; with None that of `[defaults]`, else the one that was chosen. Raises Unusable."""
        name = name or self._default or self.chosen or CORE_PLUGIN
        instance = self.instances.get(name)
        if instance is None:
            why = self.missing.get(name) or self._why_missing(name)
            plugin = self.plugin_named(name)
            raise Unusable(why, installed=any(p.name == plugin and p.status == "error" for p in self.plugins.all))
        if instance.error:
            raise Unusable(instance.error, installed=True)
        return instance

    async def choose(self) -> str:
        """Pick the provider of agents that name none, while [defaults] names none: the first by name that has a
        default model within half a second, else `echo`. Returns which and why, in a sentence."""
        if self._default is not None:
            return f"{self._default}: named in [defaults]"
        if self.chosen is not None:
            return f"{self.chosen}: chosen when Aura started"
        if self._choosing is None:
            self._choosing = asyncio.create_task(self._choose(), name="aura-choice")
        return await asyncio.shield(self._choosing)

    @property
    def undecided(self) -> bool:
        """Whether providers must be asked before it is known who serves agents that name none."""
        return self._default is None and self.chosen is None and bool(self._candidates())

    def _candidates(self) -> dict[str, Instance]:
        return {
            name: instance
            for name, instance in sorted(self.instances.items())
            if instance.error is None
            and name != CORE_PLUGIN
            and (instance.default_model or instance.hooks.implements("default_model"))
        }

    async def _choose(self) -> str:
        mine, why = await self._find()
        self.chosen = self.agree(mine)
        return f"{mine}: {why}" if self.chosen == mine else f"{self.chosen}: chosen by another worker"

    async def _find(self) -> tuple[str, str]:
        """The first by name that has a default model, and why."""
        asked = self._candidates()
        limit = OPENING_TIMEOUT + CHOICE_TIMEOUT
        asking = [asyncio.wait_for(instance.ask_model(CHOICE_TIMEOUT), limit) for instance in asked.values()]
        models = await asyncio.gather(*asking, return_exceptions=True)
        for (name, instance), model in zip(asked.items(), models, strict=True):
            if isinstance(model, str) and model:
                instance.remember_model(model)
                why = "it answers, with" if instance.hooks.implements("default_model") else "its settings name"
                return name, f"{why} the model {instance.known_model}"
        others = [name for name in self.instances if name != CORE_PLUGIN]
        return CORE_PLUGIN, _nobody(list(asked), others)

    async def open(self, names: set[str]) -> None:
        """Open the clients of these instances at once; what fails is tried again at the next request."""
        wanted = [self.instances[name] for name in names if name in self.instances and not self.instances[name].error]
        await asyncio.gather(*(instance.client() for instance in wanted), return_exceptions=True)

    def have_new_keys(self) -> bool:
        """Whether `follow_key_files` has something to do. It reads files, so it is not for the event loop."""
        return any(instance.has_new_key() for instance in self.instances.values())

    async def follow_key_files(self) -> None:
        """Open another client where a file holds another key than the client was opened with."""
        for instance in self.instances.values():
            await instance.follow_key_files()

    async def close(self) -> None:
        """Close every client that was opened."""
        if self._choosing is not None:
            self._choosing.cancel()
        await asyncio.gather(*(instance.close() for instance in self.instances.values()))

    def secrets(self) -> list[str]:
        """The values that must never be shown."""
        return list({value for each in self.instances.values() for value in each.secret_values(self._environ)})

    def plugin_named(self, name: str) -> str:
        """The name of the plugin that the table `[providers.NAME]` is for."""
        return self._plugin_of_table.get(name, name)

    def plugin_of(self, instance: Instance) -> Plugin:
        """The plugin behind an instance."""
        return next(plugin for plugin in self.plugins.all if plugin.name == instance.plugin)


def _nobody(asked: list[str], others: list[str]) -> str:
    if asked:
        return f"no other provider answered ({', '.join(asked)})"
    if others:
        return f"no other provider has a default model ({', '.join(others)})"
    return "no other provider is installed"
