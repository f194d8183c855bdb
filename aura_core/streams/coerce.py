"""Coerce JSON of an unexpected type to text, reasoning or a count.

Values are as `loads` returns them: a number is its text.
"""

from collections.abc import Iterable
from typing import Any

from aura_core.limits import COERCED_DEPTH, LARGEST_NUMBER


def parts(value: Any, depth: int = 0) -> tuple[str, str]:
    """The text and the reasoning in a string, a content part, or a list of these."""
    if isinstance(value, str):
        return value, ""
    if depth > COERCED_DEPTH:
        return "", ""
    if isinstance(value, list):
        return _joined(parts(item, depth + 1) for item in value)
    if not isinstance(value, dict):
        return "", ""
    kind = str(value.get("type", "")).lower()
    for name in ("thinking", "reasoning", "summary"):
        if value.get(name):
            return "", "".join(parts(value[name], depth + 1))
    for name in ("text", "content", "refusal", "output_text"):
        if value.get(name):
            text, thought = parts(value[name], depth + 1)
            return ("", thought + text) if "thinking" in kind or "reasoning" in kind else (text, thought)
    return "", ""


def _joined(pairs: Iterable[tuple[str, str]]) -> tuple[str, str]:
    texts, thoughts = [], []
    for text, thought in pairs:
        texts.append(text)
        thoughts.append(thought)
    return "".join(texts), "".join(thoughts)


def count(value: Any) -> int:
    """A count that was sent as a number or as text; 0 for anything else, at most 2**53 - 1."""
    if type(value) is int and 0 <= value <= LARGEST_NUMBER:  # nearly always
        return value
    if isinstance(value, bool):
        return 0
    try:
        number = value if isinstance(value, int) else float(value)
    except (TypeError, ValueError):
        return 0
    return int(min(max(0, number), LARGEST_NUMBER)) if number == number else 0  # NaN is not equal to itself
