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
        """The connection itself, with a `hang_up`."""


_borrowed: dict[asyncio.Task[Any], Borrowed | None] = {}
"""The tasks that answer, and the connection that each has taken last."""


def expect(task: asyncio.Task[Any]) -> None:
    """The task answers; `forget` it when it has ended."""
    _borrowed[task] = None


def forget(task: asyncio.Task[Any]) -> None:
    """The task has ended."""
    _borrowed.pop(task, None)


def borrow(connection: Borrowed) -> None:
    """The running task takes a connection. One that no answer waits for alone, as the task that refreshes a token for
    all, keeps its connection whoever leaves."""
    task = asyncio.current_task()
    if task in _borrowed:
        _borrowed[task] = connection


def hang_up(task: asyncio.Task[Any]) -> bool:
    """Close the task's connection. Returns whether there is one."""
    connection = _borrowed.get(task)
    if connection is None or connection.closed:
        return False
    connection.protocol.hang_up()
    return True
