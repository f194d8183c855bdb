"""Read what a server logs, as an operator does: the lines alone."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aura_core.telemetry.log_lines import JsonFormatter
from aura_core.telemetry.logs import Background


class LogFile:
    """The lines that Aura logs during a test, written as `aura serve` writes them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb")
        self.secrets: list[str] = []
        self._handler = Background(JsonFormatter(lambda: self.secrets), self._file.fileno())
        self._logger = logging.getLogger("aura")
        self._level = self._logger.level

    def start(self) -> None:
        self._logger.addHandler(self._handler)
        self._logger.setLevel(logging.INFO)

    def stop(self) -> None:
        self._logger.removeHandler(self._handler)
        self._logger.setLevel(self._level)
        self._handler.close()
        self._file.close()

    def lines(self) -> list[dict[str, Any]]:
        """All lines so far; the log is complete afterwards, and takes no more."""
        self.stop()
        return [json.loads(line) for line in self._path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def log_file(tmp_path: Path) -> Iterator[LogFile]:
    log = LogFile(tmp_path / "log.jsonl")
    log.start()
    yield log
    log._logger.removeHandler(log._handler)
    log._logger.setLevel(log._level)
