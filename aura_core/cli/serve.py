"""`aura serve`: run the server, after a few lines about what it serves."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

import aura_core
from aura_core.cli.options import config_options, load_settings, runtime_of
from aura_core.cli.terminal import say, say_lines
from aura_core.cli.values import FilePath, Number, Text
from aura_core.config.sources import Value
from aura_core.errors import ConfigError
from aura_core.limits import AGENTS_SHOWN
from aura_core.plugins.loader import CORE_PLUGIN
from aura_core.telemetry.otel_variables import problem, wanted

if TYPE_CHECKING:
    from socket import socket

    from aura_core.config.settings import Settings
    from aura_core.runtime import Runtime
    from aura_core.server.systemd import Systemd
    from aura_core.server.workers import Parent

log = logging.getLogger("aura")

LEVELS = ["debug", "info", "warning", "error"]
FORMATS = ["auto", "text", "json"]
DEMO = Path(aura_core.__file__).parent / "demo"


@click.command()
@click.option("--host", type=Text(), help="Address to listen on.")
@click.option("--port", type=Number(0, 65535), help="Port to listen on, at most 65535; 0 picks a free one.")
@click.option(
    "--uds",
    type=FilePath(path_type=Path),
    metavar="PATH",
    help="Listen on a Unix socket instead, which the user and the group of the process may use.",
)
@click.option("--workers", type=Number(1, 64), default=1, help="Processes that answer, at most 64; not on Windows.")
@click.option("--demo", is_flag=True, help="Serve scripted agents, one for each behaviour that a client must handle.")
@click.option("--log-level", type=click.Choice(LEVELS), help="The least serious log lines that are written.")
@click.option("--log-format", type=click.Choice(FORMATS), help="auto: text on a terminal, else JSON.")
@config_options
def command(
    host: str | None,
    port: int | None,
    uds: Path | None,
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
    if uds is not None and (host, port) != (None, None):
        raise click.UsageError("--uds is instead of an address; leave out --host and --port")
    if uds is not None and sys.platform == "win32":
        raise click.UsageError("--uds needs a system with Unix sockets; listen on 127.0.0.1 instead")

    # Read once: a worker that replaces another later must not read a changed file, or miss the token.
    flags = {"host": host, "port": port, "log_level": log_level, "log_format": log_format}
    settings = load_settings(config, agents_directory, ask=True, **flags)
    if demo:  # one of its agents needs another instance, which is asked when the first one does not answer
        settings.tables.setdefault("backup", {"plugin": Value(CORE_PLUGIN, "--demo")})
    from aura_core.server.sockets import inherited
    from aura_core.server.systemd import Systemd
    from aura_core.telemetry import shared_figures

    systemd, given = Systemd(os.environ), inherited(os.environ)
    if given and (host, port, uds) != (None, None, None):
        raise click.UsageError("systemd's socket unit says where to listen; leave out --host, --port and --uds")
    _check_guards(settings, uds, given)

    def make(answers: bool) -> "Runtime":
        # The logging thread must not run when the parent of several workers forks.
        level = getattr(logging, settings.log.level.upper())
        return runtime_of(settings, level=level, form=settings.log.format, log_in_background=answers)

    runtime = make(workers == 1)
    from aura_core.server.serve import serve  # heavy: Litestar and uvicorn

    with _listening(settings, uds, given, workers) as (sockets, address):
        if workers > 1:
            _serve_with_workers(runtime, make, sockets, address, systemd)
            return
        shared_figures.alone()
        left = serve(runtime, sockets[0], lambda: _announce(runtime, address), _announce_choice, systemd)
    if left:
        logging.shutdown()
        os._exit(0)  # the interpreter would wait for them


def _check_guards(settings: "Settings", uds: Path | None, given: "list[socket]") -> None:
    """Raises ConfigError where strangers could reach the server without a token."""
    from aura_core.server.sockets import host_of

    if given:
        reasons = [settings.unguarded_at(host_of(sock), "LISTEN_FDS") for sock in given]
    elif uds is not None:
        reasons = [settings.unguarded_at(None, "--uds")]
    else:
        reasons = [settings.unguarded]
    for reason in filter(None, reasons):
        raise ConfigError(reason)


@contextmanager
def _listening(
    settings: "Settings", uds: Path | None, given: "list[socket]", workers: int
) -> "Iterator[tuple[list[list[socket]], str]]":
    """The sockets of each worker, and the address as people read it."""
    from aura_core.server.sockets import listen, listen_together, listening_at_path, shown

    if given:
        yield [given] * workers, " and ".join(map(shown, given))
    elif uds is not None:
        with listening_at_path(uds.absolute()) as sock:
            yield [[sock]] * workers, shown(sock)
    else:
        at = settings.server.host, settings.server.port
        sockets = [listen(*at)] if workers == 1 else listen_together(*at, workers)
        yield [[sock] for sock in sockets], shown(sockets[0], settings.server.host)


def _serve_with_workers(
    runtime: "Runtime",
    make: Callable[[bool], "Runtime"],
    sockets: "list[list[socket]]",
    address: str,
    systemd: "Systemd",
) -> None:
    from aura_core.server.serve import serve
    from aura_core.server.workers import FirstWord, supervise
    from aura_core.telemetry import shared_figures

    # No client is opened and no provider is asked before the fork: a lock that a thread holds at that moment (such as
    # the import system's) would stay locked in each worker.
    choice = FirstWord()
    _announce(runtime, f"{address} with {len(sockets)} workers")

    def work(number: int, parent: "Parent") -> None:
        shared_figures.join(number)
        mine = make(True)
        mine.restarts = int(parent.replaced)
        mine.providers.agree = choice.say
        own = sockets[number]
        for sock in {each for others in sockets for each in others} - {*own}:
            sock.close()  # here; the parent keeps them, so that waiting connections reach the worker's successor
        serve(mine, own, chosen=lambda said: _announce_choice(said) if choice.first else None, overseer=parent)

    def left(number: int) -> None:
        for sock in sockets[number]:
            sock.close()  # a worker that drains must get no more connections

    with shared_figures.shared() as ended:
        supervise(len(sockets), work, systemd, left, ended)


def _announce_choice(choice: str) -> None:
    say(f"Agents without a provider get {choice}", err=True)


def _announce(runtime: "Runtime", address: str) -> None:
    """Print the address, plugins and agents before any client is opened: importing an SDK may take seconds."""
    from aura_core.telemetry.logs import is_text

    lines = [f"Aura serves at {address}" + (" (a token is required)" if runtime.settings.clients.required else "")]
    loaded = [f"{p.name} {p.version}" for p in runtime.plugins.all if p.status == "ok"]
    lines.append(f"Plugins: {', '.join(loaded)}")
    lines.append("Agents:")
    infos = runtime.bindings.agent_infos()
    for info in infos[:AGENTS_SHOWN]:
        model = f" ({info.model})" if info.model else ""
        unnamed = "no provider" if info.error else "the provider is being chosen"
        lines.append(f"  {info.id}: {info.provider or unnamed}{model}" + (" - in error" if info.error else ""))
    if (more := len(infos) - AGENTS_SHOWN) > 0:
        lines.append(f"  and {more} more, which `aura agents` lists")
    warnings = runtime.warnings
    if (traces := wanted(os.environ)) is not None and problem(os.environ) is None:
        lines.append(f"Traces go to {traces.target}")
    if as_text := is_text(runtime.settings.log.format):
        lines += [f"Warning: {warning}" for warning in warnings]
    lines.append("Ctrl-C stops.")
    say_lines(lines, err=True)
    if not as_text:  # whoever collects the log reads JSON
        for warning in warnings:
            log.warning("%s", warning)
