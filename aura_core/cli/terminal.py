"""Write to the terminal: every output of a command passes through here, so that no text in it can control the terminal.

Names, models, paths, and the messages of plugins and servers come from other people: control characters and invisible
ones are escaped before they are written. No other module of the commands writes to the terminal.
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
"""The real stdout, once `keep_stdout` has reserved it for the command."""


def keep_stdout() -> None:
    """Reserve stdout for the command's own output. From now on the output of plugins and libraries goes to stderr: a
    line of theirs would break JSON, a table or an answer."""
    global _own
    try:
        ours = _own is None and sys.stdout.fileno() == 1 and sys.stderr.fileno() == 2
    except (OSError, ValueError):  # a test has replaced the streams
        return
    if ours:
        sys.stdout.flush()
        errors = getattr(sys.stdout, "errors", None) or "replace"
        _own = os.fdopen(os.dup(1), "w", encoding=sys.stdout.encoding, errors=errors)
        os.dup2(2, 1)


def close_stdout() -> None:
    """Close stdout after an error, since the interpreter would try to flush it again at exit."""
    for stream in (_own, sys.stdout):
        with suppress(OSError, ValueError):
            if stream is not None:
                stream.close()


def flush_stdout() -> None:
    """Flush stdout."""
    with suppress(OSError, ValueError):
        _stdout().flush()


def _stdout() -> TextIO:
    return _own or sys.stdout


def say(text: str = "", *, err: bool = False) -> None:
    """Write a line to stdout, or to stderr."""
    click.echo(printable(text), file=sys.stderr if err else _stdout())


def say_lines(lines: list[str], *, err: bool = False) -> None:
    """Write several lines in one write."""
    click.echo("\n".join(map(printable, lines)), err=err)


def pour(text: str) -> None:
    """Write a piece of an answer to stdout and flush it; it may contain line breaks."""
    _stdout().write(printable_lines(text))
    _stdout().flush()


def print_json(value: Any) -> None:
    """Write a Struct to stdout as indented JSON."""
    text = json.dumps(msgspec.to_builtins(value), indent=2, ensure_ascii=False)
    click.echo(printable_json(text), file=_stdout())


def print_table(header: list[str], rows: list[list[str]]) -> None:
    """Write rows under a header to stdout: formatted on a terminal, as plain columns into a pipe."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=_stdout())
    table = Table(*header, box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=False)
    for row in rows:
        # Text, not markup: a name may contain brackets.
        table.add_row(*(Text(printable(cell), overflow="fold") for cell in row))
    if not console.is_terminal:
        console.width = 10_000
    console.print(table)


class Screen:
    """Lines with colours and a temporary status line, where the terminal can show them."""

    def __init__(self, *, err: bool = False, quiet: bool = False) -> None:
        from rich.console import Console

        self._console = Console(file=sys.stderr if err else _stdout(), highlight=False, quiet=quiet)

    @property
    def is_terminal(self) -> bool:
        """Whether it is a terminal and not a file or a pipe."""
        return self._console.is_terminal

    @property
    def is_dumb(self) -> bool:
        """Whether the terminal cannot show a status line."""
        return self._console.is_dumb_terminal

    def line(self, *parts: str | tuple[str, str], end: str = "\n", one_row: bool = False) -> None:
        """Write a line of texts, some with a style: `("failed", "red")`. `one_row`: cut it at the end of the row."""
        text = self._text(*parts)
        if one_row and self._console.is_terminal:
            self._console.print(text, end=end, no_wrap=True, overflow="ellipsis")
        else:
            self._console.print(text, end=end, soft_wrap=True)

    def status(self, text: str) -> AbstractContextManager[object]:
        """Show this with a spinner while a block runs; does nothing where this is not a terminal."""
        return self._console.status(self._text(text)) if self._console.is_terminal else nullcontext()

    def moving(self, text: str) -> "Status":
        """A status line with a spinner, which the caller starts, updates and stops."""
        return Status(self._console.status(self._text(text)))

    def _text(self, *parts: str | tuple[str, str]) -> Any:
        from rich.text import Text

        return Text.assemble(*((printable(p), "") if isinstance(p, str) else (printable(p[0]), p[1]) for p in parts))


class Status:
    """A status line with a spinner."""

    def __init__(self, status: Any) -> None:
        self._status = status
        self.start = status.start
        self.stop = status.stop

    def update(self, text: str) -> None:
        """Show this from now on."""
        from rich.text import Text

        self._status.update(Text(printable(text)))
