"""Keep secrets, mark-up and control characters out of what people read."""

import re
from base64 import b64encode
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import quote

from aura_core.key_pieces import hide_pieces
from aura_core.limits import MESSAGE_LIMIT
from aura_core.text import without_halves

_TAG = re.compile(r"<[!/a-zA-Z][^>]*>?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+")
_SHORTEST = 4
"""Characters of a secret, or of a form of one, that are looked for: fewer stand in any text."""


def hide(text: str, secrets: list[str]) -> str:
    """The text with every secret replaced by `***`, also where it is in base64, as in `Basic …`, or in an address."""
    for form in _forms(tuple(secrets)):
        if form in text:
            text = text.replace(form, "***")
    return text


def message(text: str, secrets: list[str]) -> str:
    """An upstream's or a plugin's words, fit for a user: one line, no secret, no mark-up, not endless."""
    text = hide(without_halves(text), secrets)
    text = " ".join(_CONTROL.sub(" ", _TAG.sub(" ", text)).split())
    text = text if len(text) <= MESSAGE_LIMIT else text[: MESSAGE_LIMIT - 1] + "…"
    return hide_pieces(text, secrets)


@lru_cache(maxsize=16)
def _forms(secrets: tuple[str, ...]) -> list[str]:
    """All that secrets look like, the longest first: it may hold a shorter one."""
    forms = {form for secret in secrets if len(secret) >= _SHORTEST for form in _of(secret)}
    return sorted((form for form in forms if len(form) >= _SHORTEST), key=len, reverse=True)


def _of(secret: str) -> Iterator[str]:
    yield secret
    yield quote(secret, safe="", errors="replace")
    data = secret.encode(errors="surrogateescape")
    # Base64 writes three bytes as four characters, so it depends on what stands before the secret (`user:`) which ones
    # its own are. Those that it shares with a neighbour are left: they tell less than a byte.
    for before in range(3):
        whole = b64encode(bytes(before) + data).decode()
        own = whole[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]
        yield own
        yield own.translate(_URL_SAFE)


_URL_SAFE = str.maketrans("+/", "-_")
