"""The command `aura`: each subcommand is a module of its own, which is imported when it is called."""

import importlib
import io
import logging
import os
import sys
import threading
from pathlib import Path
from typing import Any

import click

from aura_core._version import __version__
from aura_core.cli import completion
from aura_core.cli.terminal import close_stdout, flush_stdout, say, say_lines
from aura_core.config.suggest import did_you_mean
from aura_core.errors import ConfigError
from aura_core.limits import THREADS_TIME

COMMANDS = {
    "serve": "Serve agents over HTTP.",
    "chat": "Talk to an agent.",
    "agents": "List the agents.",
    "plugins": "List the plugins.",
    "models": "List the models of the providers.",
    "doctor": "Check everything, and explain what to do.",
    "init": "Create settings and agents to start from.",
    "trust": "Trust a folder, or list the trusted ones.",
    "new-plugin": "Create a provider plugin.",
    "test-plugin": "Test a provider plugin.",
}

EPILOG = """\b
Completion with TAB: add the line of your shell to its start-up file.
  bash  eval "$(_AURA_COMPLETE=bash_source aura)"
  zsh   eval "$(_AURA_COMPLETE=zsh_source aura)"
  fish  _AURA_COMPLETE=fish_source aura | source
"""


class _Commands(click.Group):
    """Imports a subcommand only when it is called, and suggests one for a misspelt name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"aura_core.cli.{cmd_name.replace('-', '_')}").command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS and not ctx.resilient_parsing:
            raise click.UsageError(f"there is no command {args[0]!r}{did_you_mean(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(
    cls=_Commands,
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="aura")
@click.pass_context
def aura(ctx: click.Context) -> None:
    """Stream LLM agents from any provider: one small server, one plugin for each provider."""
    if ctx.invoked_subcommand is None:
        say_lines(ctx.get_help().splitlines(), err=True)
        ctx.exit(2)


def main() -> None:
    """Run the command. Errors are one line on stderr; the exit code is 0, 1 (something is wrong) or 2 (usage)."""
    try:
        _main()
    except SystemExit as leaving:
        _leave_threads(leaving.code)
        raise


def _main() -> None:
    _prepare_streams()
    if completion.is_wanted():
        completion.answer(aura)
    try:
        code = aura.main(standalone_mode=False, prog_name="aura")
    except click.UsageError as exc:
        _fail(exc.format_message(), 2)
    except (click.ClickException, ConfigError) as exc:
        _fail(str(exc), 1)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(1)
    except OSError as exc:
        close_stdout()
        _fail(f"{exc.filename}: {exc.strerror}" if exc.filename else exc.strerror or str(exc), 1)
    else:
        sys.exit(code if isinstance(code, int) else 0)


def _leave_threads(code: object) -> None:
    """Exit now where the interpreter would wait for ever for a thread of a plugin that is not a daemon."""
    others = [each for each in threading.enumerate() if each is not threading.main_thread() and not each.daemon]
    for thread in others:
        thread.join(THREADS_TIME / len(others))
    if any(thread.is_alive() for thread in others):
        logging.shutdown()
        flush_stdout()
        os._exit(code if isinstance(code, int) else 0)


def _prepare_streams() -> None:
    """Replace standard streams that are closed (`<&-`), and let others replace characters that they cannot encode."""
    nothing = Path(os.devnull)
    sys.stdin = sys.stdin or nothing.open(encoding="utf-8")
    sys.stdout = sys.stdout or nothing.open("w", encoding="utf-8")
    sys.stderr = sys.stderr or nothing.open("w", encoding="utf-8")
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _fail(message: str, code: int) -> None:
    say(f"aura: {' '.join(message.split())}", err=True)
    sys.exit(code)
