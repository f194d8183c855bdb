"""Every promise of a door: a name that stays, a sentence that is the promise, and a function that looks."""

from collections.abc import Awaitable, Callable

import msgspec

from aura_core.testing.door_harness import DoorHarness
from aura_core.testing.registry import DOCS

Look = Callable[[DoorHarness], Awaitable[None]]


class DoorPromise(msgspec.Struct, frozen=True):
    """One promise. `needs` are checks that it builds on; `since` is the version of Aura that first asked for it."""

    name: str
    promise: str
    look: Look
    needs: tuple[str, ...]
    since: str = "0.2"

    @property
    def docs(self) -> str:
        """Where it is written down."""
        return f"{DOCS}#{self.name}"


DOOR_PROMISES: dict[str, DoorPromise] = {}


def check(name: str, *needs: str) -> Callable[[Look], Look]:
    """Make a function a check; its docstring is the promise."""

    def add(look: Look) -> Look:
        DOOR_PROMISES[name] = DoorPromise(name, " ".join((look.__doc__ or "").split()), look, needs)
        return look

    return add
