"""Turn a server's failure into a ProviderError: a code, the server's own words, and what to do."""

from collections.abc import Callable, Mapping

import msgspec

from aura_core.errors import Code, ProviderError
from aura_core.limits import UPSTREAM_ID_LENGTH, WORDS_LENGTH
from aura_core.streams.causes import IN_STREAM, cause_of
from aura_core.streams.reason import Reason, read_reason
from aura_core.streams.scrub import Scrub
from aura_core.streams.waiting import retry_after


class Endpoint(msgspec.Struct, frozen=True):
    """The texts that messages about a server contain: its name, and what to check when it refuses or is unreachable.

    `model` and `context` say what to do about a missing model (`{model}` stands for its name) and a prompt that is too
    long; `remedy` returns what to do about a request that was refused for a reason, "" if nothing is known.
    """

    name: str
    scrub: Scrub
    access: str
    address: str
    protocol: str
    model: str = ""
    context: str = "shorten it or lower max_tokens"
    remedy: Callable[[Reason], str] | None = None


def status_error(server: Endpoint, status: int, headers: Mapping[str, str], body: bytes, model: str) -> ProviderError:
    """A response whose status is not 2xx, as an error; `body` may be its beginning. HTML is never shown."""
    if 300 <= status < 400:
        return ProviderError(
            f"{server.name} redirects to another address; name that one.", "bad_response", upstream_status=status
        )
    return failure(server, read_reason(body), model, status, retry_after(headers), upstream_id(headers))


def failure(
    server: Endpoint,
    reason: Reason | None,
    model: str,
    status: int = IN_STREAM,
    wait: float | None = None,
    request_id: str = "",
) -> ProviderError:
    """A failure with its own status, or one inside the stream. `wait` is the waiting time of the headers, in seconds,
    and `request_id` the server's id of the request, for the log."""
    reason = reason or Reason()
    wait = reason.wait if wait is None else wait
    cause = cause_of(msgspec.structs.replace(reason, wait=wait), model, status)
    said = _cut(server.scrub(reason.words))
    message = _MESSAGES[cause.remedy or cause.code](server, said, model, status or reason.status)
    if cause.code == "bad_request" and not cause.remedy and server.remedy is not None:
        message = f"{message} {server.remedy(reason)}".rstrip()
    return ProviderError(
        message,
        cause.code,
        wait if cause.code in _WAITING else None,
        upstream_status=status or reason.status,
        upstream_id=request_id,
        upstream_words=server.scrub(" ".join((reason.message, *(f"({code})" for code in reason.codes)))),
    )


_REQUEST_IDS = ("x-request-id", "request-id", "apim-request-id", "x-ms-request-id", "x-amzn-requestid")


def upstream_id(headers: Mapping[str, str]) -> str:
    """The id that a server gave the request, from the usual headers of its response; "" if there is none."""
    for name in _REQUEST_IDS:
        if name in headers:
            found = headers[name]
            return found[:UPSTREAM_ID_LENGTH] if found.isprintable() else ""
    return ""


def bad_response(server: Endpoint, said: bytes = b"", begun: bool = False) -> ProviderError:
    """The error for a response that is not in the protocol; a short text in it is quoted. Once the answer has `begun`,
    the address is right and is not blamed.
    """
    reason = read_reason(said) if said else None
    what = f" ({_cut(server.scrub(reason.message))})" if reason is not None and reason.message else ""
    if begun:
        return ProviderError(f"{server.name} sent something else than {server.protocol}{what}.", "bad_response")
    return ProviderError(f"{server.name} does not answer in {server.protocol}{what}; {server.address}", "bad_response")


_WAITING: set[Code] = {"unavailable", "rate_limited", "timeout", "llm_error"}
_MESSAGES: dict[str, Callable[[Endpoint, str, str, int], str]] = {
    "content_filtered": lambda server, said, model, status: (
        f"{server.name}'s content filter refused the request{_after(said)}."
    ),
    "context_length": lambda server, said, model, status: (
        f"The conversation is longer than the context of {model!r}{_after(said)}; {server.context}."
    ),
    "quota_exceeded": lambda server, said, model, status: (
        f"{server.name} says that the account has no credit left, or is at its limit{_after(said)}."
    ),
    "model_not_found": lambda server, said, model, status: (
        f"{server.name} has no model {model!r} for this account{_after(said)}."
        f" {server.model.replace('{model}', model)}".rstrip()
    ),
    "auth": lambda server, said, model, status: f"{server.name} refused access{_after(said)}; {server.access}.",
    "timeout": lambda server, said, model, status: f"{server.name} waited too long for the request{_after(said)}.",
    "rate_limited": lambda server, said, model, status: f"{server.name} limits the rate of requests{_after(said)}.",
    "overloaded": lambda server, said, model, status: (
        f"{server.name} is overloaded{_after(said) or f' (status {status})'}{_again(said)}."
    ),
    "loading": lambda server, said, model, status: f"{server.name} is loading the model{_after(said)}{_again(said)}.",
    "internal": lambda server, said, model, status: (
        f"{server.name} failed{_after(said) or f' (status {status})'}; another attempt may succeed."
    ),
    "unavailable": lambda server, said, model, status: (
        f"{server.name} cannot be reached by the gateway in front of it"
        f"{_after(said) or f' (status {status})'}; is it running?"
    ),
    "address": lambda server, said, model, status: (
        f"{server.name} knows no such address ({said or f'status {status}'}); {server.address}"
    ),
    "bad_request": lambda server, said, model, status: f"{server.name} refused the request: {_or(said, status)}.",
    "llm_error": lambda server, said, model, status: f"{server.name} failed: {_or(said, status)}.",
}


def _cut(said: str) -> str:
    return said if len(said) <= WORDS_LENGTH else said[: WORDS_LENGTH - 1] + "…"


def _after(said: str) -> str:
    return f": {said.rstrip(' .:;')}" if said else ""


def _again(said: str) -> str:
    """What to do, unless the server says it itself."""
    return "" if "try again" in said.lower() else "; try again in a moment"


def _or(said: str, status: int) -> str:
    return said.rstrip(" .") or (f"status {status}" if status else "it did not say why")
