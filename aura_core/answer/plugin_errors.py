"""Translate a plugin's exception into an error for the client, and decide whether to retry."""

import errno
import logging
import math
import random
import socket
import ssl
from collections.abc import Callable
from typing import Any, cast

from aura_core.errors import CODES, Code, ProviderError, words_of
from aura_core.limits import (
    CAUSES_FOLLOWED,
    LARGEST_NUMBER,
    RETRY_AFTER_LIMIT,
    RETRY_DELAY,
    RETRY_JITTER,
    UNKNOWN_WORDS,
)

log = logging.getLogger("aura.relay")

# Exceptions of sockets, TLS and asyncio's streams. IncompleteReadError is an EOFError.
_LOST = (ConnectionError, socket.gaierror, ssl.SSLError, EOFError)
_NO_WAY = {
    errno.EHOSTUNREACH,
    errno.EHOSTDOWN,
    errno.ENETUNREACH,
    errno.ENETDOWN,
    errno.ENETRESET,
    errno.EADDRNOTAVAIL,
}

# The messages of asyncio and anyio if none of a host's addresses could be reached.
_SUMMED_UP = ("Multiple exceptions: ", "All connection attempts failed")


def explain(exc: BaseException, plugin: str, redact: Callable[[str], str], begun: bool) -> ProviderError:
    """The error for the client; `begun`: some text was sent. Faults of the plugin itself are logged."""
    if isinstance(exc, ProviderError):
        code = _known(exc.code, plugin)
        told = ProviderError(
            redact(str(exc.message)),
            code,
            _seconds(exc.retry_after),
            upstream_status=exc.upstream_status if isinstance(exc.upstream_status, int) else 0,
            upstream_id=redact(str(exc.upstream_id)),
            upstream_words=redact(str(exc.upstream_words)),
        )
        told.cause = _cause(exc, redact)
        return told
    if isinstance(exc, TimeoutError):
        return ProviderError("The provider took too long.", "timeout")
    if _is_lost(exc):
        message, code = _CUT_OFF if begun else _UNREACHABLE
        told = ProviderError(message, code)
        told.cause = redact(words_of(exc))
        return told
    if isinstance(exc, MemoryError):
        log.warning("plugin %r got no memory for an answer", plugin)
        return ProviderError("The server is out of memory; try again in a moment.", "unavailable")
    log.error("plugin %r failed", plugin, exc_info=exc)
    fault = str(exc) if isinstance(exc, TypeError) and str(exc).startswith("it yielded") else type(exc).__name__
    return ProviderError(f"The provider plugin {plugin!r} is faulty ({fault}); the server's log says more.")


_CUT_OFF: tuple[str, Code] = "The connection to the provider was lost.", "interrupted"
_UNREACHABLE: tuple[str, Code] = "The provider cannot be reached.", "unavailable"


def _cause(exc: ProviderError, redact: Callable[[str], str]) -> str:
    """The exception at the bottom of a plugin's error, such as a socket's; "" if there is none.

    The plugin's message may be the same for a refused connection and for a name without an address.
    """
    inner: BaseException = exc
    for _ in range(CAUSES_FOLLOWED):
        if (below := inner.__cause__ or inner.__context__) is None:
            break
        inner = below
    return "" if inner is exc else redact(words_of(inner))


_unknown: set[tuple[str, str]] = set()


def _known(code: Any, plugin: str) -> Code:
    """The code, or `llm_error` for one that does not exist, which is logged once for each plugin."""
    if isinstance(code, str) and code in CODES:
        return cast("Code", code)
    said = str(code)[:100]
    if (plugin, said) not in _unknown and len(_unknown) < UNKNOWN_WORDS:
        _unknown.add((plugin, said))
        log.warning(
            "plugin %r raised ProviderError with the code %r, which does not exist; taken for llm_error", plugin, said
        )
    return "llm_error"


def _is_lost(exc: BaseException) -> bool:
    """Whether the network failed. A missing file, or too many open files, is a fault of the plugin or of Aura."""
    if isinstance(exc, _LOST):
        return True
    if not isinstance(exc, OSError):
        return False
    return exc.errno in _NO_WAY or (exc.errno is None and str(exc).startswith(_SUMMED_UP))


def retry_delay(failure: ProviderError, attempt: int) -> float | None:
    """Seconds until the next attempt, or None if a retry does not help. `attempt` counts from 0. Delays are random
    within a range, but never shorter than the provider asked for."""
    delay = failure.retry_after
    if failure.code == "unavailable" and delay is None:
        return RETRY_DELAY * 2.0**attempt * _random(1 - RETRY_JITTER)
    if failure.code not in ("unavailable", "rate_limited") or delay is None or delay > RETRY_AFTER_LIMIT:
        return None
    return delay * _random(1)


def _random(least: float) -> float:
    """A random factor, so that the requests that failed together do not return together."""
    return random.uniform(least, 1 + RETRY_JITTER)  # noqa: S311  # it keeps no secret


def _seconds(value: Any) -> float | None:
    """A sane number of seconds, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        return None
    return float(min(value, LARGEST_NUMBER))
