"""Keep secrets, mark-up and control characters out of what people read."""

import re

MESSAGE_LIMIT = 500

_TAG = re.compile(r"<[!/a-zA-Z][^>]*>?")
_TERMINAL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def without_controls(text: str) -> str:
    """Model output, fit for a terminal: line breaks and tabs stay, escape sequences lose their teeth."""
    return _TERMINAL.sub("", text)


def without_halves(text: str) -> str:
    """The text with the halves of surrogate pairs joined, and U+FFFD for what stays alone, as no encoding takes it."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


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
