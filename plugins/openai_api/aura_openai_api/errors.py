"""One table from Aura's error codes to OpenAI's: status, type and code, as the clients look for them."""

import math

import msgspec

from aura_core import Problem, Reply

REQUEST, AUTHENTICATION = "invalid_request_error", "authentication_error"
PERMISSION, RATE, SERVER = "permission_error", "rate_limit_error", "server_error"


class OpenAIError(msgspec.Struct, frozen=True):
    """How a code of Aura's is told to a client of OpenAI's. `retry`: whether the same request may succeed later.

    The SDKs send 408, 409, 429 and every 5xx again unless they are told that this is useless.
    """

    status: int
    type: str
    code: str
    retry: bool = False


ERRORS: dict[str, OpenAIError] = {
    # Failures of a provider; in a stream only type and code are seen.
    "unavailable": OpenAIError(503, SERVER, "unavailable", retry=True),
    "timeout": OpenAIError(504, SERVER, "timeout", retry=True),
    "rate_limited": OpenAIError(429, RATE, "rate_limit_exceeded", retry=True),
    "interrupted": OpenAIError(502, SERVER, "interrupted", retry=True),
    "auth": OpenAIError(502, SERVER, "provider_auth"),  # the provider's key, not the client's
    "quota_exceeded": OpenAIError(429, RATE, "insufficient_quota"),
    "model_not_found": OpenAIError(502, SERVER, "provider_model_not_found"),  # the agent is there
    "context_length": OpenAIError(400, REQUEST, "context_length_exceeded"),
    "content_filtered": OpenAIError(400, REQUEST, "content_filter"),
    "bad_request": OpenAIError(400, REQUEST, "bad_request"),
    "bad_response": OpenAIError(502, SERVER, "bad_response"),
    "llm_error": OpenAIError(502, SERVER, "llm_error"),
    "server_shutdown": OpenAIError(503, SERVER, "server_shutdown", retry=True),
    # Refusals before an answer begins.
    "misdirected_host": OpenAIError(421, REQUEST, "misdirected_host"),
    "forbidden_origin": OpenAIError(403, PERMISSION, "forbidden_origin"),
    "unauthorized": OpenAIError(401, AUTHENTICATION, "invalid_api_key"),
    "not_found": OpenAIError(404, REQUEST, "unknown_url"),
    "method_not_allowed": OpenAIError(405, REQUEST, "method_not_allowed"),
    "unsupported_media_type": OpenAIError(415, REQUEST, "unsupported_media_type"),
    "payload_too_large": OpenAIError(413, REQUEST, "payload_too_large"),
    "invalid_request": OpenAIError(400, REQUEST, "invalid_request"),
    "request_timeout": OpenAIError(408, REQUEST, "request_timeout", retry=True),
    "headers_too_large": OpenAIError(431, REQUEST, "headers_too_large"),
    "agent_not_found": OpenAIError(404, REQUEST, "model_not_found"),
    "agent_invalid": OpenAIError(503, SERVER, "agent_invalid"),
    "provider_not_installed": OpenAIError(503, SERVER, "provider_not_installed"),
    "provider_misconfigured": OpenAIError(503, SERVER, "provider_misconfigured"),
    "client_limit": OpenAIError(429, RATE, "rate_limit_exceeded", retry=True),
    "too_many_streams": OpenAIError(503, SERVER, "too_many_streams", retry=True),
    "streaming_not_supported": OpenAIError(400, REQUEST, "streaming_not_supported"),
    "internal_error": OpenAIError(500, SERVER, "internal_error"),
}
UNKNOWN = OpenAIError(502, SERVER, "llm_error")
"""A code that a later core may have."""


class ErrorBody(msgspec.Struct, frozen=True):
    """The envelope of an error, with the parameter that is wrong where one is."""

    message: str
    type: str
    param: str | None
    code: str
    retry_after: float | msgspec.UnsetType = msgspec.UNSET


def envelope(code: str, message: str, param: str | None = None, retry_after: float | None = None) -> bytes:
    """`{"error": …}` as JSON, the same in a refusal's body and in the middle of a stream."""
    known = ERRORS.get(code, UNKNOWN)
    wait = msgspec.UNSET if retry_after is None else retry_after
    return msgspec.json.encode({"error": ErrorBody(message, known.type, param, known.code, wait)})


def refuse(problem: Problem, request_id: str) -> Reply:
    """A refusal, or a whole answer that failed; with the headers that tell the SDKs whether asking again is of use."""
    known = ERRORS.get(problem.code, UNKNOWN)
    param = "model" if problem.code == "agent_not_found" else problem.field
    headers = {}
    if problem.retry_after is not None:
        headers["retry-after-ms"] = str(math.ceil(problem.retry_after * 1000))
    if not known.retry:
        headers["x-should-retry"] = "false"
    body = envelope(problem.code, problem.detail, param, problem.retry_after)
    return Reply(known.status, body, headers=headers)
