"""The waiting time that a server asks for: in a header, in a field of its error, or in words."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from aura_core.limits import LONGEST_WAIT

_FIELDS = {
    "retrydelay": 1.0,  # google.rpc.RetryInfo
    "retry_delay": 1.0,
    "retry_after": 1.0,
    "retryafter": 1.0,
    "retry_after_seconds": 1.0,
    "retryafterseconds": 1.0,
    "resets_in_seconds": 1.0,
    "retry_after_ms": 0.001,
    "retryafterms": 0.001,
}
_UNITS = {"ms": 0.001, "mi": 60.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LEAD = re.compile(r"\b(?:again|retry|retrying|wait|resets?)\b[^\d\n]{0,30}(?=\d)", re.IGNORECASE)
_PART = re.compile(
    r"(\d{1,9}(?:\.\d{1,12})?) ?"
    r"(milliseconds?|msecs?|ms|seconds?|secs?|s|minutes?|mins?|min|m|hours?|hrs?|h|days?|d)(?![a-z])(?:,? and |, | )?",
    re.IGNORECASE,
)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait: `retry-after-ms`, or `retry-after` as seconds or as a date (RFC 9110, section 10.2.3).

    None if there is neither, or for more than a day.
    """
    text = headers.get("retry-after-ms")
    seconds = _scaled(text, 0.001)
    if seconds is None and (text := headers.get("retry-after")):
        seconds = _scaled(text, 1.0)
        if seconds is None:
            seconds = in_words(f"wait {text}") or _until(text)
    return seconds


def in_field(name: str, value: Any) -> float | None:
    """Seconds to wait by a field of a JSON error, None if the field is not about waiting."""
    scale = _FIELDS.get(name.lower())
    if scale is None:
        return None
    if isinstance(value, dict):  # a protobuf duration that was not written as text
        value = value.get("seconds")
    seconds = _scaled(value, scale)
    return in_words(f"wait {value}") if seconds is None and isinstance(value, str) else seconds


def in_words(text: str) -> float | None:
    """Seconds to wait by a text such as "Please try again in 1m2.5s", None if it names no duration."""
    for lead in _LEAD.finditer(text):
        at, seconds = lead.end(), None
        while (part := _PART.match(text, at)) is not None:
            unit = part[2].lower()
            scale = _UNITS["ms"] if unit.startswith("mil") else _UNITS.get(unit[:2]) or _UNITS[unit[0]]
            seconds = (seconds or 0.0) + float(part[1]) * scale
            at = part.end()
        if seconds is not None:
            return _sane(seconds)
    return None


def _until(text: str) -> float | None:
    try:
        when = parsedate_to_datetime(text)
        return _sane(max(0.0, (when - datetime.now(UTC)).total_seconds()))
    except (ValueError, TypeError, OverflowError):
        return None


def _scaled(value: Any, scale: float) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return _sane(float(value) * scale)
    except (ValueError, OverflowError):
        return None


def _sane(seconds: float) -> float | None:
    return seconds if 0 <= seconds <= LONGEST_WAIT else None
