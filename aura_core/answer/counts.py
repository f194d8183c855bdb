"""Check the token counts that plugins report, before they reach clients, metrics and the log."""

from typing import Any

from aura_core.limits import LARGEST_NUMBER
from aura_core.types import Usage


def checked(usage: Usage) -> Usage:
    """The same counts, with 0 for whatever is not a whole number above 0; none is larger than a client can hold."""
    counts = usage.prompt, usage.completion, usage.cache_read, usage.cache_write, usage.reasoning
    for count in counts:  # nearly always all are as they should be
        if type(count) is not int or not 0 <= count <= LARGEST_NUMBER:
            return Usage(*map(_count, counts))
    return usage


def total(usage: Usage) -> int:
    """Prompt and completion together, of checked counts."""
    return min(usage.prompt + usage.completion, LARGEST_NUMBER)


def _count(tokens: Any) -> int:
    return min(tokens, LARGEST_NUMBER) if isinstance(tokens, int) and tokens > 0 and tokens is not True else 0
