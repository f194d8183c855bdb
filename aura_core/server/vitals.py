"""Look at the process once a second, for its metrics: how late the event loop is, and what is there now."""

import asyncio
import logging

from aura_core.limits import VITALS_PAUSE
from aura_core.runtime import Runtime

log = logging.getLogger("aura.server")


async def watch_vitals(runtime: Runtime) -> None:
    """Tell the runtime's `looks`, for as long as the server runs."""
    loop = asyncio.get_running_loop()
    failed = False
    while True:
        due = loop.time() + VITALS_PAUSE
        await asyncio.sleep(VITALS_PAUSE)
        lag = max(0.0, loop.time() - due)
        runtime.refused.tell()
        for look in runtime.looks:
            try:
                look(lag)
            except Exception:  # such as a full disk
                if not failed:
                    failed = True
                    log.exception("the metrics could not be taken; this is said once")
