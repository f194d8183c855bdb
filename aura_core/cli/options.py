"""The options that several commands share, and the runtime that they make."""

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aura_core.cli.terminal import keep_stdout
from aura_core.cli.values import FilePath, Folder

if TYPE_CHECKING:  # heavy, and a shell's completion imports this module
    from aura_core.config.settings import Settings
    from aura_core.runtime import Runtime


def config_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--config and --agents: what they name is trusted."""
    agents = click.option(
        "--agents", "agents_directory", type=Folder(), metavar="DIR", help="Folder of the agent files."
    )
    path = FilePath(path_type=Path)
    return click.option("--config", type=path, metavar="FILE", help="Read FILE instead of ./aura.toml.")(
        agents(command)
    )


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--json."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def load_settings(config: Path | None, agents_directory: str | None, *, ask: bool = False, **flags: Any) -> "Settings":
    """The settings for a command line. With `ask` a person at a terminal is asked about a folder that is not trusted.

    Raises ConfigError.
    """
    from aura_core.config import settings

    given = {"agents.directory": agents_directory}
    given |= {f"log.{key[4:]}" if key.startswith("log_") else f"server.{key}": value for key, value in flags.items()}
    given = {key: value for key, value in given.items() if value is not None}
    loaded = settings.load(given, os.environ, config)
    folder = loaded.file_within or loaded.agents_within
    if ask and folder is not None and sys.stdin.isatty() and sys.stderr.isatty():
        from aura_core.cli.trust import offer

        if offer(folder, runtime_of(loaded).refusals):
            return settings.load(given, os.environ, config, trusting=True)
    return loaded


def open_runtime(config: Path | None, agents_directory: str | None, *, ask: bool = False) -> "Runtime":
    """The runtime for a command line; its log lines go to stderr. Raises ConfigError."""
    return runtime_of(load_settings(config, agents_directory, ask=ask))


def runtime_of(
    loaded: "Settings", *, level: int | None = None, form: str = "auto", log_in_background: bool = False
) -> "Runtime":
    """The runtime of these settings; its log lines, from `level` on, and the output of plugins go to stderr. Without a
    level they are what a command does not show itself: warnings, but not which provider is skipped."""
    from aura_core.runtime import Runtime
    from aura_core.telemetry import logs

    keep_stdout()
    runtimes: list[Runtime] = []  # the log needs the secrets of a runtime that does not exist yet
    secrets = lambda: runtimes[0].secrets if runtimes else []  # noqa: E731
    logs.configure(secrets, logging.WARNING if level is None else level, form, log_in_background)
    if level is None:
        logging.getLogger("aura.fallback").setLevel(logging.ERROR)
    runtimes.append(Runtime(loaded, os.environ))
    return runtimes[0]
