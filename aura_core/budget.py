"""How many bytes one process holds for its clients: their requests, and the answers that they have not read yet."""

import math

from aura_core.limits import LARGE_PART, SMALL_SHARE

FULL = (
    "Requests and unread answers fill the memory that this server may use for them (server.max_buffered);"
    " try again in a moment."
)


class Budget:
    """The bytes that may be held at the same time, all clients together: `[server] max_buffered`."""

    __slots__ = ("held", "limit")

    def __init__(self, limit: float = math.inf) -> None:
        self.limit = limit
        self.held = 0

    def take(self, size: int, part: float = 1) -> bool:
        """Count `size` more bytes. Returns whether they fit into this part of the limit; else nothing is counted."""
        if self.held + size > self.limit * part:
            return False
        self.held += size
        return True

    def give_back(self, size: int) -> None:
        """Count `size` bytes less."""
        self.held -= size


class Share:
    """What one request and its answer hold of a budget.

    Whoever makes a share closes it, once: then everything is given back, whoever took it and however the request ended.
    A closed share takes nothing more.
    """

    __slots__ = ("body", "budget", "closed", "size")

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.size = 0
        self.body = 0
        """The part of it that the request's body takes."""
        self.closed = False

    def grow(self, size: int) -> bool:
        """Hold `size` more bytes. Returns whether they fit. What makes a share large must leave room for small ones."""
        # As Budget.take, without its call: this is done five times for each request.
        budget, after = self.budget, self.size + size
        held = budget.held + size
        if self.closed or held > budget.limit * (LARGE_PART if after > SMALL_SHARE else 1):
            return False
        budget.held, self.size = held, after
        return True

    def shrink(self, size: int) -> None:
        """Hold `size` bytes less."""
        if not self.closed:
            self.size -= size
            self.budget.held -= size

    def change(self, before: int, after: int) -> bool:
        """Hold `after` bytes in place of `before`. Returns whether they fit."""
        if after > before:
            return self.grow(after - before)
        self.shrink(before - after)
        return True

    def close(self) -> None:
        """Give everything back."""
        self.shrink(self.size)
        self.closed = True
