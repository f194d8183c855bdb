"""Several worker processes on one address; the parent starts them, forwards signals and replaces crashed workers."""

import logging
import os
import selectors
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from aura_core.limits import WORKER_RESTART_DELAY
from aura_core.server.systemd import Systemd

log = logging.getLogger("aura.server")

SIGNALS = (signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))

READY, ALIVE = b"r", b"a"


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


class Parent:
    """The parent of a worker, as the worker sees it: it hears of it through a pipe."""

    def __init__(self, pipe: int, sign_every: float | None, replaced: bool) -> None:
        self._pipe = pipe
        self.sign_every = sign_every
        self.replaced = replaced
        """Whether the worker replaces one that crashed."""

    def ready(self) -> None:
        self._tell(READY)

    def alive(self) -> None:
        self._tell(ALIVE)

    def stopping(self) -> None:
        pass  # the parent has said it

    def _tell(self, word: bytes) -> None:
        with suppress(OSError):  # the parent is gone, or reads nothing: the pipe is full
            os.write(self._pipe, word)


Work = Callable[[int, Parent], None]


def supervise(
    count: int,
    work: Work,
    systemd: Systemd | None = None,
    left: Callable[[int], None] = lambda number: None,
    ended: Callable[[int], None] = lambda number: None,
) -> None:
    """Fork `count` processes, each of which runs `work` with its number and its parent. Returns when a signal has
    ended all of them. `ended` is called with the number of each worker that ends, and `left` if it ends for good.
    Workers end by themselves if the parent dies.

    `systemd` hears that the service is ready when all workers are, and that it lives while all of them do. If it has a
    watchdog, a worker whose event loop stands still is killed and replaced before the watchdog ends all of them.

    POSIX only. Call it while the process has one thread and no event loop.
    """
    _Supervisor(count, work, systemd or Systemd({}), left, ended).run()


class _Worker:
    """A running worker, as the parent sees it."""

    def __init__(self, number: int, pipe: int) -> None:
        self.number = number
        self.pipe = pipe
        self.ready = False
        self.heard = time.monotonic()


class _Supervisor:
    def __init__(
        self, count: int, work: Work, systemd: Systemd, left: Callable[[int], None], ended: Callable[[int], None]
    ) -> None:
        self._count = count
        self._work = work
        self._systemd = systemd
        self._left = left
        self._ended = ended
        self._workers: dict[int, _Worker] = {}  # by process id
        self._due: dict[int, float] = {}  # the numbers of workers to be started, and when
        self._stopping = False
        self._ready = False
        self._life, self._held = os.pipe()
        self._wake, self._woken = os.pipe()  # a signal writes into it
        self._selector = selectors.DefaultSelector()
        # Workers that may be silent, in seconds; then the service is not alive.
        self._patience = systemd.watchdog / 2 if systemd.watchdog else None
        self._looked = time.monotonic()

    def run(self) -> None:
        for end in (self._wake, self._woken):
            os.set_blocking(end, False)
        self._selector.register(self._wake, selectors.EVENT_READ)
        handlers = {sig: self._stop for sig in SIGNALS if signal.getsignal(sig) is not signal.SIG_IGN}
        previous = {sig: signal.signal(sig, handler) for sig, handler in handlers.items()}
        previous[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)  # only so that it wakes us
        waker = signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)
        try:
            for number in range(self._count):
                self._start(number)
            while True:
                self._reap()  # before the first wait: another child may have ended before we listened for that
                self._start_due()
                self._report()
                if not self._workers and (self._stopping or not self._due):
                    return
                self._listen()
        finally:
            signal.set_wakeup_fd(waker)
            for sig, handler in previous.items():
                signal.signal(sig, handler)
            self._selector.close()
            for descriptor in (self._life, self._held, self._wake, self._woken):
                os.close(descriptor)

    def _stop(self, _sig: int, _frame: FrameType | None) -> None:
        if not self._stopping:
            self._systemd.stopping()
        self._stopping = True
        for pid in list(self._workers):
            _send(pid, signal.SIGTERM)

    def _start(self, number: int, replaced: bool = False) -> None:
        """Fork a worker, unless all are to stop."""
        # Block signals between fork and bookkeeping: one would miss the new worker, or run our handler in it.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            if self._stopping:
                return
            hear, tell = os.pipe()
            os.set_blocking(hear, False)
            os.set_blocking(tell, False)
            pid = os.fork()
            if not pid:
                self._become(number, Parent(tell, self._systemd.sign_every, replaced), hear)
            os.close(tell)
            worker = _Worker(number, hear)
            self._workers[pid] = worker
            self._selector.register(hear, selectors.EVENT_READ, worker)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _become(self, number: int, parent: Parent, hear: int) -> NoReturn:
        """Be a worker."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._selector.close()
        for descriptor in (self._held, self._wake, self._woken, hear, *(each.pipe for each in self._workers.values())):
            os.close(descriptor)
        _run(number, self._work, self._life, parent)

    def _listen(self) -> None:
        """Wait for a signal, a worker's word, or the next time at which something is to be done."""
        now = time.monotonic()
        waits = [self._systemd.sign_every] if self._systemd.sign_every else []
        waits += [max(0.0, due - now) for due in self._due.values()]
        for key, _ in self._selector.select(min(waits) if waits else None):
            with suppress(BlockingIOError):
                said = os.read(key.fd, 4096)
                if key.data is None:
                    continue
                if said:
                    key.data.heard = time.monotonic()
                    key.data.ready = key.data.ready or READY in said
                else:  # it has ended
                    self._selector.unregister(key.fd)

    def _reap(self) -> None:
        """Look after the workers that have ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            worker = self._workers.pop(pid, None)
            if worker is None:
                continue  # as PID 1 of a container we inherit orphans; a shell that `exec`s us may leave children
            with suppress(KeyError):
                self._selector.unregister(worker.pipe)
            os.close(worker.pipe)
            self._ended(worker.number)
            if self._stopping:
                self._left(worker.number)
                continue
            code = os.waitstatus_to_exitcode(status)
            log.error("worker %d ended with code %d; starting another", worker.number, code)
            self._due[worker.number] = time.monotonic() + WORKER_RESTART_DELAY

    def _start_due(self) -> None:
        for number, due in list(self._due.items()):
            if self._stopping:
                self._left(number)
            elif due <= time.monotonic():
                self._start(number, replaced=True)
            else:
                continue
            del self._due[number]

    def _report(self) -> None:
        """Tell systemd what it waits for, and end workers that stand still."""
        workers = self._workers.values()
        if not self._ready and not self._due and all(worker.ready for worker in workers):
            self._ready = True
            self._systemd.ready()
        if self._patience is None:
            return
        now = time.monotonic()
        if now - self._looked > self._patience:  # this process stood still itself, as the whole machine may have
            for worker in workers:
                worker.heard = now
        self._looked = now
        silent = {pid: worker for pid, worker in self._workers.items() if now - worker.heard > self._patience}
        if not silent:
            self._systemd.alive()
        for pid, worker in silent.items():
            if worker.ready:
                log.error("worker %d has given no sign of life for %g s; killing it", worker.number, self._patience)
                _send(pid, signal.SIGKILL)


def _run(number: int, work: Work, life: int, parent: Parent) -> NoReturn:
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
        work(number, parent)
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
