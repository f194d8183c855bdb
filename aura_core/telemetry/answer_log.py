"""The log line of an answer that is over: a warning if it failed."""

import logging

from aura_core.answer.stream_record import StreamRecord

log = logging.getLogger("aura")


def log_answer(record: StreamRecord) -> None:
    """Write the line. Only a server does: a command that asks in its own process shows the answer itself."""
    level = logging.WARNING if record.outcome == "error" else logging.INFO
    if log.isEnabledFor(level):
        # Not log.log(): it looks for the caller's line, which costs half of what all else of this line does.
        line = logging.LogRecord(log.name, level, "", 0, "stream", None, None)
        line.fields = record
        log.handle(line)
