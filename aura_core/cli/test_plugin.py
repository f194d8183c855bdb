"""`aura test-plugin`: check whether an installed plugin keeps every promise of a provider, or of a door."""

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from aura_core.cli import completion
from aura_core.cli.options import json_option
from aura_core.cli.terminal import Screen, keep_stdout, print_json, say
from aura_core.cli.values import FilePath, Text
from aura_core.config.suggest import did_you_mean
from aura_core.errors import words_of
from aura_core.interrupts import plugin_code
from aura_core.text import counted

if TYPE_CHECKING:  # heavy, and a shell's completion imports this module
    from importlib.metadata import EntryPoint

    from aura_core.testing.door_registry import DoorPromise
    from aura_core.testing.registry import Promise
    from aura_core.testing.runner import Checks, Result

T = TypeVar("T")
_SIGNS = {"ok": ("ok", "green"), "skipped": ("--", "dim"), "failed": ("XX", "red")}


@click.command()
@click.argument("name", required=False, default="", shell_complete=completion.plugins)
@click.option(
    "--only", type=Text(), multiple=True, metavar="PROMISE", help="Only this one; may be given several times."
)
@click.option(
    "--explain", type=Text(), metavar="PROMISE", help="Say what it takes to keep a promise, and test nothing."
)
@click.option("--live", is_flag=True, help="Ask the real service, with the settings of aura.toml, instead of a script.")
@click.option("--model", type=Text(), metavar="MODEL", help="With --live: the model to ask.")
@click.option("--config", type=FilePath(path_type=Path), metavar="FILE", help="Read FILE instead of ./aura.toml.")
@json_option
def command(
    name: str,
    only: tuple[str, ...],
    explain: str | None,
    live: bool,
    model: str | None,
    config: Path | None,
    as_json: bool,
) -> int:
    """Test the installed plugin NAME against the promises of a provider, of a door, or of both. Exits with 1 when one
    is broken.

    With --live NAME may be any instance of aura.toml.
    """
    if explain is not None:
        for paragraph in explained(explain).split("\n\n"):
            say(paragraph)
        return 0
    if not name:
        raise click.UsageError("name a plugin; `aura plugins` lists those that are installed")
    keep_stdout()
    if live:
        if only:
            raise click.UsageError("--only does not belong to --live")
        from aura_core.testing.live import results

        found = results(name, model, config)
    else:
        if model or config:
            raise click.UsageError("--model and --config belong to --live")
        tried = kits(name)
        chosen = [known_promise(each, [known for kit in tried for known in kit.promises]) for each in only]
        found = (result for kit in tried for result in (kit.only(chosen) if only else kit.results()))
    report: list[Result] = []
    for result in found:
        report.append(result)
        if not as_json:
            _print(result)
    failed = sum(result.status == "failed" for result in report)
    if as_json:
        print_json({"plugin": name, "live": live, "ok": not failed, "checks": report})
    else:
        kept = sum(result.status == "ok" for result in report)
        skipped = len(report) - kept - failed
        say(f"{name}: {counted(kept, 'promise')} kept, {failed} broken, {skipped} skipped")
    return 1 if failed else 0


def known_promise(name: str, known: list[str]) -> str:
    """The name of a promise. Raises UsageError for one that is none."""
    if name not in known:
        raise click.UsageError(f"there is no promise {name!r}{did_you_mean(name, known)}")
    return name


def explained(name: str) -> str:
    """What a promise says, and what it takes to keep it. Raises UsageError."""
    from aura_core.testing.checks import DOOR_PROMISES, PROMISES
    from aura_core.testing.live import LIVE

    known: dict[str, Promise | DoorPromise] = {**PROMISES, **DOOR_PROMISES}
    if name in LIVE:
        return f"{name}: {LIVE[name]}"
    promise = known[known_promise(name, [*known, *LIVE])]
    needs = f"\n\nIt builds on {', '.join(promise.needs)}." if promise.needs else ""
    return f"{name}: {promise.promise}{needs}" + (f"\n\n{promise.more}" if promise.more else "")


def kits(name: str) -> "list[Checks]":
    """The checks of each description that the plugin publishes. Raises ClickException."""
    from aura_core.plugins.distributions import published
    from aura_core.plugins.loader import GROUP as PLUGINS
    from aura_core.testing.conformance import GROUP
    from aura_core.testing.door_conformance import DOOR_GROUP
    from aura_core.testing.runner import Conformance, DoorConformance, DoorKit, Kit

    installed = [ep.name for ep in published(PLUGINS)[0]]
    if name not in installed:
        hint = did_you_mean(name, installed) or f"; installed are {', '.join(sorted(installed))}"
        raise click.ClickException(f"no plugin {name!r} is installed{hint}")
    providers = [ep for ep in published(GROUP)[0] if ep.name == name]
    doors = [ep for ep in published(DOOR_GROUP)[0] if ep.name == name]
    if not providers and not doors:
        raise click.ClickException(
            f"the plugin {name!r} publishes no description to test it by: an entry point of the group {GROUP!r}, or for"
            f" a door of the group {DOOR_GROUP!r}; `aura new-plugin` writes one"
        )
    found: list[Checks] = [Kit(_loaded(ep, Conformance)) for ep in providers[-1:]]
    return found + [DoorKit(_loaded(ep, DoorConformance)) for ep in doors[-1:]]


def _loaded(description: "EntryPoint", kind: type[T]) -> T:
    from aura_core.testing.runner import surroundings

    where = description.value
    with surroundings():
        try:
            with plugin_code():
                found = description.load()
        except KeyboardInterrupt:
            raise
        except BaseException as exc:  # a plugin may raise SystemExit, or anything else
            raise click.ClickException(f"{where} cannot be loaded: {words_of(exc)}") from None
    if not isinstance(found, kind):
        raise click.ClickException(f"{where} is not an aura_core.testing.{kind.__name__}")
    return found


def _print(result: "Result") -> None:
    sign, style = _SIGNS[result.status]
    screen = Screen()
    text = f"skipped: {result.detail}" if result.status == "skipped" else result.promise
    style_of_text = "dim" if result.status == "skipped" else ""
    screen.line((sign, style), f"  {result.name:<16}", (text, style_of_text), one_row=result.status != "failed")
    if result.status == "failed":
        screen.line((f"    seen: {result.detail}", style))
        screen.line((f"    read: {result.docs}", style))
