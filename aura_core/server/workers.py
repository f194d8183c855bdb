"""Several worker processes on one address; the parent starts them, forwards signals and replaces crashed workers."""

import logging
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from aura_core.limits import WORKER_RESTART_DELAY

log = logging.getLogger("aura.server")

SIGNALS = (signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))


class FirstWord:
    """A word that several processes agree on: the first one said is valid for all, also for a process that replaces a
    crashed one later. Create it before forking. POSIX only."""

    first = False
    """Whether this process said it."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # it must exist as long as the processes

    def say(self, word: str) -> str:
        """The valid word: this one, unless another was said before."""
        import fcntl

        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            said = os.pread(self._file.fileno(), 1024, 0).decode()
            if not said:
                os.pwrite(self._file.fileno(), word.encode(), 0)
                self.first = True
            return said or word
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)


def supervise(count: int, work: Callable[[int], None], left: Callable[[int], None] = lambda number: None) -> None:
    """Fork `count` processes, each of which runs `work` with its number. Returns when a signal has ended all of them;
    `left` is called with the number of each worker that ends for good. Workers end by themselves if the parent dies.

    POSIX only. Call it while the process has one thread and no event loop.
    """
    workers: dict[int, int] = {}
    stopping: list[int] = []
    life, held = os.pipe()

    def stop(sig: int, _frame: FrameType | None) -> None:
        stopping.append(sig)
        for pid in list(workers):
            _send(pid, signal.SIGTERM)

    def start(number: int) -> None:
        """Fork a worker, unless all are to stop."""
        # Block signals between fork and bookkeeping: one would miss the new worker, or run our handler in it.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            if stopping:
                return
            pid = os.fork()
            if not pid:
                os.close(held)
                _run(number, work, life)
            workers[pid] = number
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    previous = {sig: signal.signal(sig, stop) for sig in SIGNALS if signal.getsignal(sig) is not signal.SIG_IGN}
    try:
        for number in range(count):
            start(number)
        while workers:
            pid, status = os.wait()
            if pid not in workers:
                continue  # as PID 1 of a container we inherit orphans; a shell that `exec`s us may leave children
            number = workers.pop(pid)
            if not stopping:
                log.error("worker %d ended with code %d; starting another", number, os.waitstatus_to_exitcode(status))
                time.sleep(WORKER_RESTART_DELAY)
            start(number)
            if stopping:
                left(number)
    finally:
        for sig, handler in previous.items():
            signal.signal(sig, handler)
        os.close(life)
        os.close(held)


def _run(number: int, work: Callable[[int], None], life: int) -> NoReturn:
    """Be a worker, until its work is done or its parent has died."""
    code = 1
    try:
        # Its own process group: Ctrl-C in the terminal reaches only the parent, which forwards it once.
        os.setpgid(0, 0)
        for sig in SIGNALS:
            if signal.getsignal(sig) is not signal.SIG_IGN:  # `nohup` ignores SIGHUP
                signal.signal(sig, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        threading.Thread(target=_end_with_parent, args=[life], name="aura-parent", daemon=True).start()
        work(number)
        code = 0
    except BaseException:
        log.exception("worker %d failed", number)
    finally:
        try:
            logging.shutdown()  # os._exit would lose buffered lines
        finally:
            os._exit(code)


def _end_with_parent(life: int) -> None:
    """Drain if the parent dies without a signal to us (SIGKILL): nothing else would end this process."""
    os.read(life, 1)  # returns at the end of the pipe: no process holds its other side
    os.kill(os.getpid(), signal.SIGTERM)


def _send(pid: int, sig: int) -> None:
    with suppress(ProcessLookupError):  # it has just ended
        os.kill(pid, sig)
