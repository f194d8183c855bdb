"""Every promise of a provider: a name that stays, a sentence that is the promise, and the function that checks it."""

from collections.abc import Awaitable, Callable

import msgspec

from aura_core.testing.harness import Harness

Look = Callable[[Harness], Awaitable[None]]

DOCS = "docs/plugins.md"


class Promise(msgspec.Struct, frozen=True):
    """One promise. `needs` are checks that it builds on; `server` is False where it needs none to talk to; `since` is
    the version of Aura that first asked for it."""

    name: str
    promise: str
    look: Look
    needs: tuple[str, ...]
    server: bool
    since: str = "0.1"

    @property
    def docs(self) -> str:
        """Where it is written down."""
        return f"{DOCS}#{self.name}"


PROMISES: dict[str, Promise] = {}


def check(name: str, *needs: str, server: bool = True, since: str = "0.1") -> Callable[[Look], Look]:
    """Make a function a check; its docstring is the promise."""

    def add(look: Look) -> Look:
        PROMISES[name] = Promise(name, " ".join((look.__doc__ or "").split()), look, needs, server, since)
        return look

    return add
