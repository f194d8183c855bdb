"""Where Aura's log lines go: to stderr, in batches that no answer waits for."""

import logging
import os
import sys
import threading
from collections import deque
from contextlib import suppress

from aura_core.limits import LOG_FLUSH, LOG_INTERVAL, LOG_QUEUE, LOG_WRITE
from aura_core.telemetry.log_lines import JsonFormatter, Secrets, TextFormatter


class Background(logging.Handler):
    """Writes records in a thread of its own, all that came within `LOG_INTERVAL` together.

    Who reads the log may stop reading (a full pipe, Ctrl-S in a terminal); the answers must go on. Records that find
    the queue full are dropped, and their number is logged; `dropped` is all of them.
    """

    def __init__(self, formatter: TextFormatter | JsonFormatter, descriptor: int, encoding: str = "utf-8") -> None:
        """`descriptor` is where the lines go, in this encoding if they are text; JSON is UTF-8."""
        super().__init__()
        self.dropped = 0
        self._lines = formatter
        self._descriptor = descriptor
        self._encoding = encoding
        # No lock: `logging.shutdown` holds the handler's while it waits for the thread.
        self._waiting = deque[logging.LogRecord]()
        self._told = 0  # of the dropped ones
        self._asleep = False  # whether the thread waits for `_some`
        self._some = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="aura-log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        if len(self._waiting) >= LOG_QUEUE:
            self.dropped += 1
            return
        self._waiting.append(record)
        if self._asleep:  # waking the thread costs more than all else here
            self._some.set()

    def _run(self) -> None:
        closing = busy = False
        while not closing:
            if not busy:  # else the next records are likely: two wake-ups for each batch cost more than its lines
                self._sleep()
            closing = self._closing.wait(LOG_INTERVAL)
            busy = bool(self._waiting)
            while self._waiting:
                self._write_batch()

    def _sleep(self) -> None:
        """Wait for a record."""
        self._asleep = True
        if not self._waiting:  # one that comes from here on finds that the thread sleeps
            self._some.wait()
        self._asleep = False
        self._some.clear()

    def _write_batch(self) -> None:
        batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if untold := self.dropped - self._told:
            self._told += untold
            batch.append(_own(f"log lines dropped, because nobody read them: {untold}"))
        for piece in _pieces(self._encoded(batch)):
            self._write(piece)

    def _encoded(self, batch: list[logging.LogRecord]) -> list[bytes]:
        try:
            if isinstance(self._lines, JsonFormatter):
                return self._lines.lines(batch)
            # As the terminal has it: the second byte of a letter in UTF-8 may be a control character elsewhere.
            return [self._lines.format(record).encode(self._encoding, "backslashreplace") for record in batch]
        except Exception:  # `log.warning("%d", "x")` of a plugin or a library
            if len(batch) > 1:
                return [line for record in batch for line in self._encoded([record])]
            said = _own(f"a log line of {batch[0].name} could not be written")
            return [self._lines.format(said).encode(self._encoding, "backslashreplace")]

    def _write(self, data: bytes) -> None:
        # Straight to the descriptor: a write that blocks must hold no lock that the process needs in order to end.
        with suppress(OSError):  # the reader has left; the answers go on
            while data:
                data = data[os.write(self._descriptor, data) :]

    def close(self) -> None:
        """Write what is left; `logging.shutdown` calls it, too."""
        self._closing.set()
        self._some.set()
        self._thread.join(LOG_FLUSH)
        super().close()


def _own(text: str) -> logging.LogRecord:
    return logging.LogRecord("aura", logging.WARNING, "", 0, text, None, None)


def _pieces(lines: list[bytes]) -> list[bytes]:
    """The lines joined into pieces that are written at once: a pipe takes up to `LOG_WRITE` bytes whole, so that lines
    of several workers do not mix."""
    pieces: list[bytes] = []
    size = LOG_WRITE
    for line in lines:
        size += len(line) + 1
        if size > LOG_WRITE:
            pieces.append(b"")
            size = len(line) + 1
        pieces[-1] += line + b"\n"
    return pieces


def configure(secrets: Secrets, level: int = logging.INFO, form: str = "auto", background: bool = False) -> None:
    """Send Aura's lines from `level` on, and others' warnings, to stderr; libraries that log requests stay quiet.

    `form` is `text`, `json`, or `auto`: text on a terminal, else JSON.
    """
    terminal = sys.stderr.isatty()
    formatter = TextFormatter(secrets) if is_text(form) else JsonFormatter(secrets)
    if background:
        handler: logging.Handler = Background(
            formatter, sys.stderr.fileno(), sys.stderr.encoding if terminal else "utf-8"
        )
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(formatter)
    logging.logProcesses = logging.logMultiprocessing = False  # no line of ours names them, and each record looks
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))
    logging.getLogger("aura").setLevel(level)


def is_text(form: str) -> bool:
    """Whether the lines are text in this form."""
    return sys.stderr.isatty() if form == "auto" else form == "text"


def lines_dropped() -> int:
    """The log lines of this process that were dropped so far."""
    return sum(each.dropped for each in logging.getLogger().handlers if isinstance(each, Background))
