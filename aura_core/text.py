"""Make text that others wrote fit to be shown: control characters removed, halves of surrogate pairs joined."""

import re

_TERMINAL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def without_controls(text: str) -> str:
    """Text for a terminal: line breaks and tabs stay, other control characters (escape sequences, too) are removed."""
    return _TERMINAL.sub("", text)


def without_halves(text: str) -> str:
    """The text with the halves of surrogate pairs joined, and U+FFFD for what stays alone, as no encoding takes it."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
