"""`aura doctor`: check everything that can be wrong, and report what is and what to do about it."""

import asyncio
import os
import platform
import re
from collections.abc import AsyncGenerator, Awaitable, Iterator
from contextlib import AbstractContextManager, aclosing, suppress
from pathlib import Path
from typing import Literal

import click
import msgspec

from aura_core._version import __version__
from aura_core.answer.events import ErrorEvent, ReasoningEvent, TokenEvent, Values
from aura_core.bindings import Bound
from aura_core.cli.options import config_options, json_option, open_runtime
from aura_core.cli.terminal import Screen, print_json
from aura_core.clients import Client
from aura_core.config.agents import BUILT_IN
from aura_core.config.environment import variable
from aura_core.config.fallback import FallbackEntry
from aura_core.config.fields import toml
from aura_core.config.settings import SECTIONS, Settings
from aura_core.door import Question
from aura_core.errors import ProviderError, words_of
from aura_core.plugins.distributions import strangers
from aura_core.plugins.instance import Instance
from aura_core.plugins.loader import CORE_DISTRIBUTION
from aura_core.plugins.model_limits import limit_warnings
from aura_core.problems import Problem
from aura_core.runtime import Runtime
from aura_core.telemetry.otel_variables import problem, wanted
from aura_core.telemetry.tracing import unreachable
from aura_core.text import counted
from aura_core.types import Message, Model

PROMPT = "Say hello."

_SECRET = re.compile(r"(^|_)(key|token|secret|password)$")  # of a plugin; our own settings name variables
Status = Literal["ok", "note", "warning", "failed"]
_SIGNS: dict[Status, tuple[str, str]] = {
    "ok": ("ok", "green"),
    "note": ("--", "dim"),
    "warning": ("!!", "yellow"),
    "failed": ("XX", "red"),
}


class Check(msgspec.Struct, frozen=True):
    """The result of one check."""

    section: str
    name: str
    status: Status
    detail: str
    code: str = ""

    @property
    def told(self) -> str:
        """The detail, with the code of a failed answer."""
        return f"{self.detail} ({self.code})" if self.code else self.detail


@click.command()
@click.option("--offline", is_flag=True, help="Send no requests to providers.")
@config_options
@json_option
def command(offline: bool, config: Path | None, agents_directory: str | None, as_json: bool) -> int:
    """Check plugins, settings, providers and agents; ask each agent for a first token. Exits with 1 when one fails."""
    runtime = open_runtime(config, agents_directory, ask=True)
    report = _Report(quiet=as_json)
    stopped = False
    try:
        for check in (*_plugins(runtime), *_settings(runtime)):
            report.add(check)
        asyncio.run(_examine(runtime, offline, report))
    except KeyboardInterrupt:
        stopped = True
    if as_json:
        checks = [_shown(check) for check in report.checks]
        print_json({"version": __version__, "python": platform.python_version(), "checks": checks})
    else:
        report.end(stopped)
    return 1 if stopped or any(check.status == "failed" for check in report.checks) else 0


def _shown(check: Check) -> dict[str, str]:
    return {"section": check.section, "name": check.name, "status": check.status, "detail": check.told}


class _Report:
    """The results so far. Unless it is quiet, each is printed at once, and on a terminal also what is waited for."""

    def __init__(self, quiet: bool) -> None:
        self.checks: list[Check] = []
        self._causes: dict[str, Check] = {}
        self._screen = Screen(quiet=quiet)
        self._screen.line(f"Aura {__version__}, Python {platform.python_version()}")

    def add(self, check: Check) -> None:
        """Add a result. A detail that an earlier result has is replaced by a reference to that one."""
        if check.status in ("failed", "warning"):
            first = self._causes.setdefault(check.detail, check)
            if first is not check:
                there = f"the same as for {first.name} under {first.section}"
                check = msgspec.structs.replace(check, detail=there, code="")
        if not self.checks or check.section != self.checks[-1].section:
            self._screen.line()
            self._screen.line((check.section, "bold"))
        self.checks.append(check)
        sign, style = _SIGNS[check.status]
        self._screen.line((sign, style), f" {check.name}: {check.told}")

    def asking(self, name: str) -> AbstractContextManager[object]:
        """Show that a reply is awaited."""
        return self._screen.status(f"asking {name}")

    def end(self, stopped: bool) -> None:
        """Print the totals."""
        failed = sum(check.status == "failed" for check in self.checks)
        warned = sum(check.status == "warning" for check in self.checks)
        text = f"{failed} failed, {counted(warned, 'warning')}" if stopped or failed or warned else "All is well."
        self._screen.line()
        self._screen.line(f"{'Stopped before the end: ' if stopped else ''}{text}")


