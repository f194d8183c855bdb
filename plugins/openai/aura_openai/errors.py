"""What an OpenAI-compatible server says went wrong, as Aura's codes, each with what to do about it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from aura_core import ProviderError
from aura_openai.scrub import Scrub

RETRY_AFTER_LIMIT = 24 * 3600  # a server that says more than a day says nothing

_FILTERED = {"content_filter", "content_policy_violation", "responsibleaipolicyviolation"}
_TOO_LONG = {"context_length_exceeded", "exceed_context_size_error", "string_above_max_length"}
_TOO_LONG_WORDS = ("maximum context length", "context size", "context window", "context length")
_QUOTA = {"insufficient_quota", "credit_balance_exhausted", "billing_hard_limit_reached", "billing_not_active"}
_QUOTA |= {"quota_exceeded", "insufficient_credits"}
_AUTH = {"invalid_api_key", "authentication_error", "permission_error", "invalid_authentication"}
_NO_MODEL = {"model_not_found", "deploymentnotfound"}
_NO_ENDPOINT = "no endpoints found"  # OpenRouter: for this model, or that do what is asked
_RATE = {"rate_limit_exceeded", "rate_limit_error", "slow_down", "too_many_requests", "tokens", "requests"}
_BUSY = {"server_is_overloaded", "overloaded_error", "service_unavailable", "service_unavailable_error"}
_BUSY |= {"unavailable_error", "engine_overloaded"}
_REQUEST = {"invalid_request_error", "unsupported_parameter", "unsupported_value", "badrequesterror"}


class Server(msgspec.Struct, frozen=True):
    """What messages say about a server: its name, and what to check when it refuses, or is not there."""

    name: str
    scrub: Scrub
    access: str
    address: str
    model: str = ""


class Fault(msgspec.Struct, frozen=True):
    """An `error` object in words that can be compared; servers leave out what they like."""

    words: frozenset[str]
    message: str
    param: str

    @classmethod
    def of(cls, error: Any) -> "Fault":
        """Read what stands under `error`: an object of any shape, or a bare text."""
        if not isinstance(error, dict):
            return cls(frozenset(), error if isinstance(error, str) else "", "")
        inner = error.get("innererror")
        words = [error.get("code"), error.get("type"), inner.get("code") if isinstance(inner, dict) else None]
        more = error.get("metadata")
        if isinstance(more, dict) and ("reasons" in more or "flagged_input" in more):  # OpenRouter's moderation
            words.append("content_filter")
        message, param = error.get("message"), error.get("param")
        return cls(
            frozenset(str(word).lower() for word in words if isinstance(word, (str, int))),
            message if isinstance(message, str) else "",
            param if isinstance(param, str) else "",
        )

    def status(self) -> int:
        """The HTTP status that stands in `code`, as many servers do in mid-stream, or 0."""
        codes = (int(word) for word in self.words if len(word) == 3 and word.isdecimal())
        return next((code for code in codes if 400 <= code < 600), 0)


def status_error(server: Server, status: int, headers: Mapping[str, str], body: bytes, model: str) -> ProviderError:
    """A status other than 2xx. Nothing of what is no JSON (a proxy's page) is shown."""
    if 300 <= status < 400:
        return ProviderError(f"{server.name} redirects to another address; name that one.", "bad_response")
    return failure(server, Fault.of(error_of(body)), model, status, retry_after(headers))


def failure(server: Server, fault: Fault, model: str, status: int = 0, wait: float | None = None) -> ProviderError:
    """An error with a status of its own, or one in mid-stream (status 0)."""
    status = status or fault.status()
    words, lower = fault.words, fault.message.lower()
    if words & _FILTERED or (status == 403 and "input was flagged" in lower):
        return ProviderError(f"{server.name}'s content filter refused the request.", "content_filtered")
    if status != 429 and (words & _TOO_LONG or any(part in lower for part in _TOO_LONG_WORDS)):
        return ProviderError(
            f"The conversation is longer than the context of {model!r}; shorten it or lower max_tokens.",
            "context_length",
        )
    if words & _QUOTA or status == 402:
        return ProviderError(
            f"{server.name} says that the account has no credit left, or is at its limit.", "quota_exceeded"
        )
    if words & _NO_MODEL or _no_model(status, lower):
        return ProviderError(
            f"{server.name} has no model {model!r} for this account. {server.model}", "model_not_found"
        )
    if status in (401, 403) or words & _AUTH or ("api key" in lower and status in (0, 400)):
        # Never the server's own words: they may hold a part of the key, or a sign-in address.
        return ProviderError(f"{server.name} refused access; {server.access}.", "auth")
    if status == 408:
        return ProviderError(f"{server.name} waited too long for the request.", "timeout", wait)
    if status == 429 or (not status and words & _RATE):
        return ProviderError(f"{server.name} limits the rate of requests.", "rate_limited", wait)
    if status in (502, 503, 504, 529) or words & _BUSY:
        said = f": {text}" if (text := server.scrub(fault.message)) else f" (status {status})"
        return ProviderError(f"{server.name} is busy or not reachable{said}", "unavailable", wait)
    said = server.scrub(fault.message) or (f"status {status}" if status else "it did not say why")
    if (
        status in (404, 405) and _NO_ENDPOINT not in lower
    ) or "unexpected endpoint" in lower:  # LM Studio says this with status 200
        return ProviderError(f"{server.name} knows no such address ({said}); {server.address}", "bad_request")
    if 400 <= status < 500 or (not status and words & _REQUEST):
        return ProviderError(f"{server.name} refused the request: {said}{_remedy(fault)}", "bad_request")
    return ProviderError(f"{server.name} failed: {said}", "llm_error", wait)


def error_of(body: bytes) -> Any:
    """What went wrong, as far as a body says it in JSON; None where it does not."""
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(decoded, dict):
        return None
    if decoded.get("error") is not None:
        return decoded["error"]
    # Azure's gateway and old vLLM say it at the top, FastAPI's servers in `detail`.
    return decoded if "message" in decoded else decoded.get("detail")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait: `retry-after-ms`, or `retry-after` as seconds or as a date (RFC 9110, section 10.2.3)."""
    seconds = _number(headers.get("retry-after-ms"))
    if seconds is not None:
        seconds /= 1000
    else:
        text = headers.get("retry-after")
        seconds = _number(text)
        if seconds is None and text:
            try:
                when = parsedate_to_datetime(text)
                seconds = max(0.0, (when - datetime.now(UTC)).total_seconds())
            except (ValueError, TypeError, OverflowError):
                return None
    return seconds if seconds is not None and 0 <= seconds <= RETRY_AFTER_LIMIT else None


def _no_model(status: int, lower: str) -> bool:
    if f"{_NO_ENDPOINT} for " in lower:
        return True
    missing = ("not found", "does not exist", "not a valid model")
    return (status == 404 or (status == 400 and "not a valid model" in lower)) and (
        "model" in lower and any(part in lower for part in missing)
    )


def _remedy(fault: Fault) -> str:
    if fault.param == "max_tokens" or "'max_completion_tokens' instead" in fault.message:
        return ' Set max_tokens_parameter = "max_completion_tokens" in the provider\'s table.'
    if fault.param == "max_completion_tokens":
        return ' Set max_tokens_parameter = "max_tokens" in the provider\'s table.'
    if fault.param.startswith("stream_options") or "stream_options" in fault.message:
        return " Set include_usage = false in the provider's table."
    return ""


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def bad_response(server: Server) -> ProviderError:
    """What answers there does not speak the protocol."""
    return ProviderError(f"{server.name} does not answer in OpenAI's protocol; {server.address}", "bad_response")
