"""Find, check and call plugins; one bad plugin is quarantined with its remedy and never stops the others."""

import inspect
import logging
import re
import reprlib
from collections.abc import Awaitable, Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from importlib.metadata import EntryPoint
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal, get_origin

import msgspec
import pluggy

from aura_core import hookspecs
from aura_core._version import __version__
from aura_core.config.suggest import did_you_mean
from aura_core.door import Door
from aura_core.errors import words_of
from aura_core.limits import PLUGIN_ERROR_LIMIT
from aura_core.plugins.distributions import name_of, published, requirements_of, version_of
from aura_core.plugins.doors import BadDoor, checked, rivals
from aura_core.plugins.importing import contained

log = logging.getLogger("aura.plugins")

GROUP = "aura"
CORE_DISTRIBUTION = "aura-server"
CORE_PLUGIN = "echo"
ALLOW_LIST = "AURA_PLUGINS"
NAME = re.compile(r"[a-z][a-z0-9_]*")

_SPECIFICATIONS = {name: spec for name, spec in vars(hookspecs).items() if hasattr(spec, "aura_spec")}
_RETURNS = {name: get_origin(inspect.signature(spec).return_annotation) for name, spec in _SPECIFICATIONS.items()}
_STRUCTS = {name for name, returned in _RETURNS.items() if returned is type}
_ASYNC_HOOKS = {name for name, returned in _RETURNS.items() if returned is Awaitable}


class Plugin(msgspec.Struct, frozen=True):
    """One entry point of the group `aura`, whether it could be loaded or not."""

    name: str
    distribution: str
    version: str
    status: Literal["ok", "error", "disabled"] = "ok"
    provider: bool = False
    door: bool = False
    error: str | None = None
    remedy: str | None = None

    @property
    def kind(self) -> str:
        """What it is: provider, door, both, or else a wrapper; "" where it is not loaded."""
        kinds = [name for name, is_it in (("provider", self.provider), ("door", self.door)) if is_it]
        return ", ".join(kinds) or ("wrapper" if self.status == "ok" else "")


class BadPlugin(Exception):
    """A plugin that the loader refuses; `remedy` says what its user or author can do."""

    def __init__(self, error: str, remedy: str) -> None:
        super().__init__(error)
        self.remedy = remedy


class Hooks(SimpleNamespace):
    """The hooks of one provider, each with every wrapper that any other plugin puts around it."""

    settings_type: type[msgspec.Struct] | None
    options_type: type[msgspec.Struct] | None

    if TYPE_CHECKING:

        def __getattr__(self, hook: str) -> pluggy.HookCaller: ...

    def implements(self, hook: str) -> bool:
        """Whether the provider itself implements the hook (a wrapper around nothing does not count)."""
        return any(not _wraps(impl) for impl in getattr(self, hook).get_hookimpls())

    def answer(self, **given: Any) -> Any:
        """Call `stream_chat`. pluggy copies its list of functions and checks the arguments for each call, which takes
        longer than all else that a plugin does at first; where no other plugin wraps it, its only function is called.
        """
        only = self._only
        if only is None:
            return self.stream_chat(**given)
        return only.function(*[given[name] for name in only.argnames])

    @cached_property
    def _only(self) -> pluggy.HookImpl | None:
        found = self.stream_chat.get_hookimpls()
        plain = len(found) == 1 and not _wraps(found[0]) and not getattr(found[0], "kwargnames", ())
        return found[0] if plain else None

    def wrappers(self, hook: str) -> list[str]:
        """The names of the plugins that wrap the hook."""
        return [impl.plugin_name for impl in getattr(self, hook).get_hookimpls() if _wraps(impl)]


class _Marked:
    """The functions of a plugin that are marked as hooks.

    pluggy compares and hashes what it is given; an object that cannot be would fail in the name of another plugin.
    """


