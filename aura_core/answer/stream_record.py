"""The figures of an answer that is over, for the log and the metrics."""

import msgspec


class Attempt(msgspec.Struct, frozen=True, omit_defaults=True):
    """One attempt at one provider. `ms` is its duration, `code` the error code or the finish reason.

    `upstream_status`, `upstream_id` and `upstream_words` are the status, request id and text of the provider's server
    for a failure.
    """

    provider: str
    model: str | None
    outcome: str
    code: str | None
    ms: float
    upstream_status: int = 0
    upstream_id: str = ""
    upstream_words: str = ""


class StreamRecord(msgspec.Struct, frozen=True):
    """One answer. Times are in milliseconds; `events` is the number of text events.

    `client` is the name of who asked. `provider` and `model` are those that answered, or if none did, those that were
    asked first. `attempts` are in their order. `detail` is the provider's remark on the end, `upstream_id` its id of the request.
    """

    request_id: str
    client: str
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
    detail: str | None = None
    upstream_id: str | None = None
    attempts: list[Attempt] = []
