"""The figures of an answer that is over, for the log and the metrics."""

import msgspec


class Attempt(msgspec.Struct, frozen=True, omit_defaults=True):
    """One attempt at one provider. `ms` is its duration, `code` the error code or the finish reason; it began
    `after_ms` after the request.

    `address` is where the instance's settings say that its server is. Of a failure, `error` is its message,
    `upstream_status`, `upstream_id` and `upstream_words` are the status, request id and text of the provider's server,
    and `cause` is the exception underneath, such as that of a socket. `first_token_ms` counts from the attempt's start.
    """

    provider: str
    model: str | None
    outcome: str
    code: str | None
    ms: float
    address: str = ""
    error: str = ""
    upstream_status: int = 0
    upstream_id: str = ""
    upstream_words: str = ""
    cause: str = ""
    after_ms: float = 0.0
    first_token_ms: float | None = None


class StreamRecord(msgspec.Struct, frozen=True):
    """One answer. Times are in milliseconds; `events` is the number of text events.

    `client` is the name of who asked, `client_address` from where, and `door` the door's plugin. `provider` and `model`
    are those that answered, or if none did, those that were asked first. `error` is the message that the client got.
    `attempts` are in their order. `detail` is the provider's remark on the end, `upstream_id` its id of the request.
    The cached and the reasoning tokens are parts of the prompt and the completion.
    """

    request_id: str
    client: str
    client_address: str
    door: str
    agent: str
    provider: str
    model: str | None
    outcome: str
    code: str | None
    error: str | None
    first_token_ms: float | None
    duration_ms: float
    events: int
    prompt_tokens: int
    completion_tokens: int
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    detail: str | None = None
    upstream_id: str | None = None
    attempts: list[Attempt] = []


class Asked(msgspec.Struct, frozen=True):
    """Who asked for an answer: the id of the request, the client's name and address, and the door that it came by."""

    request_id: str = "-"
    client: str = ""
    client_address: str = ""
    door: str = ""
