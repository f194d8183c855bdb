"""What is known of an answer when it is over: for the log and the metrics."""

import msgspec


class StreamRecord(msgspec.Struct, frozen=True):
    """One answer, when it is over. Times are in milliseconds; `events` are the text events that were made of it."""

    request_id: str
    agent: str
    provider: str
    model: str | None
    outcome: str
    code: str | None
    first_token_ms: float | None
    duration_ms: float
    events: int
    prompt_tokens: int
    completion_tokens: int
