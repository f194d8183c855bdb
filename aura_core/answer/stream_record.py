"""What is known of an answer when it is over: for the log and the metrics."""

import msgspec


class Attempt(msgspec.Struct, frozen=True, omit_defaults=True):
    """One attempt at one provider. `ms` is how long it took, `code` why it failed or how its answer ended.

    `upstream_status`, `upstream_id` and `upstream_words` are what the provider's server said of a failure.
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
    """One answer, when it is over. Times are in milliseconds; `events` are the text events that were made of it.

    `provider` and `model` are who answered; where nobody did, who was asked first. `attempts` are all that were made, in
    their order. `detail` is what the provider said about the end, `upstream_id` its id of the request.
    """

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
    detail: str | None = None
    upstream_id: str | None = None
    attempts: list[Attempt] = []
