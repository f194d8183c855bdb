"""Close the connection that an answer reads as soon as its client has left.

The answer's task is cancelled after that. Its plugin would close the connection, too, but in its clean-up: when many
clients leave at once, the last provider would generate until all the others' plugins have run theirs.
"""

import asyncio
from typing import Any, Protocol


class Borrowed(Protocol):
    """A connection to a provider until it is given back, as aiohttp lends it."""

    @property
    def closed(self) -> bool:
        """Whether it was given back, or is lost."""

    @property
    def protocol(self) -> Any:
        """The connection itself. Its `hang_up` closes it if its reader waits, and returns whether it did."""


class AnswerTask(asyncio.Task[None]):
    """A task that answers one client, and the connection that it has taken last."""

    __slots__ = ("_borrowed",)
    _borrowed: Borrowed

    def hang_up(self) -> bool:
        """Close its connection, if it waits for that. Returns whether it did: then cancel it soon, else at once."""
        connection = getattr(self, "_borrowed", None)
        if connection is None or connection.closed:
            return False
        closed: bool = connection.protocol.hang_up()
        return closed


def borrow(connection: Borrowed) -> None:
    """The running task takes a connection. A task that others wait for, too, as one that refreshes a token for all,
    keeps its own whoever leaves."""
    task = asyncio.current_task()
    if isinstance(task, AnswerTask):
        task._borrowed = connection
