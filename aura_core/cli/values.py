"""The types of option values; an invalid value is refused in a sentence that names the option."""

from typing import TYPE_CHECKING, Any

import click
from click.types import IntParamType, StringParamType

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class Text(StringParamType):
    """A text that is not blank: `--host "$HOST"` with an unset variable must not mean something else."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse a blank text."""
        return str(_not_blank(self, value, param, ctx))


class Folder(Text):
    """A folder's name; a shell completes it."""

    name = "dir"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> "list[CompletionItem]":
        """Let the shell offer its folders."""
        from click.shell_completion import CompletionItem

        return [CompletionItem(incomplete, type="dir")]


class FilePath(click.Path):
    """A path that is not blank: to pathlib an empty one is the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse a blank path."""
        return super().convert(_not_blank(self, value, param, ctx), param, ctx)


class Number(IntParamType):
    """A whole number in a range."""

    name = "number"

    def __init__(self, least: int, most: int) -> None:
        self.least = least
        self.most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Refuse another value in a sentence that states the range."""
        try:
            number = int(value)
        except ValueError:
            number = None
        if number is None or not self.least <= number <= self.most:
            self.fail(f"{value!r} is not a whole number from {self.least} to {self.most}.", param, ctx)
        return number


def _not_blank(type_: Any, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
    if not str(value).strip():
        type_.fail("it must not be empty.", param, ctx)
    return value
