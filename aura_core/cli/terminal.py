"""Write to the terminal: all that a command says passes here, so that nothing in it steers the terminal or lies.

Names, models, paths, and the words of plugins and servers are others'; each piece of text is made fit before it is
written, and no other module of the commands writes.
"""

import json
import os
import sys
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, TextIO

import click
import msgspec

from aura_core.text import printable, printable_json, printable_lines

_own: TextIO | None = None
"""The command's stdout, where it has been kept for itself."""


def keep_stdout() -> None:
    """Keep stdout for what the command says. What plugins and their libraries write there, from now on, goes to stderr:
    a line of theirs would break JSON, a table or an answer."""
    global _own
    try:
        ours = _own is None and sys.stdout.fileno() == 1 and sys.stderr.fileno() == 2
    except (OSError, ValueError):  # a test has put something else in their place
        return
    if ours:
        sys.stdout.flush()
        errors = getattr(sys.stdout, "errors", None) or "replace"
        _own = os.fdopen(os.dup(1), "w", encoding=sys.stdout.encoding, errors=errors)
        os.dup2(2, 1)


def close_stdout() -> None:
    """Give up what cannot be written: it would be tried again at the end."""
    for stream in (_own, sys.stdout):
        with suppress(OSError, ValueError):
            if stream is not None:
                stream.close()


def flush_stdout() -> None:
    """Write what waits."""
    with suppress(OSError, ValueError):
        _stdout().flush()


def _stdout() -> TextIO:
    return _own or sys.stdout


def say(text: str = "", *, err: bool = False) -> None:
    """Write a line to stdout, or to stderr."""
    click.echo(printable(text), file=sys.stderr if err else _stdout())


def pour(text: str) -> None:
    """Write a piece of an answer to stdout, at once; it may hold line breaks."""
    _stdout().write(printable_lines(text))
    _stdout().flush()


def print_json(value: Any) -> None:
    """Write a Struct to stdout as JSON that people can read."""
    text = json.dumps(msgspec.to_builtins(value), indent=2, ensure_ascii=False)
    click.echo(printable_json(text), file=_stdout())


def print_table(header: list[str], rows: list[list[str]]) -> None:
    """Write rows under a header to stdout: pretty on a terminal, plain columns into a pipe."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=_stdout())
    table = Table(*header, box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=False)
    for row in rows:
        # Text, not markup: a name may hold brackets.
        table.add_row(*(Text(printable(cell), overflow="fold") for cell in row))
    if not console.is_terminal:
        console.width = 10_000
    console.print(table)


class Screen:
    """Lines with colours, and a status that goes away, where the terminal can show them."""

    def __init__(self, *, err: bool = False, quiet: bool = False) -> None:
        from rich.console import Console

        self._console = Console(file=sys.stderr if err else _stdout(), highlight=False, quiet=quiet)

    @property
    def is_terminal(self) -> bool:
        """Whether somebody looks at it."""
        return self._console.is_terminal

    @property
    def is_dumb(self) -> bool:
        """Whether it shows no status."""
        return self._console.is_dumb_terminal

    def line(self, *parts: str | tuple[str, str], end: str = "\n", one_row: bool = False) -> None:
        """Write a line of texts, some with a style: `("failed", "red")`. `one_row`: cut it where the row ends."""
        text = self._text(*parts)
        if one_row and self._console.is_terminal:
            self._console.print(text, end=end, no_wrap=True, overflow="ellipsis")
        else:
            self._console.print(text, end=end, soft_wrap=True)

    def status(self, text: str) -> AbstractContextManager[object]:
        """Show this, with something that moves, while a block runs; nothing where nobody looks."""
        return self._console.status(self._text(text)) if self._console.is_terminal else nullcontext()

    def moving(self, text: str) -> "Status":
        """A status that is started, changed and stopped by hand."""
        return Status(self._console.status(self._text(text)))

    def _text(self, *parts: str | tuple[str, str]) -> Any:
        from rich.text import Text

        return Text.assemble(*((printable(p), "") if isinstance(p, str) else (printable(p[0]), p[1]) for p in parts))


class Status:
    """What a screen shows while somebody waits."""

    def __init__(self, status: Any) -> None:
        self._status = status
        self.start = status.start
        self.stop = status.stop

    def update(self, text: str) -> None:
        """Show this from now on."""
        from rich.text import Text

        self._status.update(Text(printable(text)))
