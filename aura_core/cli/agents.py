"""`aura agents`: list the agents and their errors."""

import sys
from pathlib import Path

import click

from aura_core.cli.options import config_options, json_option, open_runtime
from aura_core.cli.terminal import print_json, print_table, say


@click.command()
@config_options
@json_option
def command(config: Path | None, agents_directory: str | None, as_json: bool) -> None:
    """List the agents. Exits with 1 when one of them is invalid."""
    runtime = open_runtime(config, agents_directory)
    infos = runtime.bindings.agent_infos()
    for refusal in runtime.settings.refusals:
        say(str(refusal), err=True)
    if runtime.folder_warning is not None:
        say(runtime.folder_warning, err=True)
    if as_json:
        print_json({"agents": infos})
    else:
        rows = [
            [
                info.id,
                info.name,
                info.provider or "-",
                info.model or "-",
                ", ".join(info.fallback) or "-",
                "yes" if info.streaming else "no",
            ]
            for info in infos
        ]
        print_table(["agent", "name", "provider", "model", "fallback", "streams"], rows)
        for info in infos:
            if info.error:
                say(f"{info.id}: {info.error}", err=True)
        for entry in runtime.agents.entries.values():
            for note in entry.agent.notes if entry.agent else ():
                say(note, err=True)
            for warning in runtime.bindings.option_warnings(entry):
                say(warning, err=True)
    sys.exit(1 if any(info.error for info in infos) else 0)
