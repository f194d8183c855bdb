"""Token counts, which may be anything where a plugin names them, made fit for clients, metrics and the log."""

from typing import Any

from aura_core.limits import LARGEST_NUMBER
from aura_core.types import Usage


def checked(usage: Usage) -> Usage:
    """The same counts as far as they are some: whole, not negative, and no larger than a client can hold."""
    return Usage(_count(usage.prompt), _count(usage.completion))


def total(usage: Usage) -> int:
    """Prompt and completion together, of checked counts."""
    return min(usage.prompt + usage.completion, LARGEST_NUMBER)


def _count(tokens: Any) -> int:
    return min(tokens, LARGEST_NUMBER) if isinstance(tokens, int) and tokens > 0 and tokens is not True else 0
