"""The options that several commands share, and the runtime that they make."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from aura_core.cli.terminal import keep_stdout
from aura_core.config import settings
from aura_core.runtime import Runtime
from aura_core.telemetry import logs


def config_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--config and --agents."""
    command = click.option("--agents", "agents_directory", metavar="DIR", help="Folder of the agent files.")(command)
    path = click.Path(path_type=Path)
    return click.option("--config", type=path, metavar="FILE", help="Read FILE instead of ./aura.toml.")(command)


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--json."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def load_settings(config: Path | None, agents_directory: str | None, **flags: Any) -> settings.Settings:
    """The settings for a command line. Raises ConfigError."""
    given = {"agents.directory": agents_directory} | {f"server.{key}": value for key, value in flags.items()}
    return settings.load({key: value for key, value in given.items() if value is not None}, os.environ, config)


def open_runtime(config: Path | None, agents_directory: str | None) -> Runtime:
    """The runtime for a command line; its log lines go to stderr. Raises ConfigError."""
    return runtime_of(load_settings(config, agents_directory))


def runtime_of(loaded: settings.Settings, *, level: int = logging.WARNING, log_in_background: bool = False) -> Runtime:
    """The runtime of these settings; its log lines, and what plugins print, go to stderr."""
    keep_stdout()
    runtimes: list[Runtime] = []  # the log needs the secrets of what does not exist yet
    logs.configure(lambda: runtimes[0].secrets if runtimes else [], level, log_in_background)
    runtimes.append(Runtime(loaded, os.environ))
    return runtimes[0]
