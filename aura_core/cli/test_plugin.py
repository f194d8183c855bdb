"""`aura test-plugin`: check whether an installed plugin keeps every promise of a provider."""

from pathlib import Path
from typing import TYPE_CHECKING

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
    from aura_core.testing.runner import Conformance, Result

_SIGNS = {"ok": ("ok", "green"), "skipped": ("--", "dim"), "failed": ("XX", "red")}


@click.command()
@click.argument("name", shell_complete=completion.plugins)
@click.option("--live", is_flag=True, help="Ask the real service, with the settings of aura.toml, instead of a script.")
@click.option("--model", type=Text(), metavar="MODEL", help="With --live: the model to ask.")
@click.option("--config", type=FilePath(path_type=Path), metavar="FILE", help="Read FILE instead of ./aura.toml.")
@json_option
def command(name: str, live: bool, model: str | None, config: Path | None, as_json: bool) -> int:
    """Test the installed plugin NAME against the promises of a provider. Exits with 1 when one is broken.

    With --live NAME may be any instance of aura.toml.
    """
    keep_stdout()
    if live:
        from aura_core.testing.live import results

        found = results(name, model, config)
    else:
        if model or config:
            raise click.UsageError("--model and --config belong to --live")
        from aura_core.testing.runner import Kit

        found = Kit(described(name)).results()
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


def described(name: str) -> "Conformance":
    """The conformance description that the plugin publishes. Raises ClickException."""
    from aura_core.plugins.distributions import published
    from aura_core.plugins.loader import GROUP as PLUGINS
    from aura_core.testing.conformance import GROUP
    from aura_core.testing.runner import Conformance, surroundings

    descriptions = {ep.name: ep for ep in published(GROUP)[0]}
    installed = [ep.name for ep in published(PLUGINS)[0]]
    if name not in installed:
        hint = did_you_mean(name, installed) or f"; installed are {', '.join(sorted(installed))}"
        raise click.ClickException(f"no plugin {name!r} is installed{hint}")
    if name not in descriptions:
        raise click.ClickException(
            f"the plugin {name!r} publishes no description to test it by: an entry point of the group {GROUP!r};"
            " docs/plugins.md says how"
        )
    where = descriptions[name].value
    with surroundings():
        try:
            with plugin_code():
                found = descriptions[name].load()
        except KeyboardInterrupt:
            raise
        except BaseException as exc:  # a plugin may raise SystemExit, or anything else
            raise click.ClickException(f"{where} cannot be loaded: {words_of(exc)}") from None
    if not isinstance(found, Conformance):
        raise click.ClickException(f"{where} is not an aura_core.testing.Conformance")
    return found


def _print(result: "Result") -> None:
    sign, style = _SIGNS[result.status]
    screen = Screen()
    text = f"skipped: {result.detail}" if result.status == "skipped" else result.promise
    style_of_text = "dim" if result.status == "skipped" else ""
    screen.line((sign, style), f"  {result.name:<14}", (text, style_of_text), one_row=result.status != "failed")
    if result.status == "failed":
        screen.line((f"    seen: {result.detail}", style))
        screen.line((f"    read: {result.docs}", style))
