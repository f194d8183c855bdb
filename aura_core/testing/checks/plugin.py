"""Checks of the plugin itself: its hooks, its settings, the cost of its import."""

import asyncio
import inspect
import json
import os
import re
import sys
from typing import Any

import msgspec

from aura_core.config.fields import fields
from aura_core.errors import ProviderError, words_of
from aura_core.testing.conformance import Failure, Transcript
from aura_core.testing.harness import Broken, Harness, Inapplicable
from aura_core.testing.registry import check

MODULES = 120
"""How many modules a plugin may add to the core's own when it is loaded."""

_SECRET = re.compile(r"(^|_)(key|token|secret|password|credential)s?$")
_LOAD = """
import json, sys
import aura_core.plugins.loader
before = set(sys.modules)
from importlib.metadata import entry_points
found = [ep for ep in entry_points(group="aura") if ep.name == sys.argv[1]]
found[0].load()
family = sorted({ep.value.partition(":")[0].partition(".")[0] for ep in entry_points(group="aura")})
print(json.dumps([sorted(set(sys.modules) - before), family]))
"""


@check("hooks", server=False)
async def hooks(harness: Harness) -> None:
    """The plugin loads, and every hook has the signature of its specification."""
    name = harness.conformance.plugin
    plugin = next((plugin for plugin in harness.plugins.all if plugin.name == name), None)
    if plugin is None:
        raise Broken(f"no installed distribution has an entry point {name!r} in the group `aura`")
    if plugin.status != "ok":
        raise Broken(str(plugin.error) + _remedy(plugin.remedy or ""))
    if not plugin.provider:
        raise Broken(
            "it only wraps other providers, and a wrapper is not a provider: these promises do not apply to it"
        )
    (own,) = harness.plugins.hooks[name].stream_chat.get_hookimpls()
    if not inspect.isasyncgenfunction(own.function):
        await _judge_returned(harness)
    await _judge_opened(harness)


def _remedy(remedy: str) -> str:
    """What the plugin's author can do; the other remedies are for its users."""
    return f"; {remedy}" if remedy.startswith(("install ", "it needs ", "mark ")) else ""


async def _judge_returned(harness: Harness) -> None:
    """A stream_chat that is not a generator must return one, so that the core can stop it."""
    try:
        instance = harness.instance
        client = await instance.client()
    except (Broken, ProviderError):
        return  # other checks report faults of settings and client
    answer = instance.hooks.stream_chat(request=harness.request(), settings=instance.settings, client=client)
    if not hasattr(answer, "__aiter__") or not hasattr(answer, "aclose"):
        raise Broken(f"stream_chat returned {type(answer).__name__}, not an async generator: the core cannot stop it")
    await answer.aclose()


async def _judge_opened(harness: Harness) -> None:
    """open_client must give what can be entered and left."""
    try:
        instance = harness.instance
        if not instance.hooks.implements("open_client"):
            return
        opened = await asyncio.to_thread(instance.hooks.open_client, settings=instance.settings)
    except Exception:
        return  # other checks report faults of settings and client
    if not hasattr(opened, "__aenter__") or not hasattr(opened, "__aexit__"):
        raise Broken(
            f"open_client gave {type(opened).__name__}, which `async with` cannot enter; return what a function with"
            " @asynccontextmanager gives, or an object with __aenter__ and __aexit__"
        )


