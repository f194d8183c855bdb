"""`aura new-plugin`: create a provider plugin that works at once, with its tests."""

import keyword
import re
import shlex
import sys
from pathlib import Path

import click

from aura_core.cli.new_file import write_new
from aura_core.cli.terminal import say
from aura_core.cli.values import FilePath
from aura_core.plugins.distributions import published
from aura_core.plugins.loader import GROUP, NAME

TEMPLATE = Path(__file__).parents[1] / "template"
DOOR_TEMPLATE = Path(__file__).parents[1] / "template_door"
PLACEHOLDER = re.compile("acme", re.IGNORECASE)


@click.command()
@click.argument("name")
@click.option(
    "--directory",
    metavar="DIR",
    type=FilePath(path_type=Path, file_okay=False),
    help="Folder to write; aura-NAME without it.",
)
@click.option("--door", is_flag=True, help="A door, which takes requests of clients, in place of a provider.")
def command(name: str, directory: Path | None, door: bool) -> None:
    """Write the distribution aura-NAME: a provider that streams over HTTP, its tests and its proof.

    With --door it is a door, which takes requests in the dialect of other clients.
    """
    check(name)
    folder = directory or Path(f"aura-{name.replace('_', '-')}")
    texts = {folder / path: text for path, text in files(name, DOOR_TEMPLATE if door else TEMPLATE).items()}
    there = [path for path in texts if path.exists()]
    if there:
        raise click.ClickException(f"{there[0]} exists already; name another folder with --directory")
    for path, text in texts.items():
        write_new(path, text)
        say(f"{path}: written")
    say(f"Next: cd {shlex.quote(str(folder))}, and read README.md: it says how to install it, test it and talk to it.")


def check(name: str) -> None:
    """Refuse a name that a plugin cannot have. Raises UsageError."""
    if not NAME.fullmatch(name):
        raise click.UsageError(
            f"{name!r} is not the name of a plugin, which is of the form [a-z][a-z0-9_]*, such as my_server"
        )
    if name.endswith("_"):
        raise click.UsageError(
            f"{name!r} is not a name for a distribution, which ends in a letter or digit; leave out the _"
        )
    if keyword.iskeyword(name) or f"aura_{name}" in sys.stdlib_module_names or name in ("core", "server", "testing"):
        raise click.UsageError(f"{name!r} is taken: aura-{name} would be mistaken for Aura's own")
    taken = next((ep for ep in published(GROUP)[0] if ep.name == name), None)
    if taken is not None:
        owner = taken.dist.name if taken.dist is not None else "another distribution"
        raise click.UsageError(f"{name!r} is taken: {owner} has a plugin of that name")


def files(name: str, template: Path = TEMPLATE) -> dict[str, str]:
    """What is written, by path in the distribution's folder."""
    paths = (path for path in sorted(template.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    return {
        _named(path.relative_to(template).as_posix(), name): _named(path.read_text(encoding="utf-8"), name)
        for path in paths
    }


def _named(text: str, name: str) -> str:
    """The text with the plugin's name in place of acme, in its three spellings."""
    words = {"acme": name, "ACME": name.upper(), "Acme": "".join(part.capitalize() for part in name.split("_"))}
    distribution = name.replace("_", "-")
    return PLACEHOLDER.sub(lambda found: words[found[0]], text.replace("aura-acme", f"aura-{distribution}"))
