"""Refusals before an answer starts, as RFC 9457 problem details."""

import math

import msgspec
from msgspec import UNSET

from aura_core.errors import CODES
from aura_core.limits import RESTART_AFTER

PROBLEMS: dict[str, tuple[int, str]] = {
    "misdirected_host": (421, "This server does not answer for that host"),
    "forbidden_origin": (403, "This web page may not use this server"),
    "unauthorized": (401, "A bearer token is required"),
    "not_found": (404, "There is no such route"),
    "method_not_allowed": (405, "This method is not allowed here"),
    "unsupported_media_type": (415, "The body must be application/json"),
    "payload_too_large": (413, "The body is too large"),
    "invalid_request": (400, "The request is not valid"),
    "request_timeout": (408, "The request took too long"),
    "headers_too_large": (431, "The headers are too large"),
    "agent_not_found": (404, "There is no such agent"),
    "agent_invalid": (503, "The agent's file is not valid"),
    "provider_not_installed": (503, "The agent's provider is not installed"),
    "provider_misconfigured": (503, "The agent's provider is not configured"),
    "client_limit": (429, "You have as many streams as you may"),
    "too_many_streams": (503, "The server is busy"),
    "server_shutdown": (503, "The server is shutting down"),
    "streaming_not_supported": (400, "This agent cannot stream"),
    "internal_error": (500, "The server failed"),
}


class Problem(Exception):
    """A refusal, or a failed answer on a route without a stream.

    `code` is a code of PROBLEMS, or an error code of an answer. `detail` says what happened and what to do,
    `retry_after` is the number of seconds to wait before a retry, `partial` is the text received before the failure,
    and `field` names the refused part of the body, like `messages[0].content`. `known_as` is the status and title of
    a code that only a newer server knows.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        retry_after: float | None = None,
        partial: str | msgspec.UnsetType = UNSET,
        field: str | None = None,
        *,
        known_as: tuple[int, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.retry_after = RESTART_AFTER if retry_after is None and code == "server_shutdown" else retry_after
        self.partial = partial
        self.field = field
        if known_as is not None:
            self.status, self.title = known_as
        elif code in PROBLEMS:
            self.status, self.title = PROBLEMS[code]
        else:
            self.status, self.title = CODES[code].status, CODES[code].title

    @property
    def of_answer(self) -> bool:
        """Whether this is the failure of an answer that had started, rather than a refusal."""
        return self.partial is not UNSET or self.code not in PROBLEMS

    def headers(self) -> dict[str, str]:
        """The response headers."""
        headers = {"content-type": "application/problem+json"}
        if self.retry_after is not None:
            headers["retry-after"] = str(math.ceil(self.retry_after))
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        return headers

    def body(self, request_id: str) -> bytes:
        """The response body; `instance` contains the request id, as in the header X-Request-Id."""
        return msgspec.json.encode(
            ProblemBody(
                f"urn:aura:problem:{self.code}",
                self.title,
                self.status,
                self.detail,
                f"urn:aura:request:{request_id}",
                self.code,
                self.partial,
            )
        )


class ProblemBody(msgspec.Struct, frozen=True):
    """The body of a refusal. `code`, `type` and `title` are stable; `detail` is for people."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    partial: str | msgspec.UnsetType = UNSET
