"""A provider instance: a plugin with its settings and its one client, opened in the background, owned by one task."""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from functools import cached_property
from typing import Any, TypeVar

import msgspec
import pluggy

from aura_core.config.decode import decode, keys, unknown_key
from aura_core.config.environment import variable
from aura_core.config.settings import ProviderSettings, check_variables
from aura_core.config.sources import PROVIDERS, Table, Value, whole_path
from aura_core.config.untrusted import ADDRESSES, NotTrusted, Refusal, refused_setting, secret_settings
from aura_core.credentials import secret
from aura_core.deadline import timeout
from aura_core.errors import ConfigError, ProviderError, words_of
from aura_core.limits import HOOK_TIMEOUT, MODEL_MEMORY
from aura_core.plugins.loader import Hooks
from aura_core.plugins.opened import Opened
from aura_core.types import ChatRequest, Model

log = logging.getLogger("aura.providers")

T = TypeVar("T")


class Instance:
    """One named provider: `[providers.NAME]`, or the default instance of an installed plugin.

    `error` is set where it cannot be used; `settings` are then None. `refusals` is what an untrusted folder may not set
    of it, and `keyless` whether such a folder says where it is, so that no secret goes there.
    """

    def __init__(self, name: str, plugin: str, hooks: Hooks, table: Table, environ: Mapping[str, str]) -> None:
        self.name = name
        self.plugin = plugin
        self.hooks = hooks
        self.settings: Any = None
        self.default_model: str | None = None
        self.values: Table = {}
        self.error: str | None = None
        self.refusals: list[Refusal] = []
        self.keyless = any(key in ADDRESSES and not value.trusted for key, value in table.items())
        self.configured = bool(table)  # or only there because its plugin is installed
        self.redact: Callable[[str], str] = str  # the runtime's, which knows the secrets of all instances
        self.add_secrets: Callable[[list[str]], None] = lambda _values: None  # the runtime's, too
        self.max_streams = 0  # answers at once; 0: no limit
        self.places = 0  # how many of them are taken
        self._opened: Opened | None = None
        self._clients: list[Opened] = []  # this one, and those before it that answers under way still use
        self._opening: asyncio.Future[Any] | None = None
        self._closed = False
        self._keys: list[str] = []  # the secrets of the client that was opened last
        self._model: tuple[float, str] | None = None
        try:
            self._decode(dict(table), environ)
        except ConfigError as exc:
            self.error = str(exc)
        except Exception as exc:  # of what the plugin says of its settings; it costs this instance alone
            log.debug("plugin %r fails", plugin, exc_info=True)
            self.settings = None
            self.error = f"[providers.{name}]: the settings of the plugin {plugin!r} cannot be read ({words_of(exc)})"

    @cached_property
    def _has_client(self) -> bool:
        return self.hooks.implements("open_client")

    @cached_property
    def responsible(self) -> str:
        """The plugin and whoever wraps its answers, for the log: a fault may be of each."""
        wrappers = self.hooks.wrappers("stream_chat")
        return f"{self.plugin} (wrapped by {', '.join(wrappers)})" if wrappers else self.plugin

    def _decode(self, table: Table, environ: Mapping[str, str]) -> None:
        table.pop("plugin", None)
        struct = self.hooks.settings_type
        known = keys(struct) if struct else ()
        place = f"[providers.{self.name}]"

        def where(key: str | None) -> str:
            return table[key].origin if key in table else place

        strict = struct is None or _strict(struct)
        own = keys(ProviderSettings)
        if unknown := [key for key in table if key not in known and key not in own and strict]:
            raise unknown_key(unknown[0], ["plugin", *own, *known], where)
        self._refuse(table, struct)
        if struct is not None:
            table |= _whole_paths(table, struct)
        if self.keyless and struct is not None:
            table |= {key: Value("", "default") for key in secret_settings(struct)}
        elif self.name == self.plugin and struct is not None:
            _add_own_defaults(table, struct, environ)
        check_variables(table)
        given = decode({key: value.value for key, value in table.items() if key in own}, ProviderSettings, where)
        self.default_model = (given.default_model or "").strip() or None
        self.max_streams = given.max_streams
        if struct is not None:
            data = {key: value.value for key, value in table.items() if key in known or key not in own}
            self.settings = decode(data, struct, where)
        self.values = table

    def _refuse(self, table: Table, struct: type[msgspec.Struct] | None) -> None:
        """Note what an untrusted folder may not set. Raises NotTrusted where it sets such a thing."""
        found = {
            key: refused_setting(PROVIDERS, key, value.value, struct, value.origin, f"providers.{self.name}")
            for key, value in table.items()
            if not value.trusted
        }
        self.refusals = [refusal for refusal in found.values() if refusal is not None]
        if self.refusals:
            raise NotTrusted(self.refusals[0])

    @property
    def full(self) -> bool:
        """Whether it has as many answers under way as it may."""
        return 0 < self.max_streams <= self.places

    @cached_property
    def address(self) -> str:
        """Where the settings say that the provider's server is, without a password or a query; "" if they don't."""
        found = (getattr(self.settings, key, None) for key in sorted(ADDRESSES))
        return next((_plain(each) for each in found if isinstance(each, str) and each), "")

    @cached_property
    def kind(self) -> str:
        """The kind of provider in OpenTelemetry's words: what the plugin says, else its name."""
        try:
            said = self.hooks.telemetry_name()
        except BaseException as exc:  # SystemExit, too: it is the plugin's
            log.error("plugin %r: telemetry_name failed", self.plugin, exc_info=exc)
            said = None
        return said if isinstance(said, str) and said else self.plugin

    @property
    def secrets(self) -> list[str]:
        """The names of the variables that hold this instance's secrets."""
        return list(self.secret_variables.values())

    @property
    def secret_variables(self) -> dict[str, str]:
        """The same by the settings `…_env` that name them."""
        if self.settings is None:
            return {}
        keys = [f.name for f in msgspec.structs.fields(self.settings) if f.name.endswith("_env")]
        named = {key: getattr(self.settings, key) for key in keys}
        return {key: name for key, name in named.items() if isinstance(name, str) and name}

    def secret_values(self, environ: Mapping[str, str]) -> list[str]:
        """The secrets in the variables and files that the settings name, as plugins send them: without the white space
        around them."""
        values = [variable(environ, name) for name in self.secrets]
        if self.settings is not None:
            for key in _secret_files(type(self.settings)):
                with suppress(ProviderError):  # who opens the client is told
                    values.append(secret(self.settings, key.removesuffix("_file")))
        return [value for value in values if value]

    async def client(self) -> Any:
        """The client, opened now if it is not yet. Raises ProviderError; then the next call tries again."""
        opened = self.opened()
        return None if opened is None else await opened.client()

    def opened(self) -> Opened | None:
        """The client for what begins now, perhaps still being opened; None where the plugin has none."""
        if not self._has_client:
            return None
        if self._opened is None or self._opened.over:
            self._opened = self._open()
        return self._opened

    def _open(self) -> Opened:
        opened = Opened(self.name, self.plugin, self._enter)
        if self._closed:
            opened.retire()
        self._clients = [each for each in (*self._clients, opened) if not each.over]
        return opened

    @cached_property
    def _has_key_file(self) -> bool:
        keys = [] if self.settings is None else _secret_files(type(self.settings))
        return any(getattr(self.settings, key) for key in keys)

    def has_new_key(self) -> bool:
        """Whether a file holds another key than the client was opened with; False while there is none, which would read
        the key when it is opened. It reads the file."""
        is_open = self._has_key_file and self._opened is not None and self._opened.ready
        return is_open and self.secret_values(os.environ) != self._keys

    async def follow_key_files(self) -> None:
        """Open another client if a file holds another key than the client was opened with; then leave the one before
        when its answers are over. Where the new one cannot be opened the one before stays."""
        if not self._has_key_file:
            return
        keys = await asyncio.to_thread(self.secret_values, os.environ)
        before = self._opened
        if keys == self._keys:
            return
        self.add_secrets(keys)
        if before is None or not before.ready:  # it reads the key when it is opened
            return
        opened = self._open()
        try:
            await opened.client()
        except ProviderError as exc:
            log.error("[providers.%s]: its new key is not used: %s", self.name, self.redact(str(exc.message)))
            return
        log.info("[providers.%s]: its key has changed, and its client is renewed", self.name)
        self._opened = opened
        before.retire()

    async def _enter(self) -> tuple[AbstractAsyncContextManager[Any], Any]:
        async with timeout(HOOK_TIMEOUT):
            # The thread of an attempt that was given up goes on, as nothing can stop it: the next waits for the same.
            if self._opening is None:
                self._keys = await _in_thread(lambda: self.secret_values(os.environ))
                self.add_secrets(self._keys)  # a file of a secret may be newer than the start of this process
                self._opening = _in_thread(lambda: self.hooks.open_client(settings=self.settings))
            opening = self._opening
            try:
                context = await asyncio.shield(opening)
            finally:
                if opening.done():
                    self._opening = None
            if context is None:
                raise ProviderError(f"The provider {self.name!r} has no client.")
            return context, await context.__aenter__()

    async def close(self) -> None:
        """Leave every client that was entered."""
        self._closed = True
        await asyncio.gather(*(opened.close() for opened in self._clients))

    async def model(self) -> str:
        """The model when an agent names none: the table's, the plugin's, or the only one that is listed; "" where the
        plugin has no notion of one. Raises ProviderError."""
        if self.default_model is not None:
            return self.default_model
        if not self.hooks.implements("default_model"):
            return ""
        if self._model is None or time.monotonic() - self._model[0] > MODEL_MEMORY:
            found: str | None = await self.ask_model() or await self._only_model()
            if found is None:
                raise ProviderError(
                    f"No model is named: set model in the agent's file, or default_model in [providers.{self.name}].",
                    "model_not_found",
                )
            if not isinstance(found, str):
                kind = type(found).__name__
                raise ProviderError(f"The plugin {self.plugin!r} names a model that is not a string ({kind}).")
            self.remember_model(found)
            return found
        return self._model[1]

    async def _only_model(self) -> str | None:
        """The model of a server that lists exactly one: there is nothing to choose. Raises ProviderError where the
        server cannot be reached; a server without a list is not an error."""
        try:
            models = await self.list_models()
        except ProviderError as exc:
            if exc.code in ("unavailable", "timeout", "auth"):
                raise
            return None
        return models[0].name if len(models) == 1 else None

    def remember_model(self, model: str) -> None:
        """Take this for the plugin's default model for a while, without asking again."""
        self._model = time.monotonic(), model

    @property
    def known_model(self) -> str | None:
        """The default model as far as it is known without asking anybody."""
        return self.default_model or (self._model[1] if self._model else None)

    async def ask_model(self, limit: float = HOOK_TIMEOUT) -> str | None:
        """What the hook `default_model` says within `limit` seconds; without a hook the table. Raises ProviderError."""
        if not self.hooks.implements("default_model"):
            return self.default_model
        answer: str | None = await self._ask(self.hooks.default_model, limit)
        return answer

    async def list_models(self) -> list[Model]:
        """The models that the plugin lists, none where it cannot. Raises ProviderError."""
        models: list[Model] = await self._ask(self.hooks.list_models) or []
        for model in models:
            if not isinstance(model, Model):
                kind = type(model).__name__
                raise ProviderError(f"The plugin {self.plugin!r} lists {kind}, not Model; its author must correct it.")
        return models

    async def check_health(self) -> None:
        """Ask the plugin whether the provider answers. Raises ProviderError that says what is wrong."""
        await self._ask(self.hooks.check_health)

    async def check_request(self, request: ChatRequest) -> list[str]:
        """What the plugin thinks is likely to go wrong with such a request. Raises ProviderError."""
        advice = await self._ask(self.hooks.check_request, request=request) or []
        return [self.redact(str(each)) for each in advice]

    async def _ask(self, hook: pluggy.HookCaller, limit: float = HOOK_TIMEOUT, **arguments: Any) -> Any:
        try:
            return await self._call(hook, limit, **arguments)
        except ProviderError as exc:
            exc.message = self.redact(str(exc.message))  # here, so that nobody who shows it has to
            exc.args = (exc.message,)
            raise
        except (asyncio.CancelledError, TimeoutError):
            raise
        except BaseException as exc:  # SystemExit, too: it is the plugin's
            log.error("plugin %r: %s failed", self.plugin, hook.name, exc_info=exc)
            raise ProviderError(f"The plugin {self.plugin!r} failed in {hook.name} ({type(exc).__name__}).") from exc

    async def _call(self, hook: pluggy.HookCaller, limit: float, **arguments: Any) -> Any:
        # A hook that does not name the client (a paid service's default_model, say) must not import an SDK for it.
        needs_client = any("client" in impl.argnames for impl in hook.get_hookimpls())
        opened = self.opened() if needs_client else None
        if opened is not None:
            opened.hold()
        try:
            client = None if opened is None else await opened.client()  # it has a limit of its own
            async with timeout(limit):
                answer = hook(settings=self.settings, client=client, **arguments)
                return await answer if isinstance(answer, Awaitable) else answer
        finally:
            if opened is not None:
                opened.let_go()

    def supports_streaming(self, model: str, options: dict[str, Any]) -> bool:
        """Whether this model's answers can stream."""
        answer = self.hooks.supports_streaming(model=model, settings=self.settings, options=options)
        return True if answer is None else bool(answer)


