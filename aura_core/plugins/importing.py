"""Run a plugin's code while it loads, and undo and report what it does to the process."""

import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from aura_core.interrupts import plugin_code
from aura_core.limits import SLOW_IMPORT

log = logging.getLogger("aura.plugins")


@contextmanager
def contained(plugin: str, warnings: list[str]) -> Iterator[None]:
    """Restore the current folder, the streams and Ctrl-C after this block; `warnings` gets what operators should know.

    What the plugin prints goes to stderr, as stdout may be a table or JSON. Raises KeyboardInterrupt only if the user
    pressed Ctrl-C; one that the plugin raises becomes a RuntimeError.
    """
    folder, streams = _folder(), (sys.stdin, sys.stdout, sys.stderr)
    begin = time.monotonic()
    late = threading.Timer(
        SLOW_IMPORT, log.warning, ("plugin %r is still being loaded after %g s", plugin, SLOW_IMPORT)
    )
    late.daemon = True
    late.start()
    try:
        with plugin_code(), redirect_stdout(sys.stderr):
            inside = sys.stdin, sys.stdout, sys.stderr
            try:
                yield
            finally:
                if (sys.stdin, sys.stdout, sys.stderr) != inside:
                    warnings.append(
                        f"plugin {plugin!r} replaces the standard streams when it is loaded; they were put back"
                    )
    finally:
        sys.stdin, sys.stdout, sys.stderr = streams
        late.cancel()
        late.join()  # a process that forks must have one thread
        if folder is not None and _folder() != folder:
            os.chdir(folder)
            warnings.append(f"plugin {plugin!r} changes the current folder when it is loaded; it was put back")
        if (seconds := time.monotonic() - begin) > SLOW_IMPORT:
            warnings.append(f"plugin {plugin!r} took {seconds:.1f} s to be loaded; every command waits for it")


def _folder() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109  # compared as it is, and given back
    except OSError:
        return None
