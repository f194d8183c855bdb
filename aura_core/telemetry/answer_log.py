"""The log line of an answer that is over: a warning if it failed."""

import logging

from aura_core.answer.stream_record import StreamRecord
from aura_core.telemetry.records import say

log = logging.getLogger("aura")


def log_answer(record: StreamRecord, ended: float) -> None:
    """Write the line. Only a server does: a command that asks in its own process shows the answer itself."""
    level = logging.WARNING if record.outcome == "error" else logging.INFO
    say(log, level, "stream", record, ended)