def _plain(url: str) -> str:
    """An address for the log: `user:password@`, which is a secret, and the query and the fragment are left out."""
    before, separator, rest = url.partition("://")
    scheme, rest = (before + separator, rest) if separator else ("", url)
    authority, slash, path = rest.partition("?")[0].partition("#")[0].partition("/")
    return scheme + authority.rpartition("@")[2] + slash + path


def _secret_files(struct: type[msgspec.Struct]) -> list[str]:
    """The settings that name the file of a secret."""
    return [key for key in secret_settings(struct) if key.endswith("_file")]


def _whole_paths(table: Table, struct: type[msgspec.Struct]) -> Table:
    """The files of secrets by whole paths: a relative one belongs to the folder of the file that names it."""
    whole = {}
    for key in _secret_files(struct):
        value = table.get(key)
        if value is not None and isinstance(value.value, str) and value.value:
            whole[key] = msgspec.structs.replace(value, value=str(whole_path(value, value.value)))
    return whole


def _strict(struct: type[msgspec.Struct]) -> bool:
    return bool(struct.__struct_config__.forbid_unknown_fields)


def _add_own_defaults(table: Table, struct: type[msgspec.Struct], environ: Mapping[str, str]) -> None:
    """What holds only for the instance of the plugin's own name, so that no key reaches a host that somebody else
    named: a field's `Meta(extra={"env": VARIABLE, "own_default": value})`."""
    info = msgspec.inspect.type_info(struct)
    assert isinstance(info, msgspec.inspect.StructType)
    for field in info.fields:
        extra = field.type.extra or {} if isinstance(field.type, msgspec.inspect.Metadata) else {}
        key = field.encode_name
        vendors = extra.get("env")
        if key in table:
            continue
        if vendors and (text := variable(environ, vendors)):
            table[key] = Value(text, vendors)
        elif "own_default" in extra:
            table[key] = Value(extra["own_default"], "default")


def _in_thread(call: Callable[[], T]) -> "asyncio.Future[T]":
    """Run a plugin's blocking call off the loop, in a daemon thread: one that never returns must not keep us alive."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(set_: Callable[[Any], None], value: Any) -> None:
        if not future.done():
            set_(value)

    def run() -> None:
        with suppress(RuntimeError):  # the loop is closed; nobody waits any more
            try:
                result = call()
            except BaseException as exc:
                fault = RuntimeError(repr(exc)) if isinstance(exc, StopIteration) else exc
                loop.call_soon_threadsafe(settle, future.set_exception, fault)
            else:
                loop.call_soon_threadsafe(settle, future.set_result, result)

    threading.Thread(target=run, name="aura-hook", daemon=True).start()
    return future