@check("settings", "hooks", server=False)
async def settings(harness: Harness) -> None:
    """The settings are a frozen Struct that refuses unknown keys and explains each of its own; a secret is named by a
    `…_env` setting with a sibling `…_file`, and only the instance of the plugin's own name has a default for it."""
    struct = harness.plugins.hooks[harness.conformance.plugin].settings_type
    if struct is None:
        if harness.conformance.settings:
            named = ", ".join(harness.conformance.settings)
            raise Broken(f"its description sets {named}, but it has no hook provider_settings that would take it")
        raise Inapplicable("it has no settings")
    config = struct.__struct_config__
    if not config.frozen or not config.forbid_unknown_fields:
        raise Broken(f"{struct.__name__} is not declared with frozen=True and forbid_unknown_fields=True")
    known = [field.encode_name for field in msgspec.structs.fields(struct)]
    for field, described in zip(msgspec.structs.fields(struct), fields(struct), strict=True):
        key = field.encode_name
        if not described.description:
            raise Broken(f"{key} has no description; give it one with Annotated[…, Meta(description=…)]")
        if _SECRET.search(key) and described.kind == "string":
            raise Broken(f"{key} would hold a secret in a file; let {key}_env name the variable that does")
        if key.endswith("_env") and field.default not in ("", None, msgspec.NODEFAULT):
            raise Broken(
                f"{key} has the default {field.default!r} for every instance, and another server would get that key;"
                ' declare it with Meta(extra={"own_default": …})'
            )
        if key.endswith("_env") and key.removesuffix("_env") + "_file" not in known and harness.asks_for("0.2"):
            raise Broken(
                f"{key} has no sibling {key.removesuffix('_env')}_file; add it, and read both with aura_core.secret"
            )
    harness.make()
    unknown = harness.conformance.table(harness.upstream.url) | {"no_such_key": 1}
    try:
        harness.make(unknown)
    except Broken:
        return
    raise Broken("an unknown key in its table was accepted")


@check("description", "hooks", "settings", server=False, since="0.2")
async def description(harness: Harness) -> None:
    """What the plugin's description says can be true: `write` gives bytes, and its options are options of agents.

    The kit derives almost everything from the description, so a slip in it is told once, here, and not by each check.
    """
    described = harness.conformance
    if described.write is not None:
        for tokens in (["One", " two"], []):
            try:
                body = described.write(tokens)
            except Exception as exc:
                raise Broken(f"write({tokens!r}) raised {words_of(exc)}") from None
            if not isinstance(body, bytes):
                raise Broken(f"write({tokens!r}) gave {type(body).__name__}, not bytes")
    options_type = harness.plugins.hooks[described.plugin].options_type
    parts: list[Transcript | Failure] = [*described.transcripts, *described.failures]
    known = set(options_type.__struct_fields__) if options_type else set()
    if unknown := sorted(set(described.unsent_options) - known):
        raise Broken(f"unsent_options names {unknown[0]!r}, which agent_options does not declare")
    for part in parts:
        try:
            if options_type is not None:
                msgspec.convert(dict(part.options), options_type)
        except msgspec.ValidationError as exc:
            raise Broken(f"{part.name}: agent_options refuses its options: {exc}") from None


@check("import-cost", "hooks", server=False)
async def import_cost(harness: Harness) -> None:
    """Loading the plugin imports no SDK: nothing beyond itself, the standard library, msgspec and aura_core."""
    command = [sys.executable, "-c", _LOAD, harness.conformance.plugin]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = await asyncio.create_subprocess_exec(
        *command, env=environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    if process.returncode:
        raise Broken(f"it cannot be imported on its own: {err.decode()[-300:]}")
    modules, family = json.loads(out.splitlines()[-1])
    _judge(modules, {*family, "aura_core", "msgspec", "pluggy"})


def _judge(modules: list[str], allowed: set[str]) -> None:
    tops: dict[str, Any] = {}
    for module in modules:
        tops.setdefault(module.partition(".")[0], []).append(module)
    foreign = sorted(top for top in tops if top not in allowed and top not in sys.stdlib_module_names)
    if foreign:
        raise Broken(f"it imports {', '.join(foreign)}; import them in open_client, or where they are used")
    if len(modules) > MODULES:
        most = sorted(tops, key=lambda top: -len(tops[top]))[:5]
        raise Broken(f"it imports {len(modules)} modules, more than {MODULES}; most of them of {', '.join(most)}")
