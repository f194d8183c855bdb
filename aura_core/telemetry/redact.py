"""Remove secrets, mark-up and control characters from texts that are shown or logged."""

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
"""Characters of the shortest secret, or encoded form of one, that is replaced: shorter ones occur in any text."""


def hide(text: str, secrets: list[str]) -> str:
    """The text with every secret replaced by `***`, also in base64 (as in `Basic …`) and percent-encoded."""
    for form in forms(tuple(secrets)):
        if form in text:
            text = text.replace(form, "***")
    return text


def message(text: str, secrets: list[str]) -> str:
    """A message of an upstream or a plugin, made safe for a user: one line without secrets or mark-up, with a limit."""
    text = hide(without_halves(text), secrets)
    text = " ".join(_CONTROL.sub(" ", _TAG.sub(" ", text)).split())
    text = text if len(text) <= MESSAGE_LIMIT else text[: MESSAGE_LIMIT - 1] + "…"
    return hide_pieces(text, secrets)


@lru_cache(maxsize=16)
def forms(secrets: tuple[str, ...]) -> list[str]:
    """All encoded forms of the secrets, the longest first, since it may contain a shorter one."""
    forms = {form for secret in secrets if len(secret) >= _SHORTEST for form in _of(secret)}
    return sorted((form for form in forms if len(form) >= _SHORTEST), key=len, reverse=True)


def _of(secret: str) -> Iterator[str]:
    yield secret
    yield quote(secret, safe="", errors="replace")
    data = secret.encode(errors="surrogateescape")
    # Base64 encodes three bytes as four characters, so the encoded form depends on the length of the text before the
    # secret (`user:`). A character that encodes bits of a neighbouring byte, too, is left: it reveals less than a byte.
    for before in range(3):
        whole = b64encode(bytes(before) + data).decode()
        own = whole[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]
        yield own
        yield own.translate(_URL_SAFE)


_URL_SAFE = str.maketrans("+/", "-_")
