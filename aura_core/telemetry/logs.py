"""Where Aura's log lines go: text for a terminal, JSON for everything else; never a secret, never a prompt."""

import json
import logging
import os
import queue
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec

from aura_core.answer.stream_record import Attempt, StreamRecord
from aura_core.limits import LOG_FLUSH, LOG_QUEUE
from aura_core.telemetry.redact import hide
from aura_core.text import printable, printable_json, printable_lines

Secrets = Callable[[], list[str]]


class TextFormatter(logging.Formatter):
    """`12:00:01 INFO aura: …`; further lines, as of a traceback, are indented."""

    def __init__(self, secrets: Secrets = list) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S")
        self._secrets = secrets

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's own name
        line = super().formatMessage(record)
        stream: StreamRecord | None = getattr(record, "stream", None)
        if stream is None:
            return line
        fields = msgspec.structs.asdict(stream) | {"attempts": _several(stream.attempts)}
        return f"{line} " + " ".join(f"{key}={_word(value)}" for key, value in fields.items() if value is not None)

    def format(self, record: logging.LogRecord) -> str:
        # What a plugin or an upstream says may hold escape sequences, or lines that look like ours.
        # Without those first: a key that one of them cuts in two would else be whole again afterwards.
        return hide(printable_lines(super().format(record)), self._secrets()).replace("\n", "\n    ")


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, secrets: Secrets = list) -> None:
        super().__init__()
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        stream: StreamRecord | None = getattr(record, "stream", None)
        if stream is not None:
            fields |= msgspec.to_builtins(stream)
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        # Now, as in JSON a quote in a secret is written in another way.
        secrets = self._secrets()
        fields = _hidden(fields, secrets)
        # Not msgspec: it raises on half a surrogate pair, which an exception's text may hold.
        return printable_json(json.dumps(fields, default=str, ensure_ascii=False))


def _hidden(value: Any, secrets: list[str]) -> Any:
    """The value with every secret in it hidden."""
    if isinstance(value, str):
        return hide(value, secrets)
    if isinstance(value, dict):
        return {key: _hidden(inner, secrets) for key, inner in value.items()}
    return [_hidden(inner, secrets) for inner in value] if isinstance(value, list) else value


def _several(attempts: list[Attempt]) -> str | None:
    """The attempts of an answer in one line, where it took more than one."""
    if len(attempts) < 2:
        return None
    return ", ".join(
        f"{attempt.provider} {attempt.model or '-'} {attempt.code or attempt.outcome} {attempt.ms:g} ms"
        for attempt in attempts
    )


def _word(value: Any) -> str:
    """A field of a text line: what could be taken for several of them stands in quotes."""
    text = printable(str(value))
    return json.dumps(text, ensure_ascii=False) if isinstance(value, str) and set(' "=') & set(text) else text


class Background(logging.Handler):
    """Writes records in a thread of its own.

    Who reads the log may stop reading (a full pipe, Ctrl-S in a terminal); the answers must go on. Records that find
    the queue full are dropped, and their number is logged.
    """

    def __init__(self, target: logging.Handler, descriptor: int, encoding: str = "utf-8") -> None:
        """`target` formats the records, `descriptor` is where they go, in this encoding."""
        super().__init__()
        self._target = target
        self._descriptor = descriptor
        self._encoding = encoding
        # Not queue.Queue: its lock and condition, in Python, cost an answer more than all else of its log line.
        self._queue: queue.SimpleQueue[logging.LogRecord | None] = queue.SimpleQueue()
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="aura-log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        if self._queue.qsize() < LOG_QUEUE:
            self._queue.put(record)
        else:
            self._dropped += 1

    def _run(self) -> None:
        while (record := self._queue.get()) is not None:
            self._write(record)
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                text = f"log lines dropped, because nobody read them: {dropped}"
                self._write(logging.LogRecord("aura", logging.WARNING, "", 0, text, None, None))

    def _write(self, record: logging.LogRecord) -> None:
        # Straight to the descriptor: a write that blocks must hold no lock that the process needs in order to end.
        try:
            line = self._target.format(record)
        except Exception:  # `log.warning("%d", "x")` of a plugin or a library
            line = f"a log line of {record.name} could not be written"
            line = self._target.format(logging.LogRecord("aura", logging.WARNING, "", 0, line, None, None))
        # As the terminal has it: the second byte of a letter in UTF-8 may be a control character elsewhere.
        data = f"{line}\n".encode(self._encoding, "backslashreplace")
        with suppress(OSError):  # the reader has left; the answers go on
            while data:
                data = data[os.write(self._descriptor, data) :]

    def close(self) -> None:
        """Write what is left; `logging.shutdown` calls it, too."""
        self._queue.put(None)
        self._thread.join(LOG_FLUSH)
        super().close()


def configure(secrets: Secrets, level: int = logging.INFO, background: bool = False) -> None:
    """Send Aura's lines from `level` on, and others' warnings, to stderr; libraries that log requests stay quiet."""
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextFormatter(secrets) if sys.stderr.isatty() else JsonFormatter(secrets))
    root = logging.getLogger()
    encoding = sys.stderr.encoding if sys.stderr.isatty() else "utf-8"
    root.handlers[:] = [Background(handler, sys.stderr.fileno(), encoding) if background else handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("aura").setLevel(level)
