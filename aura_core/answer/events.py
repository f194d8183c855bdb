"""The events of an answer as values (token, reasoning, asking, done, error), and a provider's finish reasons."""

import logging

import msgspec

from aura_core.answer import counts
from aura_core.door import Encoder, End, Failure
from aura_core.errors import ProviderError
from aura_core.limits import UNKNOWN_WORDS

log = logging.getLogger("aura.relay")


class TokenEvent(msgspec.Struct, frozen=True, gc=False, tag="token", tag_field="event"):
    """Some text of the answer; never empty."""

    content: str


class ReasoningEvent(msgspec.Struct, frozen=True, gc=False, tag="reasoning", tag_field="event"):
    """Some of a thinking model's reasoning; never empty."""

    content: str


class AskingEvent(msgspec.Struct, frozen=True, gc=False, tag="asking", tag_field="event"):
    """The next candidate is asked, as the one before it does not answer; on the wire a comment."""

    provider: str


class DoneEvent(msgspec.Struct, frozen=True, gc=False, rename="camel", tag="done", tag_field="event"):
    """The answer is whole. `total_tokens` is prompt plus completion, 0 where the provider counts nothing."""

    total_tokens: int
    finish_reason: str


class ErrorEvent(msgspec.Struct, frozen=True, gc=False, rename="camel", tag="error", tag_field="event"):
    """The answer failed; what came before stays. `retry_after` is in seconds."""

    message: str
    code: str
    retry_after: float | None = None


_MEANINGS: dict[str, str] = {
    "stop": "stop end end_turn stop_sequence eos eos_token complete completed finish finished normal done load unload",
    "length": "length max_tokens max_output_tokens model_length max_length token_limit model_context_window_exceeded",
    "content_filter": "content_filter content_filtered safety refusal recitation blocklist prohibited_content spii"
    " sensitive",
    "tool_calls": "tool_calls tool_call tool_use function_call",
    "interrupted": "abort aborted cancelled canceled network_error insufficient_system_resource timeout",
    "llm_error": "error failed failure",
}
FINISH_REASONS = {word: meaning for meaning, words in _MEANINGS.items() for word in words.split()}
"""Providers' words for how an answer ended, in lower case with `_`: of success, of being cut, of being filtered, of
tools, and of failure; the latter mean an error code."""
UNFINISHED = {"", "null", "none", "finish_reason_unspecified"}
"""What some servers send where others send null: the answer goes on."""

# What a word that is in no list says nevertheless, the first that fits.
_HINTS: dict[str, str] = {
    "content_filter": "filter safety unsafe sensitive moderat policy prohibit block flag refus violat toxic guard"
    " armor censor",
    "interrupted": "abort cancel interrupt overload timeout time_out deadline unavail exhaust insufficient disconnect"
    " network rate_limit shut lost busy",
    "llm_error": "error fail crash exception invalid unexpected malformed missing denied kill terminat too_many quota",
    "length": "length limit max context truncat too_long incomplete",
    "tool_calls": "tool function",
}
_told: set[tuple[str, str, str]] = set()


def finish_reason(word: object, plugin: str, instance: str = "") -> str | None:
    """The wire's word for a provider's: the nearest of `stop`, `length`, `content_filter`, `tool_calls`; None where the
    answer goes on. Raises ProviderError for a word of failure. An unknown word is logged once for each plugin
    and instance.
    """
    if word == "stop":  # nearly always
        return "stop"
    said = str(word).strip()[:100]
    plain = "_".join(said.lower().replace("-", " ").replace("_", " ").split())
    if plain in UNFINISHED:
        return None
    meaning = FINISH_REASONS.get(plain)
    if meaning is None:
        meaning = next(
            (means for means, hints in _HINTS.items() if any(hint in plain for hint in hints.split())), "stop"
        )
        if (plugin, instance, plain) not in _told and len(_told) < UNKNOWN_WORDS:
            _told.add((plugin, instance, plain))
            of = f" ({instance})" if instance not in ("", plugin) else ""
            log.warning(
                "plugin %r%s ended an answer with %r, which Aura does not know; taken for %s", plugin, of, said, meaning
            )
    if meaning == "interrupted":
        raise ProviderError(f"The provider broke the answer off; it says {said!r}. Try again.", "interrupted")
    if meaning == "llm_error":
        raise ProviderError(f"The provider failed in the middle of the answer; it says {said!r}.")
    return meaning


Event = TokenEvent | ReasoningEvent | AskingEvent | DoneEvent | ErrorEvent


class Values:
    """The events themselves, for callers in this process."""

    ping = None

    @staticmethod
    def size(event: TokenEvent | ReasoningEvent | AskingEvent) -> int:
        return 0 if event.__class__ is AskingEvent else len(event.content)  # type: ignore[union-attr]

    @staticmethod
    def asking(provider: str) -> AskingEvent:
        return AskingEvent(provider)

    @staticmethod
    def answering(provider: str, model: str) -> None: ...

    @staticmethod
    def text(content: str) -> TokenEvent:
        return TokenEvent(content)

    @staticmethod
    def reasoning(content: str) -> ReasoningEvent:
        return ReasoningEvent(content)

    @staticmethod
    def done(end: End) -> DoneEvent:
        return DoneEvent(counts.total(end.usage), end.finish_reason)

    @staticmethod
    def error(failure: Failure) -> ErrorEvent:
        return ErrorEvent(failure.message, failure.code, failure.retry_after)


Framing = Encoder | Values
"""How a relay hands out what it relays: as bytes, or as values. An empty frame is not handed out."""
