"""Every promise of a provider: a name that stays, a sentence that is the promise, and the function that checks it."""

import inspect
from collections.abc import Awaitable, Callable

import msgspec

from aura_core.testing.harness import Harness

Look = Callable[[Harness], Awaitable[None]]

EXPLAIN = "aura test-plugin --explain"
"""The command that shows what a promise is about; it needs nothing but the installed kit."""
BASICS = ("hooks", "settings", "description")
PACE = (*BASICS, "loop", "delay")
"""What every check builds on that asks the kit's server: where these fail, the others would take too long."""


class Promise(msgspec.Struct, frozen=True):
    """One promise, and in `more` what it takes to keep it.

    `needs` are checks that it builds on; `server` is False where it needs none to talk to; `since` is the version of
    Aura that first asked for it.
    """

    name: str
    promise: str
    more: str
    look: Look
    needs: tuple[str, ...]
    server: bool
    since: str = "0.1"

    @property
    def docs(self) -> str:
        """The command that explains it."""
        return f"{EXPLAIN} {self.name}"


def paragraphs(look: Callable[..., object]) -> tuple[str, str]:
    """The promise of a check, and its explanation, which may be empty."""
    promise, *more = inspect.cleandoc(look.__doc__ or "").split("\n\n")
    return " ".join(promise.split()), "\n\n".join(" ".join(each.split()) for each in more)


PROMISES: dict[str, Promise] = {}


def check(name: str, *needs: str, server: bool = True, since: str = "0.1") -> Callable[[Look], Look]:
    """Make a function a check; the first paragraph of its docstring is the promise, the others explain it."""

    def add(look: Look) -> Look:
        promise, more = paragraphs(look)
        PROMISES[name] = Promise(name, promise, more, look, needs, server, since)
        return look

    return add
