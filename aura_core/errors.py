"""The stable error codes of the wire, their meaning for a user, and the exceptions that carry them."""

from typing import Literal

import msgspec

Code = Literal[
    "unavailable",
    "timeout",
    "rate_limited",
    "interrupted",
    "auth",
    "quota_exceeded",
    "model_not_found",
    "context_length",
    "content_filtered",
    "bad_request",
    "bad_response",
    "llm_error",
    "server_shutdown",
]


class CodeInfo(msgspec.Struct, frozen=True):
    """`retry`: whether a user may try the same again. `status`: the HTTP status where the answer is not a stream."""

    retry: bool
    status: int
    title: str


CODES: dict[str, CodeInfo] = {
    "unavailable": CodeInfo(True, 503, "The provider cannot be reached"),
    "timeout": CodeInfo(True, 504, "The provider took too long"),
    "rate_limited": CodeInfo(True, 429, "The provider's rate limit is reached"),
    "interrupted": CodeInfo(True, 502, "The answer was cut off"),
    "auth": CodeInfo(False, 502, "The provider refused the credentials"),
    "quota_exceeded": CodeInfo(False, 429, "The provider's quota is used up"),
    "model_not_found": CodeInfo(False, 502, "The provider does not have the model"),
    "context_length": CodeInfo(False, 422, "The prompt is too long for the model"),
    "content_filtered": CodeInfo(False, 422, "The provider refused the content"),
    "bad_request": CodeInfo(False, 422, "The provider refused the request"),
    "bad_response": CodeInfo(False, 502, "The provider sent an invalid response"),
    "llm_error": CodeInfo(False, 502, "The provider failed"),
    "server_shutdown": CodeInfo(True, 503, "The server is shutting down"),
}


class ProviderError(Exception):
    """A plugin raises this when it cannot answer; it becomes the stream's `error` event.

    `message` says what happened and what to do. It reaches the user, so it holds neither a key nor HTML nor text in
    which the upstream may have put a key. `code` is one of CODES; an unknown one becomes `llm_error`. `retry_after` is
    the waiting time that the upstream asked for, in seconds.

    The other fields are for the log and never reach a client: the upstream's HTTP status (0 if there was none), the id
    that it gave the request, and its own words, which the core redacts and cuts.
    """

    # Of a subclass, too, whose __init__ is its own, as it was enough for 0.1.
    upstream_status = 0
    upstream_id = ""
    upstream_words = ""
    cause = ""
    """Set by the core: the exception underneath, for the log."""

    def __init__(
        self,
        message: str,
        code: Code = "llm_error",
        retry_after: float | None = None,
        *,
        upstream_status: int = 0,
        upstream_id: str = "",
        upstream_words: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code: Code = code
        self.retry_after = retry_after
        self.upstream_status = upstream_status
        self.upstream_id = upstream_id
        self.upstream_words = upstream_words


def words_of(exc: BaseException) -> str:
    """An exception in one line: `ValueError: why`. This never raises, whatever the exception's class does."""
    name: str = type.__dict__["__name__"].__get__(type(exc))  # a metaclass may define its own __name__
    try:
        return " ".join(f"{name}: {exc}".split())
    except BaseException:  # __str__ may raise anything
        return f"{name}: it cannot say why"


class ConfigError(Exception):
    """Something that a person wrote is invalid. `str()` is one line with the place, the fault and the remedy."""