def _plugins(runtime: Runtime) -> Iterator[Check]:
    # First, since it may be the reason why the core's own plugins fail.
    for intruder in strangers("aura_core", CORE_DISTRIBUTION):
        yield Check("plugins", "environment", "failed", intruder)
    for plugin in runtime.plugins.all:
        name = f"{plugin.name} ({plugin.distribution} {plugin.version})"
        if plugin.error:
            yield Check("plugins", name, "failed", f"{plugin.error}; {plugin.remedy}")
        elif plugin.status == "disabled":
            yield Check("plugins", name, "note", f"switched off; {plugin.remedy}")
        else:
            yield Check("plugins", name, "ok", plugin.kind)
    for warning in runtime.plugins.warnings:
        yield Check("plugins", "environment", "warning", warning)


def _settings(runtime: Runtime) -> Iterator[Check]:
    """Every value and where it was set."""
    settings = runtime.settings
    for path in settings.files:
        yield Check("settings", "file", "ok", str(path))
    if not settings.files:
        yield Check("settings", "file", "note", "no aura.toml was read; defaults hold")
    yield _trust(settings)
    for refusal in settings.refusals:
        if not refusal.stops:  # else it is reported as the reason why Aura does not listen
            yield Check("settings", "refused", "warning", str(refusal))
    for section, struct in SECTIONS.items():
        values = getattr(settings, section)
        for field in msgspec.structs.fields(struct):
            key = f"{section}.{field.name}"
            origin = settings.origins.get(key, "default")
            shown = toml(getattr(values, field.name)) or "unset"
            yield Check("settings", key, "note" if origin == "default" else "ok", f"{shown} ({origin})")
    if settings.unguarded is not None:
        yield Check("settings", "listening", "failed", settings.unguarded)
    yield from _clients(settings)
    yield _traces()
    for warning in settings.warnings:
        yield Check("settings", "environment", "warning", warning)


def _clients(settings: Settings) -> Iterator[Check]:
    """Who may ask."""
    if not settings.clients.required:
        yield Check("clients", "everybody", "note", f"no token is required; {settings.server.token_env} is not set")
    for holder in settings.clients.holders:
        client = holder.client
        streams = counted(client.max_streams, "answer") if client.max_streams else "any number of answers"
        may = f"agents {', '.join(client.agents) or 'none'}; {streams} at once"
        yield Check("clients", client.name, "ok", f"{may}; operator" if client.operator else may)
    for name, fault in settings.clients.faults:
        yield Check("clients", name, "warning", fault)


def _traces() -> Check:
    """Whether `aura serve` would export traces, and where to."""
    asked = wanted(os.environ)
    if asked is None:
        return Check("settings", "traces", "note", "off: no variable OTEL_… asks for them")
    if (why := problem(os.environ)) is not None:
        return Check("settings", "traces", "warning", why)
    return Check("settings", "traces", "ok", f"go to {asked.target} ({asked.variable})")


def _trust(settings: Settings) -> Check:
    """Whether the current folder may decide where prompts and keys go, and why."""
    if settings.trusted:
        return Check("settings", "this folder", "ok", f"trusted ({settings.trusted})")
    if settings.file_within is None and settings.agents_within is None:
        return Check("settings", "this folder", "ok", "what is read of it was named, or is root's alone")
    return Check("settings", "this folder", "note", "not trusted; it may not say where prompts and keys go: aura trust")


