"""Make foreign text safe to show: nothing in it controls a terminal, is invisible, or imitates other text.

Affected are control characters (which start escape sequences), lone surrogates, bidirectional overrides (U+202E) and
zero-width characters (U+200B), which make two names look alike.
"""

import json
import re

_STEERING = "\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufff9-\ufffb\U000e0000-\U000e0fff"
_UNSEEN = (
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028\u2029\u2060-\u2065\u206a-\u206f\u3164"
    "\ud800-\udfff\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
)
# Between the parts of an emoji, and in scripts that need it, a joiner has a visible effect.
_JOINER = "(?<=[\u0600-\u1fff\u2190-\U0001faff])[\u200c\u200d](?=[\u0600-\u1fff\u2190-\U0001faff])"

_BREAKS = re.compile("[\t-\r\x1c-\x1e\x85\u2028\u2029]+")
_STEERS = re.compile(f"[{_STEERING}]")
_HIDDEN = re.compile(f"(?!{_JOINER})[{_STEERING}{_UNSEEN}]")


def printable(text: str) -> str:
    r"""A name or a message on one line: line breaks become spaces, invisible characters escapes like `\u202e`."""
    if text.isascii() and text.isprintable():
        return text
    return _HIDDEN.sub(lambda found: ascii(found[0])[1:-1], _BREAKS.sub(" ", text))


def printable_lines(text: str) -> str:
    """An answer or a traceback: line breaks and tabs stay, and control characters are removed."""
    if text.isprintable():
        return text
    return _STEERS.sub("", text.replace("\u2028", "\n").replace("\u2029", "\n"))


def printable_json(text: str) -> str:
    r"""A JSON text with the invisible characters in its strings escaped, as in `\u202e`: nothing is lost."""
    return _HIDDEN.sub(lambda found: json.dumps(found[0])[1:-1], text)


def counted(number: int, noun: str) -> str:
    """A number with its noun: `1 warning`, `2 warnings`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def visible(text: str) -> str:
    """The text without the characters that are hidden; white space stays."""
    return text if text.isascii() and text.isprintable() else _HIDDEN.sub("", text)


def without_halves(text: str) -> str:
    """The text with surrogate pairs joined, and U+FFFD for a lone surrogate, which no encoding accepts."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