class Plugins:
    """All plugins of this environment: `all` lists them, `hooks[NAME]` are the providers that can be called, and
    `doors[NAME]` the doors that can be opened."""

    def __init__(self, allowed: Iterable[str] | None = None) -> None:
        """Load every entry point of the group `aura`, or only those allowed (`echo` always is)."""
        self.all: list[Plugin] = []
        self.hooks: dict[str, Hooks] = {}
        self.doors: dict[str, list[Door]] = {}
        self._objects: dict[str, Any] = {}
        self._pm = pluggy.PluginManager("aura")
        self._pm.add_hookspecs(hookspecs)
        found, self.warnings = published(GROUP)
        found.sort(key=lambda ep: (ep.name, name_of(ep.dist)))
        allow = None if allowed is None else {CORE_PLUGIN, *allowed}
        for name in sorted((allow or set()) - {ep.name for ep in found}):
            hint = did_you_mean(name, [ep.name for ep in found])
            self.warnings.append(f"{ALLOW_LIST} names {name!r}, which is not installed{hint}")
        for ep in found:
            rivals = [name_of(other.dist) for other in found if other.name == ep.name and other is not ep]
            self.all.append(self._load(ep, allow, rivals))
        self._open()
        self._bind()

    def _load(self, ep: EntryPoint, allow: set[str] | None, rivals: list[str]) -> Plugin:
        plugin = Plugin(ep.name, name_of(ep.dist), version_of(ep.dist))
        if allow is not None and ep.name not in allow:
            return msgspec.structs.replace(plugin, status="disabled", remedy=f"add it to {ALLOW_LIST} to use it")
        try:
            self._check_name(plugin, rivals)
            with contained(ep.name, self.warnings):
                plain = self._register(ep)
            return msgspec.structs.replace(plugin, provider="stream_chat" in plain, door="doors" in plain)
        except BadPlugin as bad:
            return _quarantine(plugin, str(bad), bad.remedy)
        except KeyboardInterrupt:  # the user's
            raise
        except BaseException as exc:  # a plugin may raise SystemExit, or worse, when it is imported
            log.debug("plugin %r cannot be loaded", ep.name, exc_info=True)
            return _quarantine(plugin, f"cannot be loaded: {words_of(exc)}", _remedy(exc, ep))

    def _check_name(self, plugin: Plugin, rivals: list[str]) -> None:
        if not NAME.fullmatch(plugin.name):
            raise BadPlugin(
                f"the entry point's name {plugin.name!r} is not of the form [a-z][a-z0-9_]*",
                f"ask the author of {plugin.distribution} to rename it, or: pip uninstall {plugin.distribution}",
            )
        if plugin.name == CORE_PLUGIN:
            if plugin.distribution != CORE_DISTRIBUTION:
                raise BadPlugin(f"the name {CORE_PLUGIN!r} belongs to {CORE_DISTRIBUTION}", _uninstall(plugin))
        elif rivals:
            names = " and ".join(sorted({plugin.distribution, *rivals}))
            raise BadPlugin(f"{names} both call themselves {plugin.name!r}", f"uninstall one of {names}")

    def _register(self, ep: EntryPoint) -> set[str]:
        """Import and register the plugin; the hooks that it implements itself."""
        loaded = ep.load()
        if twin := next((name for name, other in self._objects.items() if other is loaded), None):
            raise BadPlugin(f"it is the same as {twin!r}, under another name", _author(ep))
        marked = self._marked(loaded)
        _check_arguments(marked, ep)
        try:
            self._pm.register(marked, name=ep.name)
            plain = self._check_hooks(ep, marked)
        except BaseException as exc:
            if self._pm.has_plugin(ep.name):
                self._pm.unregister(name=ep.name)
            if isinstance(exc, pluggy.PluginValidationError):
                raise BadPlugin(" ".join(str(exc).split()), _author(ep)) from exc
            raise
        self._objects[ep.name] = loaded
        return plain

    def _marked(self, loaded: Any) -> _Marked:
        found = _Marked()
        for name in dir(loaded):
            marked = None
            with suppress(Exception):  # of a property, say, which is not a hook
                marked = self._pm.parse_hookimpl_opts(loaded, name)
            if marked is not None:
                setattr(found, name, getattr(loaded, name))
        return found

    def _check_hooks(self, ep: EntryPoint, module: Any) -> set[str]:
        own = []
        for caller in self._pm.get_hookcallers(module) or ():
            for impl in caller.get_hookimpls():
                if impl.plugin is not module:
                    continue
                if not caller.has_spec() and not impl.optionalhook:
                    hint = did_you_mean(caller.name, _SPECIFICATIONS)
                    raise BadPlugin(f"there is no hook {caller.name!r}{hint}", _author(ep))
                if _wraps(impl) and caller.name in {*_STRUCTS, "doors"}:
                    raise BadPlugin(f"it wraps {caller.name!r}, which is each plugin's own", _author(ep))
                _check_shape(caller.name, impl, ep)
                own.append((caller.name, impl))
        if not own:
            raise BadPlugin("it implements no hook", f"mark its functions with @aura_core.hookimpl; {_author(ep)}")
        plain = {name for name, impl in own if not _wraps(impl)}
        if (of_provider := sorted(plain - {"doors"})) and "stream_chat" not in plain:
            # Such an answer would speak for every provider.
            raise BadPlugin(
                f"it implements {of_provider[0]!r} but not 'stream_chat', so it is not a provider", _author(ep)
            )
        return plain

    def _open(self) -> None:
        """Ask each plugin for its doors, one by one; of those that have one path, open none."""
        for plugin in [plugin for plugin in self.all if plugin.door]:
            try:
                with contained(plugin.name, self.warnings):
                    given = self._only("doors", plugin.name)()
                    self.doors[plugin.name] = checked(given[0] if given else None)
            except KeyboardInterrupt:  # the user's
                raise
            except BadDoor as bad:
                self._shut(plugin.name, str(bad), _uninstall(plugin))
            except BaseException as exc:
                log.debug("plugin %r: its doors cannot be had", plugin.name, exc_info=True)
                self._shut(plugin.name, f"its doors cannot be opened: {words_of(exc)}", _uninstall(plugin))
        for name, why in rivals(self.doors).items():
            self._shut(name, why, "uninstall one of them, or leave one out of " + ALLOW_LIST)

    def _only(self, hook: str, name: str) -> pluggy.HookCaller:
        """The hook of one plugin."""
        others = [plugin for other, plugin in self._pm.list_name_plugin() if other != name]
        return self._pm.subset_hook_caller(hook, others)

    def _shut(self, name: str, why: str, remedy: str) -> None:
        """Quarantine a plugin for its doors, with all else that it does."""
        self.doors.pop(name, None)
        self._pm.unregister(name=name)
        index = next(index for index, plugin in enumerate(self.all) if plugin.name == name and plugin.status == "ok")
        self.all[index] = _quarantine(self.all[index], why, remedy)

    def _bind(self) -> None:
        """Give each provider its hook callers; possible only when all plugins are known."""
        modules = {plugin.name: self._pm.get_plugin(plugin.name) for plugin in self.all if plugin.provider}
        for index, plugin in enumerate(self.all):
            if not plugin.provider:
                continue
            others = [module for name, module in modules.items() if name != plugin.name]
            callers = {name: self._pm.subset_hook_caller(name, others) for name in _SPECIFICATIONS}
            try:
                with contained(plugin.name, self.warnings):
                    settings_type = _struct(callers["provider_settings"])
                    options_type = _struct(callers["agent_options"])
            except KeyboardInterrupt:
                raise
            except BaseException as exc:
                log.debug("plugin %r fails", plugin.name, exc_info=True)
                self.all[index] = _quarantine(plugin, words_of(exc), _uninstall(plugin))
                continue
            self.hooks[plugin.name] = Hooks(**callers, settings_type=settings_type, options_type=options_type)

    @property
    def broken(self) -> list[Plugin]:
        """The quarantined plugins."""
        return [plugin for plugin in self.all if plugin.status == "error"]


