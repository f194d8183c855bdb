"""Print a table: pretty on a terminal, plain columns into a pipe."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_table(header: list[str], rows: list[list[str]]) -> None:
    """Print rows under a header to stdout."""
    console = Console()
    table = Table(*header, box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=False)
    for row in rows:
        # Text, not markup: a name may hold brackets.
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    if not console.is_terminal:
        console.width = 10_000
    console.print(table)
