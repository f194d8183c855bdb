"""What a plugin's exception means to a user, and whether another attempt may help."""

import errno
import logging
import math
import socket
import ssl
from collections.abc import Callable
from typing import Any

from aura_core.errors import CODES, ProviderError
from aura_core.limits import LARGEST_NUMBER, RETRY_AFTER_LIMIT, RETRY_DELAY

log = logging.getLogger("aura.relay")

# What sockets, TLS and asyncio's streams raise. IncompleteReadError is an EOFError.
_LOST = (ConnectionError, socket.gaierror, ssl.SSLError, EOFError)
_NO_WAY = {
    errno.EHOSTUNREACH,
    errno.EHOSTDOWN,
    errno.ENETUNREACH,
    errno.ENETDOWN,
    errno.ENETRESET,
    errno.EADDRNOTAVAIL,
}

# So asyncio and anyio say that none of a host's addresses could be reached.
_SUMMED_UP = ("Multiple exceptions: ", "All connection attempts failed")


def explain(exc: BaseException, plugin: str, redact: Callable[[str], str], begun: bool) -> ProviderError:
    """The failure as a client is told of it; `begun`: it has some of the answer. The plugin's own faults are logged."""
    if isinstance(exc, ProviderError):
        code = exc.code if exc.code in CODES else "llm_error"
        return ProviderError(redact(str(exc.message)), code, _seconds(exc.retry_after))
    if isinstance(exc, TimeoutError):
        return ProviderError("The provider took too long.", "timeout")
    if _is_lost(exc):
        log.warning("plugin %r lost its connection: %s: %s", plugin, type(exc).__name__, exc)
        if begun:
            return ProviderError("The connection to the provider was lost.", "interrupted")
        return ProviderError("The provider cannot be reached.", "unavailable")
    if isinstance(exc, MemoryError):
        log.warning("plugin %r got no memory for an answer", plugin)
        return ProviderError("The server is out of memory; try again in a moment.", "unavailable")
    log.error("plugin %r failed", plugin, exc_info=exc)
    fault = str(exc) if isinstance(exc, TypeError) and str(exc).startswith("it yielded") else type(exc).__name__
    return ProviderError(f"The provider plugin {plugin!r} is faulty ({fault}); the server's log says more.")


def _is_lost(exc: BaseException) -> bool:
    """Whether it is the network's fault; a file that is missing, or a process out of files, is the plugin's or ours."""
    if isinstance(exc, _LOST):
        return True
    if not isinstance(exc, OSError):
        return False
    return exc.errno in _NO_WAY or (exc.errno is None and str(exc).startswith(_SUMMED_UP))


def retry_delay(failure: ProviderError, attempt: int) -> float | None:
    """Seconds until the next attempt, or None where waiting does not help. `attempt` counts from 0."""
    delay = failure.retry_after
    if failure.code == "unavailable" and delay is None:
        return RETRY_DELAY * 2.0**attempt
    if failure.code not in ("unavailable", "rate_limited") or delay is None or delay > RETRY_AFTER_LIMIT:
        return None
    return delay


def _seconds(value: Any) -> float | None:
    """A sane number of seconds, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        return None
    return float(min(value, LARGEST_NUMBER))