def _instances(runtime: Runtime) -> Iterator[Check]:
    for name, instance in runtime.providers.instances.items():
        if instance.error:
            # An unconfigured and unused default instance is not a failure.
            wanted = instance.configured or name in _named(runtime)
            yield Check("providers", name, "failed" if wanted else "note", instance.error)
        if instance.keyless and not instance.error:
            why = "gets no key, as a folder that is not trusted says where it is"
            yield Check("providers", name, "note", why)
        for key, value in instance.values.items():
            shown = "set, not shown" if _SECRET.search(key) else toml(value.value)
            yield Check("providers", f"{name}.{key}", "note", f"{shown} ({value.origin})")
        yield from _variables(instance)
    for name, why in runtime.providers.missing.items():
        yield Check("providers", name, "warning", why)


def _variables(instance: Instance) -> Iterator[Check]:
    """The variables of its secrets. One that somebody has named should be set, unless there is a file."""
    for key, name in instance.secret_variables.items():
        said = instance.values.get(key)
        wanted = said is not None and said.origin != "default"
        missing = not variable(os.environ, name)
        file = instance.values.get(key.removesuffix("_env") + "_file")
        if missing and wanted and not (file and file.value):
            yield Check("providers", f"{instance.name}: variable {name}", "warning", "named, but not set")
        else:
            yield Check("providers", f"{instance.name}: variable {name}", "note", "not set" if missing else "set")


def _named(runtime: Runtime) -> set[str | None]:
    entries = runtime.agents.entries.values()
    return {entry.agent.front_matter.provider or runtime.settings.defaults.provider for entry in entries if entry.agent}


def _folder(runtime: Runtime) -> Check:
    """The folder of the agents, and whether they come from its files."""
    folder = str(runtime.agents.directory)
    if runtime.folder_warning is not None:
        return Check("agents", "folder", "warning", runtime.folder_warning)
    if runtime.agents.entries == BUILT_IN:
        why = runtime.agents.problem or f"{folder}: no agent files"
        return Check("agents", "folder", "note", f"{why}; the built-in agent serves")
    return Check("agents", "folder", "ok", folder)


def _notes(runtime: Runtime) -> Iterator[Check]:
    if runtime.agents.exposed is not None:
        yield Check("agents", "files", "warning", runtime.agents.exposed)
    for client in (holder.client for holder in runtime.settings.clients.holders):
        for pattern in client.agents:
            if pattern != "*" and not any(map(Client("", agents=(pattern,)).sees, runtime.agents.entries)):
                yield Check("agents", f"client {client.name}", "warning", f"{pattern!r} is the name of no agent here")
    for entry in runtime.agents.entries.values():
        for note in entry.agent.notes if entry.agent else ():
            yield Check("agents", entry.id, "note", note)
        for warning in runtime.bindings.option_warnings(entry):
            yield Check("agents", entry.id, "warning", warning)


async def _examine(runtime: Runtime, offline: bool, report: _Report) -> None:
    async with aclosing(_offline(runtime) if offline else _online(runtime, report)) as checks:
        async for check in checks:
            report.add(check)


async def _offline(runtime: Runtime) -> AsyncGenerator[Check, None]:
    for check in (*_instances(runtime), _folder(runtime)):
        yield check
    for entry in runtime.agents.entries.values():
        error = runtime.bindings.agent_error(entry)
        yield Check("agents", entry.id, "failed" if error else "ok", error or "its file is good")
    for check in _notes(runtime):
        yield check


