"""`aura trust`: let a folder decide where prompts and keys go; and the question about it that other commands ask."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from aura_core.cli.terminal import Screen, say
from aura_core.cli.values import FilePath
from aura_core.config import trust
from aura_core.config.untrusted import Refusal
from aura_core.errors import ConfigError
from aura_core.limits import WISHES_SHOWN


@click.command()
@click.argument("folder", default=".", metavar="[DIR]", type=FilePath(path_type=Path))
@click.option("--list", "show", is_flag=True, help="List the folders that are trusted.")
@click.option("--remove", is_flag=True, help="Trust DIR no longer.")
def command(folder: Path, show: bool, remove: bool) -> None:
    """Trust the aura.toml and the agents of DIR, as they are and as they will be.

    It is recorded in your own configuration folder, for exactly this folder and none below it.
    """
    if show and remove:
        raise click.UsageError("--list and --remove do not go together")
    real = Path(os.path.realpath(folder))
    if show:
        for path in trust.named(os.environ):
            say(f"{path} ({trust.VARIABLE})")
        for path in trust.recorded():
            say(str(path) if path.is_dir() else f"{path} (it is not there)")
    elif remove:
        if not trust.forget(real):
            raise ConfigError(f"{real}: is not recorded as trusted; aura trust --list shows what is")
        say(f"{real}: no longer trusted")
    else:
        if not real.is_dir():
            raise ConfigError(f"{folder}: there is no such folder")
        trust.record(real)
        say(f"{real}: trusted; its files say where prompts and keys go. To end that: aura trust --remove")


def offer(folder: Path, refusals: Sequence[Refusal]) -> bool:
    """Show on the terminal which settings of a folder were refused, and ask whether to trust it from now on."""
    if not refusals:
        return False
    say(f"The folder {folder} is not trusted. Its files ask for:", err=True)
    for refusal in refusals[:WISHES_SHOWN]:
        say(f"  {refusal.place}: {refusal.asks}" if refusal.key else f"  {refusal.asks}", err=True)
    if len(refusals) > WISHES_SHOWN:
        say(f"  and {len(refusals) - WISHES_SHOWN} more", err=True)
    Screen(err=True).line("Trust it, so that they say where prompts and keys go? [y/N] ", end="")
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        say(err=True)  # after Ctrl-D the cursor is still behind the question
    if answer.strip().lower() not in ("y", "yes"):
        return False
    try:
        trust.record(folder)
    except ConfigError as exc:
        say(f"Trusted this time only: {exc}", err=True)
    return True
