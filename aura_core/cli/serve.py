"""`aura serve`: run the server, after a few lines about what it serves."""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

import aura_core
from aura_core.cli.options import config_options, load_settings, runtime_of
from aura_core.cli.terminal import say, say_lines
from aura_core.cli.values import Number, Text
from aura_core.config.sources import Value
from aura_core.errors import ConfigError
from aura_core.limits import AGENTS_SHOWN
from aura_core.plugins.loader import CORE_PLUGIN

if TYPE_CHECKING:
    from aura_core.runtime import Runtime

log = logging.getLogger("aura")

LEVELS = ["debug", "info", "warning", "error"]
FORMATS = ["auto", "text", "json"]
DEMO = Path(aura_core.__file__).parent / "demo"


@click.command()
@click.option("--host", type=Text(), help="Address to listen on.")
@click.option("--port", type=Number(0, 65535), help="Port to listen on, at most 65535; 0 picks a free one.")
@click.option("--workers", type=Number(1, 64), default=1, help="Processes that answer, at most 64; not on Windows.")
@click.option("--demo", is_flag=True, help="Serve scripted agents, one for each behaviour that a client must handle.")
@click.option("--log-level", type=click.Choice(LEVELS), help="The least serious log lines that are written.")
@click.option("--log-format", type=click.Choice(FORMATS), help="auto: text on a terminal, else JSON.")
@config_options
def command(
    host: str | None,
    port: int | None,
    workers: int,
    demo: bool,
    log_level: str | None,
    log_format: str | None,
    config: Path | None,
    agents_directory: str | None,
) -> None:
    """Serve agents over HTTP."""
    if demo:
        if agents_directory is not None:
            raise click.UsageError("--demo has its own agents; leave out --agents")
        agents_directory = str(DEMO)
    if workers > 1 and not hasattr(os, "fork"):
        raise click.UsageError("--workers needs a system that can fork; run several servers instead")

    # Read once: a worker that replaces another later must not read a changed file, or miss the token.
    flags = {"host": host, "port": port, "log_level": log_level, "log_format": log_format}
    settings = load_settings(config, agents_directory, ask=True, **flags)
    if demo:  # one of its agents needs another instance, which is asked when the first one does not answer
        settings.tables.setdefault("backup", {"plugin": Value(CORE_PLUGIN, "--demo")})
    if settings.unguarded is not None:
        raise ConfigError(settings.unguarded)

    def make(answers: bool) -> "Runtime":
        # The logging thread must not run when the parent of several workers forks.
        level = getattr(logging, settings.log.level.upper())
        return runtime_of(settings, level=level, form=settings.log.format, log_in_background=answers)

    runtime = make(workers == 1)
    from aura_core.server.serve import listen, listen_together, serve  # heavy: Litestar and uvicorn

    server = settings.server
    at = server.host, server.port
    sockets = [listen(*at)] if workers == 1 else listen_together(*at, workers)
    shown = f"[{server.host}]" if ":" in server.host else server.host
    address = f"http://{shown}:{sockets[0].getsockname()[1]}"
    if workers == 1:
        serve(runtime, sockets[0], lambda: _announce(runtime, address), _announce_choice)
        return
    from aura_core.server.workers import FirstWord, supervise

    # No client is opened and no provider is asked before the fork: a lock that a thread holds at that moment (such as
    # the import system's) would stay locked in each worker.
    choice = FirstWord()
    _announce(runtime, f"{address} with {workers} workers")

    def work(number: int) -> None:
        mine = make(True)
        mine.worker = number
        mine.providers.agree = choice.say
        own = sockets[number]
        for sock in sockets:
            if sock is not own:
                sock.close()  # here; the parent keeps them, so that waiting connections reach the worker's successor
        serve(mine, own, chosen=lambda said: _announce_choice(said) if choice.first else None)

    # A worker that drains must get no more connections.
    supervise(workers, work, lambda number: sockets[number].close())


def _announce_choice(choice: str) -> None:
    say(f"Agents without a provider get {choice}", err=True)


def _announce(runtime: "Runtime", address: str) -> None:
    """Print the address, plugins and agents before any client is opened: importing an SDK may take seconds."""
    from aura_core.telemetry.logs import is_text

    lines = [f"Aura serves at {address}" + (" (a token is required)" if runtime.settings.token else "")]
    loaded = [f"{p.name} {p.version}" for p in runtime.plugins.all if p.status == "ok"]
    lines.append(f"Plugins: {', '.join(loaded)}")
    lines.append("Agents:")
    infos = runtime.agent_infos()
    for info in infos[:AGENTS_SHOWN]:
        model = f" ({info.model})" if info.model else ""
        unnamed = "no provider" if info.error else "the provider is being chosen"
        lines.append(f"  {info.id}: {info.provider or unnamed}{model}" + (" - in error" if info.error else ""))
    if (more := len(infos) - AGENTS_SHOWN) > 0:
        lines.append(f"  and {more} more, which `aura agents` lists")
    warnings = runtime.warnings
    if as_text := is_text(runtime.settings.log.format):
        lines += [f"Warning: {warning}" for warning in warnings]
    lines.append("Ctrl-C stops.")
    say_lines(lines, err=True)
    if not as_text:  # whoever collects the log reads JSON
        for warning in warnings:
            log.warning("%s", warning)
