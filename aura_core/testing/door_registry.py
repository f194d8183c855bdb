"""Every promise of a door: a name that stays, a sentence that is the promise, and a function that looks."""

from collections.abc import Awaitable, Callable

import msgspec

from aura_core.testing.door_harness import DoorHarness
from aura_core.testing.registry import EXPLAIN, paragraphs

Look = Callable[[DoorHarness], Awaitable[None]]


class DoorPromise(msgspec.Struct, frozen=True):
    """One promise, and in `more` what it takes to keep it.

    `needs` are checks that it builds on; `since` is the version of Aura that first asked for it.
    """

    name: str
    promise: str
    more: str
    look: Look
    needs: tuple[str, ...]
    since: str = "0.2"

    @property
    def docs(self) -> str:
        """The command that explains it."""
        return f"{EXPLAIN} {self.name}"


DOOR_PROMISES: dict[str, DoorPromise] = {}


def check(name: str, *needs: str) -> Callable[[Look], Look]:
    """Make a function a check; the first paragraph of its docstring is the promise, the others explain it."""

    def add(look: Look) -> Look:
        DOOR_PROMISES[name] = DoorPromise(name, *paragraphs(look), look, needs)
        return look

    return add
