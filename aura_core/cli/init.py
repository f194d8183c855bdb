"""`aura init`: write a commented aura.toml and two agents, which work unchanged."""

import os
import shlex
from pathlib import Path

import click
import msgspec

from aura_core.cli.new_file import write_new
from aura_core.cli.terminal import say
from aura_core.cli.values import FilePath
from aura_core.config import trust
from aura_core.config.fields import fields
from aura_core.config.settings import SECTIONS, ProviderSettings
from aura_core.errors import ConfigError
from aura_core.plugins.loader import CORE_PLUGIN, Plugins, allowed_by_environment

ASSISTANT = """\
---
name: Assistant
description: "Answers questions."
# provider: ollama          # who answers; without it Aura picks one that does
# model: qwen2.5-coder:7b   # without it the provider's default
# temperature: 0.7
---
You are a helpful assistant. Answer briefly, and say so when you do not know.
"""

REVIEWER = """\
---
name: Reviewer
description: "Reviews code and text."
tags: [code]
---
You review what you are given. Name the most important problem first, then how to mend it. Praise nothing.
"""

PLACEHOLDER = '"..."'
"""Stands for the value of a setting without a default: valid TOML, so that the line can be uncommented first."""
CLIENT = (
    '# alice = { token_env = "ALICE_TOKEN", max_streams = 20, agents = ["*"] }'
    "    # somebody who may ask; with any client, every request needs a token"
)
STEADY = """\
---
name: Steady
description: "Answers even when its provider does not."
# provider: openai          # who is asked first; without it Aura picks one that answers
# model: gpt-6-luna
first_token_timeout: 10     # seconds for the first token; then the next provider is asked
fallback:                   # asked in this order, while nothing has been said
  # - {provider: ollama, model: "qwen2.5-coder:7b"}
  - provider: echo          # the last resort, which needs no model and no network
    options: {text: "No provider answers at the moment. Please try again in a minute."}
---
You are a helpful assistant. Answer briefly.
"""


@click.command()
@click.argument("folder", default=".", metavar="[DIR]", type=FilePath(path_type=Path, file_okay=False))
def command(folder: Path) -> None:
    """Write a commented aura.toml and three agents into DIR. What is there stays as it is.

    Where neither aura.toml nor agents/ was there, DIR is trusted from then on.
    """
    agents = folder / "agents"
    if agents.is_symlink():
        raise ConfigError(f"{agents}: is a link; nothing is written to where it leads")
    fresh = not agents.exists()
    texts = {
        folder / "aura.toml": aura_toml(),
        agents / "assistant.md": ASSISTANT,
        agents / "reviewer.md": REVIEWER,
        agents / "steady.md": STEADY,
    }
    written = {path: write_new(path, text) for path, text in texts.items()}
    for path, new in written.items():
        say(f"{path}: written" if new else f"{path}: is there already, and stays as it is")
    if fresh and all(written.values()):
        _trust(folder)
    elif trust.why_trusted(Path(os.path.realpath(folder)), os.environ) is None:
        say("Not all of it is from here: read what was there, then say in this folder: aura trust")
    inside = "" if folder == Path() else f"cd {shlex.quote(str(folder))} && "
    say(f"Next: {inside}aura doctor, then: {inside}aura serve")


def _trust(folder: Path) -> None:
    """Record a folder that this command has just written as trusted."""
    try:
        trust.record(folder)
    except ConfigError as exc:  # the files are written all the same
        say(f"The folder is not recorded as trusted: {exc}", err=True)


def aura_toml() -> str:
    """Every setting of the core and of the installed providers, commented out, with its default."""
    lines = [
        "# Aura's settings. Each line shows the default, or \"...\" if there is none; remove its '# ' to change it.",
        "",
    ]
    for name, struct in SECTIONS.items():
        lines += [f"[{name}]", *_commented(struct)]
    lines += ["[clients]", CLIENT, ""]
    # Set here, the folder is the one beside this file, whatever the current folder is.
    lines = [line.replace("# directory =", "directory =") for line in lines]
    for name, hooks in sorted(Plugins(allowed_by_environment(os.environ)).hooks.items()):
        if name != CORE_PLUGIN:
            # Never commented out: a key below it would become one of the table above. Empty, it sets nothing.
            lines.append(f"[providers.{name}]")
            lines += _commented(hooks.settings_type, provider=True)
    return "\n".join(lines).rstrip() + "\n"


def _commented(struct: type[msgspec.Struct] | None, provider: bool = False) -> list[str]:
    """A commented line for each key; a provider's table has the core's keys as well."""
    lines = []
    known = list(fields(struct)) if struct else []
    if provider:
        own = {field.key for field in known}
        known += [field for field in fields(ProviderSettings) if field.key not in own]
    for field in known:
        variable = f" (or the variable {field.variable})" if field.variable else ""
        lines.append(f"# {field.key} = {field.default or PLACEHOLDER}    # {field.description}{variable}")
    return [*lines, ""]
