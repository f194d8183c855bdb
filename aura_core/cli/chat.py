"""`aura chat`: ask an agent once, with an argument and a pipe, or hold a conversation."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aura_core.cli import completion
from aura_core.cli.options import config_options, load_settings, runtime_of
from aura_core.cli.terminal import keep_stdout, say
from aura_core.cli.values import Text
from aura_core.config.suggest import did_you_mean
from aura_core.errors import ConfigError
from aura_core.limits import PIPE_PATIENCE

if TYPE_CHECKING:
    from aura_core.client import Client


@click.command()
@click.argument("agent", shell_complete=completion.agents)
@click.argument("prompt", required=False)
@click.option("--url", type=Text(), help="Ask the server at this address instead of answering in this process.")
@config_options
def command(agent: str, prompt: str | None, url: str | None, config: Path | None, agents_directory: str | None) -> int:
    """Talk to an agent.

    Text from a pipe is appended to PROMPT, or is the prompt if PROMPT is missing. Without both a conversation starts,
    in which /help lists the keys.

    Ctrl-C stops the answer, not the program; Ctrl-D leaves.
    """
    # Heavy, and a shell that completes a command line imports this module.
    import asyncio

    from aura_core.cli.turns import Chat
    from aura_core.client import LocalClient, RemoteClient
    from aura_core.problems import Problem

    settings = load_settings(config, agents_directory, ask=url is None)
    client: Callable[[], Client]  # made on the loop
    if url is None:
        runtime = runtime_of(settings)
        client = lambda: LocalClient(runtime)  # noqa: E731
        if runtime.agents.get(agent) is None:
            known = sorted(runtime.agents.entries)
            there = f"there are {', '.join(known)}" if known else runtime.folder_warning or "there are none"
            hint = did_you_mean(agent, known) or f"; {there}"
            raise ConfigError(f"there is no agent {agent!r}{hint}")
    else:
        keep_stdout()
        client = lambda: RemoteClient(url, settings.token, settings.server.token_env)  # noqa: E731
    if not sys.stdin.isatty():
        prompt = _joined(prompt, _piped(settings.server.max_body))
    if prompt is not None and not prompt.strip():
        raise click.UsageError("the prompt is empty")
    with asyncio.Runner() as runner:
        chat = Chat(client, agent)
        try:
            runner.run(chat.open())
            if prompt is not None:
                return 0 if runner.run(chat.turn(prompt)) else 1
            from aura_core.cli.conversation import converse

            converse(chat.info.name, chat.notes, lambda message: runner.run(chat.turn(message)))
            return 0
        except Problem as problem:
            raise ConfigError(problem.detail) from None
        finally:
            runner.run(chat.close())


def _joined(prompt: str | None, piped: str) -> str:
    """The prompt, with the piped text below it."""
    return "\n\n".join(part for part in (prompt, piped) if part and part.strip())


def _piped(limit: int) -> str:
    """Everything from standard input. Raises ConfigError where that is more than `limit` bytes."""
    waits = "reading standard input until it ends; `< /dev/null` leaves it out"
    patience = threading.Timer(PIPE_PATIENCE, say, [waits], {"err": True})
    patience.daemon = True
    patience.start()
    try:
        data = sys.stdin.buffer.read(limit + 1)
    finally:
        patience.cancel()
    if len(data) > limit:
        raise ConfigError(f"standard input has more than {limit:,} bytes; shorten it, or raise [server] max_body")
    text = data.decode(sys.stdin.encoding or "utf-8", "replace").removeprefix("\ufeff")
    return text.replace("\r\n", "\n").replace("\r", "\n")
