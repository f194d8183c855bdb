"""Several processes that answer on one address; the parent starts them, passes signals on, replaces what crashes."""

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
    """A word that several processes agree on: whichever says one first is right, and a process that comes later, in
    place of one that crashed, learns it. Make it before they are forked. POSIX only."""

    first = False
    """Whether this process said it."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # it is there as long as the processes are

    def say(self, word: str) -> str:
        """The word that holds: this one, unless another was said before."""
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
    `left` is told the number of each that nobody replaces. A worker whose parent was killed ends by itself.

    POSIX only. Call it while there is one thread and no event loop.
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
        # No signal may come between the fork and the entry: it would miss the new worker, or find our handler in it.
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
                continue  # the first process of a container gets orphans; a shell may leave children when it `exec`s us
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
    """Be a worker, until it has done its work or its parent is gone."""
    code = 1
    try:
        # A group of its own: Ctrl-C in the terminal reaches the parent alone, which passes it on once.
        os.setpgid(0, 0)
        for sig in SIGNALS:
            if signal.getsignal(sig) is not signal.SIG_IGN:  # `nohup` has SIGHUP ignored
                signal.signal(sig, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        threading.Thread(target=_end_with_parent, args=[life], name="aura-parent", daemon=True).start()
        work(number)
        code = 0
    except BaseException:
        log.exception("worker %d failed", number)
    finally:
        try:
            logging.shutdown()  # os._exit would lose the lines that wait to be written
        finally:
            os._exit(code)


def _end_with_parent(life: int) -> None:
    """Drain when the parent is gone without a word (SIGKILL): nobody else would ever end this process."""
    os.read(life, 1)  # the end of the pipe, when no process holds its other side
    os.kill(os.getpid(), signal.SIGTERM)


def _send(pid: int, sig: int) -> None:
    with suppress(ProcessLookupError):  # it has just ended
        os.kill(pid, sig)
