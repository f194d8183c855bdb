"""Collect log lines."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Records(logging.Handler):
    """Keeps log records as text."""

    def __init__(self, level: int = logging.INFO) -> None:
        super().__init__(level)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(Exception):
            self.texts.append(logging.Formatter("%(name)s: %(message)s").format(record))


@contextmanager
def collected(logger: str | None = None, level: int = logging.WARNING) -> Iterator[list[str]]:
    """The texts that a logger writes from this level on, even if that level is usually disabled."""
    records, target = Records(level), logging.getLogger(logger)
    before = target.level
    if not target.isEnabledFor(level):
        target.setLevel(level)
    target.addHandler(records)
    try:
        yield records.texts
    finally:
        target.removeHandler(records)
        target.setLevel(before)
