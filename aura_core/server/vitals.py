"""Look at the process once a second, for its metrics: how late the event loop is, and what is there now."""

import logging
from collections.abc import Callable
from contextlib import suppress

from aura_core.runtime import Runtime

log = logging.getLogger("aura.server")


class Vitals:
    """Tells the runtime's `looks`."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._failed: list[Callable[[float], None]] = []

    def look(self, lag: float) -> None:
        """Tell them how late the event loop was, in seconds."""
        for look in self._runtime.looks:
            try:
                look(lag)
            except Exception:  # such as a full disk
                if look not in self._failed:
                    self._failed.append(look)
                    with suppress(Exception):  # the log itself may be what fails
                        log.exception("a look at the server's figures failed; this is said once")
