"""`aura plugins`: list the plugins of this environment and their errors."""

import sys
from pathlib import Path

import click
import msgspec

from aura_core.cli.options import config_options, json_option, open_runtime
from aura_core.cli.terminal import print_json, print_table, say
from aura_core.plugins.distributions import strangers
from aura_core.plugins.loader import CORE_DISTRIBUTION


@click.command()
@config_options
@json_option
def command(config: Path | None, agents_directory: str | None, as_json: bool) -> None:
    """List the plugins. Exits with 1 when one is quarantined, or another distribution has files in Aura's package."""
    runtime = open_runtime(config, agents_directory)
    plugins = runtime.plugins.all
    intruders = strangers("aura_core", CORE_DISTRIBUTION)
    for intruder in intruders:
        say(intruder, err=True)
    if as_json:
        print_json({"plugins": [msgspec.structs.asdict(plugin) | {"kind": plugin.kind or None} for plugin in plugins]})
    else:
        rows = [
            [plugin.name, plugin.distribution, plugin.version, plugin.kind or "-", plugin.status] for plugin in plugins
        ]
        print_table(["plugin", "distribution", "version", "kind", "status"], rows)
        for plugin in plugins:
            if plugin.error:
                say(f"{plugin.name} ({plugin.distribution}): {plugin.error}; {plugin.remedy}", err=True)
        for warning in runtime.plugins.warnings:
            say(warning, err=True)
    sys.exit(1 if runtime.plugins.broken or intruders else 0)
