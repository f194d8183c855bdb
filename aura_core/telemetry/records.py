"""Log records with fields, for lines that each request or answer writes."""

import asyncio
import logging
import threading
import time
from functools import lru_cache
from typing import Any

import msgspec


def say(log: logging.Logger, level: int, message: str, fields: msgspec.Struct, at: float | None = None) -> None:
    """Write a line. `message` is one of a few; all that differs from line to line is in `fields`. `at` is when it
    happened (seconds since 1970), if not now.

    Not `log.log()`: that looks for the caller's line, and makes each record anew, of which little changes.
    """
    if not log.isEnabledFor(level):
        return
    now = time.time() if at is None else at
    same = _same(log.name, level, message, threading.get_ident())
    record = logging.LogRecord.__new__(logging.LogRecord)
    record.__dict__ = same | {
        "created": now,
        "msecs": int((now - int(now)) * 1000) + 0.0,
        "relativeCreated": same["relativeCreated"] + (now - same["created"]) * 1000,
        "fields": fields,
    }
    if "taskName" in same:  # Python 3.12 and later
        record.taskName = _task()
    log.handle(record)


@lru_cache(maxsize=64)
def _same(name: str, level: int, message: str, _thread: int) -> dict[str, Any]:
    """What all records of this thread have in common, with the time of the first."""
    return vars(logging.LogRecord(name, level, "", 0, message, None, None))


def _task() -> str | None:
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs in this thread
        return None
    return None if task is None else task.get_name()
