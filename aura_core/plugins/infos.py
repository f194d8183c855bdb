"""What operators see of providers, doors and wrappers: each with its plugin, and what is wrong with it."""

from typing import Literal

import msgspec

from aura_core.plugins.loader import Plugin
from aura_core.plugins.registry import Providers


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


def provider_infos(providers: Providers) -> list[ProviderInfo]:
    """Every instance, every table without a plugin, every door and wrapper, and every plugin that could not be
    loaded."""
    infos = []
    for name, instance in providers.instances.items():
        plugin = providers.plugin_of(instance)
        status = "ok" if not instance.error else "error" if instance.configured else "unconfigured"
        remedy = "correct it in aura.toml or the environment" if instance.error else None
        infos.append(
            ProviderInfo(
                name, plugin.name, plugin.distribution, plugin.version, "provider", status, instance.error, remedy
            )
        )
    for plugin in providers.plugins.all:
        if plugin.door:
            infos.append(_plugin_info(plugin.name, plugin, "door"))
        elif plugin.status == "ok" and not plugin.provider:
            infos.append(_plugin_info(plugin.name, plugin, "wrapper"))
    unusable = [plugin for plugin in providers.plugins.all if plugin.status != "ok"]
    for name, why in providers.missing.items():
        wanted = providers.plugin_named(name)
        infos += [_plugin_info(name, p) for p in unusable if p.name == wanted][:1] or [
            ProviderInfo(name, wanted, None, None, "provider", "missing", why, None)
        ]
    for plugin in unusable:
        if (info := _plugin_info(plugin.name, plugin)) not in infos:  # a table of its own name may be there
            infos.append(info)
    return sorted(infos, key=lambda info: info.name)


def _plugin_info(name: str, plugin: Plugin, kind: Literal["door", "wrapper"] | None = None) -> ProviderInfo:
    return ProviderInfo(
        name, plugin.name, plugin.distribution, plugin.version, kind, plugin.status, plugin.error, plugin.remedy
    )
