"""Look at the process once a second, for its metrics: how late the event loop is, and what is there now."""

import logging

from aura_core.runtime import Runtime

log = logging.getLogger("aura.server")


class Vitals:
    """Tells the runtime's `looks`."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._failed = False

    def look(self, lag: float) -> None:
        """Tell them how late the event loop was, in seconds."""
        for look in self._runtime.looks:
            try:
                look(lag)
            except Exception:  # such as a full disk
                if not self._failed:
                    self._failed = True
                    log.exception("the metrics could not be taken; this is said once")
