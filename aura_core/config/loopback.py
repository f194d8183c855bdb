"""Recognize loopback: host names and server addresses that can only mean this machine."""

import re
from ipaddress import ip_address

# Narrow, so that every parser finds the same host: without user, query, backslash and percent-encoding.
_URL = re.compile(r"https?://(?P<host>localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d{1,5})?(/[\w.~/-]*)?", re.ASCII)


def is_loopback(host: str) -> bool:
    """Whether `host` (a name or address, without port and brackets) can only mean this machine."""
    host = host.lower().rstrip(".")
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_loopback_url(text: object) -> bool:
    """Whether this is an http or https address of this machine, written plainly."""
    match = _URL.fullmatch(text) if isinstance(text, str) else None
    return match is not None and is_loopback(match["host"].strip("[]"))