async def _online(runtime: Runtime, report: _Report) -> AsyncGenerator[Check, None]:
    try:
        with report.asking("the collector of traces"):
            why = await asyncio.to_thread(unreachable, os.environ)
        if why is not None:
            yield Check("settings", "traces", "warning", f"the collector takes none: {runtime.redact(why)}")
        with report.asking("all providers"):
            choice = await runtime.providers.choose()
        for check in (*_instances(runtime), Check("providers", "agents without a provider get", "note", choice)):
            yield check
        for name in sorted(runtime.bindings.used_instances()):
            with report.asking(name):
                check = await _reachable(runtime.providers.instances[name])
            yield check
        yield _folder(runtime)
        listed: dict[str, list[Model]] = {}
        for entry in runtime.agents.entries.values():
            with report.asking(entry.id):
                checks = await _agent(runtime, entry.id, listed)
            for check in checks:
                yield check
        for check in _notes(runtime):
            yield check
    finally:
        await runtime.close()


async def _reachable(instance: Instance) -> Check:
    if not instance.hooks.implements("check_health"):
        return Check("providers", instance.name, "note", "has no health check")
    failure = await _failure(instance.check_health())
    return Check("providers", instance.name, "failed" if failure else "ok", failure or "it answers")


async def _failure(asked: Awaitable[object]) -> str | None:
    try:
        await asked
    except ProviderError as exc:
        return exc.message
    except TimeoutError:
        return "it did not answer in time"
    except Exception as exc:  # a bug of the plugin is a result, too
        return f"its plugin failed ({words_of(exc)})"
    return None


async def _agent(runtime: Runtime, agent_id: str, listed: dict[str, list[Model]]) -> list[Check]:
    try:
        bound = await runtime.bindings.bind(agent_id)
    except Problem as problem:
        return [Check("agents", agent_id, "failed", problem.detail)]
    entry = runtime.agents.entries[agent_id.lower()]
    if entry.error:
        return [Check("agents", agent_id, "failed", entry.error)]
    checks = []
    for number, candidate in enumerate((bound, *bound.fallback)):  # each alone, as it would be asked in its turn
        alone = msgspec.structs.replace(candidate, fallback=())
        name = f"{agent_id} ({_behind(alone)}{', fallback' if number else ''})"
        checks.append(await _first_token(runtime, alone, name))
        place = name if number else agent_id
        checks += [Check("agents", place, "warning", advice) for advice in await _advice(runtime, alone, listed)]
    return checks


def _behind(bound: Bound) -> str:
    """The instance; with the model if the agent's file names one for a fallback."""
    model = bound.asks.model if isinstance(bound.asks, FallbackEntry) else None
    return f"{bound.instance.name} {model}" if model else bound.instance.name


def _question(bound: Bound) -> Question:
    return Question(bound.agent.id, [Message("user", PROMPT)])


async def _advice(runtime: Runtime, bound: Bound, listed: dict[str, list[Model]]) -> list[str]:
    """What is likely to go wrong; `listed` keeps the models of each instance, which are asked for once."""
    try:
        request = await runtime.request(bound, _question(bound))
    except ProviderError:
        return []  # the failed answer has reported it already
    try:
        advice = await bound.instance.check_request(request)
    except Exception as exc:
        advice = [f"its plugin could not check it ({words_of(exc)})"]
    name = bound.instance.name
    if name not in listed:
        listed[name] = []
        with suppress(Exception):  # whether the provider answers has been told
            listed[name] = await bound.instance.list_models()
    return [*advice, *limit_warnings(request, listed[name])]


async def _first_token(runtime: Runtime, bound: Bound, name: str) -> Check:
    """Request two answers: the first may have to load the model, the second measures the answer alone."""
    seconds: list[float] = []
    for _ in range(2):
        relay = runtime.answer(bound, _question(bound), Values())
        try:
            event = (await relay.take())[0]
        finally:
            runtime.release(relay)
            await relay.wait_closed()
        if isinstance(event, ErrorEvent):
            return Check("agents", name, "failed", event.message, event.code)
        if not isinstance(event, (TokenEvent, ReasoningEvent)):
            return Check("agents", name, "warning", "it ended without saying anything")
        seconds.append((relay.first_token_at or relay.started_at) - relay.started_at)
    load = max(0.0, seconds[0] - seconds[1])
    return Check("agents", name, "ok", f"first token after {seconds[1]:.2f} s, loading took {load:.2f} s")
