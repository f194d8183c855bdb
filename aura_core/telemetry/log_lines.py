"""How a log line is written: as text for a terminal, as JSON for everything else; never with a secret."""

import json
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from aura_core.answer.stream_record import Attempt
from aura_core.telemetry.redact import forms, hide
from aura_core.text import printable, printable_json, printable_lines

Secrets = Callable[[], list[str]]


class TextFormatter(logging.Formatter):
    """`12:00:01.123456 INFO aura: …`; further lines, as of a traceback, are indented."""

    def __init__(self, secrets: Secrets = list) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._secrets = secrets

    def formatTime(self, record: logging.LogRecord, _format: str | None = None) -> str:  # noqa: N802  # logging's name
        return datetime.fromtimestamp(record.created).strftime("%H:%M:%S.%f")  # the reader's own clock

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's own name
        line = super().formatMessage(record)
        struct = getattr(record, "fields", None)
        if struct is None:
            return line
        fields = msgspec.structs.asdict(struct)
        if "attempts" in fields:
            fields["attempts"] = _several(fields["attempts"])
        said = [f"{key}={_word(value)}" for key, value in fields.items() if value not in (None, "")]
        return " ".join([line, *said])

    def format(self, record: logging.LogRecord) -> str:
        # What a plugin or an upstream says may hold escape sequences, or lines that look like ours.
        # Without those first: a key that one of them cuts in two would else be whole again afterwards.
        return hide(printable_lines(super().format(record)), self._secrets()).replace("\n", "\n    ")


class _Head(msgspec.Struct):
    time: str
    level: str
    logger: str
    message: str
    exception: str | msgspec.UnsetType = msgspec.UNSET


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, secrets: Secrets = list) -> None:
        super().__init__()
        self._secrets = secrets
        self._encode = msgspec.json.Encoder().encode

    def format(self, record: logging.LogRecord) -> str:
        return self.lines([record])[0].decode()

    def lines(self, records: Sequence[logging.LogRecord]) -> list[bytes]:
        """The lines of many records, which are searched for secrets together.

        A line is cheap where no secret is in any of them, as nearly always: messages are redacted before.
        """
        secrets = self._secrets()
        made = [self._line(record) for record in records]
        whole = b"\n".join(line for line in made if line is not None)
        hidden = any(form in whole for form in _encoded(tuple(secrets)))
        return [
            self._carefully(record, secrets) if line is None or hidden else _visible(line)
            for record, line in zip(records, made, strict=True)
        ]

    def _line(self, record: logging.LogRecord) -> bytes | None:
        """The line with whatever secrets are in it; None if a text in it is not valid Unicode."""
        try:
            line = self._encode(self._head(record))
            struct = getattr(record, "fields", None)
            return line if struct is None else line[:-1] + b"," + self._encode(struct)[1:]
        except UnicodeEncodeError:  # half a surrogate pair, which an exception's text may hold
            return None

    def _head(self, record: logging.LogRecord) -> _Head:
        exception = self.formatException(record.exc_info) if record.exc_info else msgspec.UNSET
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
        return _Head(time, record.levelname.lower(), record.name, record.getMessage(), exception)

    def _carefully(self, record: logging.LogRecord, secrets: list[str]) -> bytes:
        fields: dict[str, Any] = msgspec.to_builtins(self._head(record))
        if (struct := getattr(record, "fields", None)) is not None:
            fields |= msgspec.to_builtins(struct)
        # Value by value: in JSON a quote in a secret is written in another way, and a key is not to be changed.
        text = json.dumps(_hidden(fields, secrets), default=str, ensure_ascii=False, separators=(",", ":"))
        return printable_json(text).encode()


def _visible(line: bytes) -> bytes:
    """The line with control characters and invisible ones escaped; msgspec escapes those below the space."""
    return line if line.isascii() and b"\x7f" not in line else printable_json(line.decode()).encode()


@lru_cache(maxsize=16)
def _encoded(secrets: tuple[str, ...]) -> list[bytes]:
    """All forms of the secrets as they are written in JSON."""
    found = []
    for form in forms(secrets):
        try:
            found.append(msgspec.json.encode(form)[1:-1])
        except UnicodeEncodeError:  # then so is every text that holds it, and it is looked for value by value
            continue
    return found


def _hidden(value: Any, secrets: list[str]) -> Any:
    """The value with every secret in it hidden."""
    if isinstance(value, str):
        return hide(value, secrets)
    if isinstance(value, dict):
        return {key: _hidden(inner, secrets) for key, inner in value.items()}
    return [_hidden(inner, secrets) for inner in value] if isinstance(value, list) else value


def _several(attempts: list[Attempt]) -> str | None:
    """The attempts of an answer in one line, where it took more than one or the only one failed."""
    if len(attempts) == 1 and attempts[0].outcome != "error":
        return None
    return ", ".join(map(_told, attempts))


def _told(attempt: Attempt) -> str:
    at = f" at {attempt.address}" if attempt.address else ""
    said = f"{attempt.provider} {attempt.model or '-'} {attempt.code or attempt.outcome} {attempt.ms:g} ms{at}"
    more = {
        "status": attempt.upstream_status,
        "request": attempt.upstream_id,
        "words": attempt.upstream_words,
        "cause": attempt.cause,
    }
    notes = [attempt.error, *(f"{name} {value}" for name, value in more.items() if value)]
    return f"{said} ({'; '.join(filter(None, notes))})" if any(notes) else said


def _word(value: Any) -> str:
    """A field of a text line: what could be taken for several of them stands in quotes."""
    text = printable(str(value))
    return json.dumps(text, ensure_ascii=False) if isinstance(value, str) and set(' "=') & set(text) else text
