"""Let several workers keep their metrics in one folder, so that whichever is asked answers for all of them.

This is the multiprocess mode of prometheus_client. It is chosen by a variable when the library is imported, so the
parent must set that before it forks.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from aura_core.errors import ConfigError

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


@contextmanager
def shared() -> Iterator[Callable[[int], None]]:
    """Make the folder, in that which the variable names or the system's for temporary files, and remove it at the end.

    Gives what is to be called with the number of each worker that has ended. Raises ConfigError.
    """
    if find_spec("prometheus_client") is None:
        yield lambda number: None
        return
    try:
        folder = tempfile.mkdtemp(prefix="aura-metrics-", dir=os.environ.get(VARIABLE) or None)
    except OSError as exc:
        raise ConfigError(f"no folder can be made for the workers' metrics: {exc}; set TMPDIR") from None
    os.environ[VARIABLE] = folder
    try:
        yield _forget
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def join(number: int) -> None:
    """Be the worker of this number, after the fork and before any metric is made.

    Its number names its files, not its process id: whoever replaces it goes on counting in them. With a new file for
    each process a worker that crashes again and again would fill the folder.
    """
    if not are_shared():
        return
    from prometheus_client import values

    values.ValueClass = values.MultiProcessValue(lambda: number)  # type: ignore[no-untyped-call]


def alone() -> None:
    """Be the only process, whatever variable there is."""
    os.environ.pop(VARIABLE, None)


def are_shared() -> bool:
    """Whether the figures are those of several workers."""
    return VARIABLE in os.environ


def _forget(number: int) -> None:
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(number)  # type: ignore[no-untyped-call]
