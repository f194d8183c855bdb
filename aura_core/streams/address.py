"""Check what a person wrote into a setting that goes into a request: an address, or the value of a header."""

import re
from functools import lru_cache
from urllib.parse import urlsplit


def web_address(name: str, text: str, added: str) -> str:
    """A URL that a person wrote, without the slash at its end; `added` is the path that a plugin appends to it, and
    `name` the setting. Raises ValueError."""
    return _web_address(name, text, added)


@lru_cache(maxsize=64)  # plugins ask for it with each request
def _web_address(name: str, text: str, added: str) -> str:
    text = text.strip()
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ValueError(f"{name}: it is not an address") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{name}: it must begin with http:// or https:// and name a host")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError(f"{name}: no user, password, query or fragment may stand in it")
    if not text.isascii() or re.search(r"\s", text):
        raise ValueError(f"{name}: no spaces and no letters beyond ASCII may stand in it")
    if parts.path.rstrip("/").endswith(added):
        raise ValueError(f"{name}: leave out {added}; it is added")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def header_value(name: str, text: str) -> None:
    """Check that a setting can be sent in a header. Raises ValueError, without the text."""
    if not (text.isascii() and text.isprintable()):
        raise ValueError(f"{name}: it holds characters that no header can carry")
