"""Keep secrets, mark-up and control characters out of what people read."""

import re

from aura_core.limits import MESSAGE_LIMIT
from aura_core.text import without_halves

_TAG = re.compile(r"<[!/a-zA-Z][^>]*>?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def hide(text: str, secrets: list[str]) -> str:
    """The text with every secret replaced by `***`."""
    for secret in secrets:
        if len(secret) >= 4:
            text = text.replace(secret, "***")
    return text


def message(text: str, secrets: list[str]) -> str:
    """An upstream's or a plugin's words, fit for a user: one line, no secret, no mark-up, not endless."""
    text = hide(without_halves(text), secrets)
    text = " ".join(_CONTROL.sub(" ", _TAG.sub(" ", text)).split())
    return text if len(text) <= MESSAGE_LIMIT else text[: MESSAGE_LIMIT - 1] + "…"