def allowed_by_environment(environ: Mapping[str, str]) -> list[str] | None:
    """What AURA_PLUGINS allows: None where it is not set, an empty list where it is empty."""
    value = environ.get(ALLOW_LIST)
    return None if value is None else [name.strip() for name in value.split(",") if name.strip()]


def _wraps(impl: pluggy.HookImpl) -> bool:
    return impl.wrapper or impl.hookwrapper


def _check_arguments(marked: "_Marked", ep: EntryPoint) -> None:
    """Refuse an argument that a hook does not have, with those that it has; pluggy names only the wrong one."""
    for name, spec in _SPECIFICATIONS.items():
        fn = getattr(marked, name, None)
        if fn is None:
            continue
        known = [each for each in inspect.signature(spec).parameters if each != "self"]
        for parameter in inspect.signature(fn).parameters.values():
            positional = parameter.kind is parameter.POSITIONAL_OR_KEYWORD
            if positional and parameter.default is parameter.empty and parameter.name not in known:
                allowed = f"it may name {', '.join(known)}" if known else "it takes none"
                raise BadPlugin(f"{name} has no argument {parameter.name!r}; {allowed}", _author(ep))


def _check_shape(hook: str, impl: pluggy.HookImpl, ep: EntryPoint) -> None:
    """Refuse what pluggy lets pass and would call wrongly, or never."""
    fn = impl.function
    for parameter in inspect.signature(fn).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            raise BadPlugin(f"{hook}: the keyword-only argument {parameter.name!r} would never be passed", _author(ep))
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            raise BadPlugin(f"{hook}: '{parameter!s}' receives nothing; name the arguments that you need", _author(ep))
    if _wraps(impl):
        return
    if hook == "stream_chat":
        if inspect.iscoroutinefunction(fn):
            raise BadPlugin(
                "stream_chat is 'async def' without 'yield': it returns a coroutine, no tokens", _author(ep)
            )
        if inspect.isgeneratorfunction(fn):
            raise BadPlugin("stream_chat is a plain generator; it must be 'async def' with 'yield'", _author(ep))
    elif inspect.isasyncgenfunction(fn) or inspect.isgeneratorfunction(fn):
        hint = "; decorate it with @asynccontextmanager" if hook == "open_client" else ""
        raise BadPlugin(f"{hook} is a generator{hint}", _author(ep))
    elif hook not in _ASYNC_HOOKS and inspect.iscoroutinefunction(fn):
        raise BadPlugin(f"{hook} must not be 'async def'", _author(ep))


