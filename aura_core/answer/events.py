"""What a client is told of an answer: token, reasoning, done, error; as values, and as the bytes of the SSE wire."""

from typing import Any, Protocol

import msgspec

_encode = msgspec.json.Encoder().encode

OK = b": ok\n\n"
PING = b": ping\n\n"


class TokenEvent(msgspec.Struct, frozen=True, gc=False, tag="token", tag_field="event"):
    """Some text of the answer; never empty."""

    content: str


class ReasoningEvent(msgspec.Struct, frozen=True, gc=False, tag="reasoning", tag_field="event"):
    """Some of a thinking model's reasoning; never empty."""

    content: str


class DoneEvent(msgspec.Struct, frozen=True, gc=False, rename="camel", tag="done", tag_field="event"):
    """The answer is whole. `total_tokens` is prompt plus completion, 0 where the provider counts nothing."""

    total_tokens: int
    finish_reason: str


class ErrorEvent(msgspec.Struct, frozen=True, gc=False, rename="camel", tag="error", tag_field="event"):
    """The answer failed; what came before stays. `retry_after` is in seconds."""

    message: str
    code: str
    retry_after: float | None = None


FINISH_REASONS = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
    "tool_calls": "tool_calls",
    "max_tokens": "length",
    "model_length": "length",
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
    "tool_call": "tool_calls",
    "safety": "content_filter",
    "refusal": "content_filter",
    "recitation": "content_filter",
    "blocklist": "content_filter",
    "prohibited_content": "content_filter",
}


def finish_reason(word: object) -> str:
    """The wire's word for a provider's: the nearest of `stop`, `length`, `content_filter`, `tool_calls`."""
    return FINISH_REASONS.get(str(word).lower(), "stop")


Event = TokenEvent | ReasoningEvent | DoneEvent | ErrorEvent


class Framing(Protocol):
    """How a relay hands out what it relays. Text that holds a lone surrogate raises UnicodeEncodeError."""

    ping: Any

    def size(self, frame: Any, /) -> int: ...
    def token(self, content: str) -> Any: ...
    def reasoning(self, content: str) -> Any: ...
    def done(self, event: DoneEvent) -> Any: ...
    def error(self, event: ErrorEvent) -> Any: ...


class Sse:
    """Server-Sent Events, byte for byte as docs/http-api.md has them."""

    ping = PING

    @staticmethod
    def size(frame: bytes) -> int:
        return len(frame)

    @staticmethod
    def token(content: str) -> bytes:
        return b'event: token\ndata: {"content": ' + _encode(content) + b"}\n\n"

    @staticmethod
    def reasoning(content: str) -> bytes:
        return b'event: reasoning\ndata: {"content": ' + _encode(content) + b"}\n\n"

    @staticmethod
    def done(event: DoneEvent) -> bytes:
        return b'event: done\ndata: {"totalTokens": %d, "finishReason": %b}\n\n' % (
            event.total_tokens,
            _encode(event.finish_reason),
        )

    @staticmethod
    def error(event: ErrorEvent) -> bytes:
        retry = b"" if event.retry_after is None else b', "retryAfter": %b' % _number(event.retry_after)
        return b'event: error\ndata: {"message": %b, "code": %b%b}\n\n' % (
            _encode(event.message),
            _encode(event.code),
            retry,
        )


class Values:
    """The events themselves, for callers in this process."""

    ping = None

    @staticmethod
    def size(event: TokenEvent | ReasoningEvent) -> int:
        return len(event.content)

    @staticmethod
    def token(content: str) -> TokenEvent:
        content.encode()
        return TokenEvent(content)

    @staticmethod
    def reasoning(content: str) -> ReasoningEvent:
        content.encode()
        return ReasoningEvent(content)

    @staticmethod
    def done(event: DoneEvent) -> DoneEvent:
        return event

    @staticmethod
    def error(event: ErrorEvent) -> ErrorEvent:
        return event


def _number(seconds: float) -> bytes:
    """A number of seconds, without a fraction where it has none."""
    return _encode(int(seconds) if seconds == int(seconds) else round(seconds, 3))
