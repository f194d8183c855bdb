"""Offer a shell the agents, plugins and provider instances that fit the word before TAB.

Only names are read: of files, of installed distributions and of tables in aura.toml. No plugin is imported and no file
of an agent is opened, so it is fast, and a folder that is not trusted can do nothing with it.
"""

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from aura_core.cli.options import load_settings

if TYPE_CHECKING:
    from aura_core.config.settings import Settings

VARIABLE = "_AURA_COMPLETE"
"""Set by the script that a shell has from `_AURA_COMPLETE=bash_source aura`."""


def is_wanted() -> bool:
    """Whether a shell asks for completions."""
    return os.environ.get(VARIABLE, "").endswith("_complete")


def answer(command: click.Command) -> None:
    """Print the completions and exit. Nothing else reaches the terminal, on which a person types: no error, no log."""
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 2)
    try:
        command.main(prog_name="aura", complete_var=VARIABLE, standalone_mode=False)
    except Exception:  # a broken aura.toml, say: there is nothing to offer
        sys.exit(1)


def agents(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Ids of agents; none of a server, which would have to be asked."""
    if ctx.params.get("url"):
        return []
    from aura_core.config.agents import agent_ids

    settings = _settings(ctx)
    return _fitting(agent_ids(settings.directory, settings.agents_within), incomplete)


def plugins(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of installed plugins; with `--live` the names of provider instances."""
    return providers(ctx, param, incomplete) if ctx.params.get("live") else _fitting(_installed(), incomplete)


def providers(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of provider instances: the tables of aura.toml and the installed plugins."""
    return _fitting({*_installed(), *_settings(ctx).tables}, incomplete)


def _settings(ctx: click.Context) -> "Settings":
    return load_settings(ctx.params.get("config"), ctx.params.get("agents_directory"))


def _installed() -> list[str]:
    from aura_core.plugins.distributions import published

    return [entry_point.name for entry_point in published("aura")[0]]


def _fitting(names: Iterable[str], incomplete: str) -> list[str]:
    """Those that begin like the word, without regard to case. A shell may split or expand other characters."""
    plain = (name for name in names if name.isascii() and not set(name) - _PLAIN)
    return sorted(name for name in plain if name.lower().startswith(incomplete.lower()))


_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