def _struct(caller: pluggy.HookCaller) -> type[msgspec.Struct] | None:
    answer = caller()
    if answer is not None and not (isinstance(answer, type) and issubclass(answer, msgspec.Struct)):
        raise TypeError(f"{caller.name} must return a msgspec.Struct class, not {reprlib.repr(answer)}")
    if answer is not None:
        msgspec.inspect.type_info(answer)  # an annotation that cannot be resolved raises here, not in another's request
    return answer


def _quarantine(plugin: Plugin, error: str, remedy: str) -> Plugin:
    return msgspec.structs.replace(
        plugin, status="error", provider=False, door=False, error=error[:PLUGIN_ERROR_LIMIT], remedy=remedy
    )


def _uninstall(plugin: Plugin) -> str:
    return f"pip uninstall {plugin.distribution}"


def _author(ep: EntryPoint) -> str:
    """Only for a plugin with a fault: to read the requirements of one takes 5 ms, and longer the first time."""
    return _newer_core(ep) or f"update {name_of(ep.dist)} or tell its author"


def _remedy(exc: BaseException, ep: EntryPoint) -> str:
    if type(exc) is ModuleNotFoundError and exc.name and exc.name.partition(".")[0] != "aura_core":
        return f"install what provides {exc.name!r}, or reinstall {name_of(ep.dist)}"
    return _newer_core(ep) or f"update or uninstall {name_of(ep.dist)}"


def _newer_core(ep: EntryPoint) -> str | None:
    """What to do where the plugin was written for another version of the core."""
    core = CORE_DISTRIBUTION
    for wanted in requirements_of(ep.dist):
        if wanted.name == core and not wanted.specifier.contains(__version__, prereleases=True):
            return f"it needs {core} {wanted.specifier}, and this is {__version__}: install versions that fit together"
    return None
