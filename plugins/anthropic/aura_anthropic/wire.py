"""The events of a streamed answer, as Anthropic's API reference has them, and what they mean.

Only the events of text and reasoning are frequent: they are decoded into Structs with the fields that are used. All
others are read as plain JSON, whose types may differ from the reference.
"""

from typing import Any

import msgspec

from aura_core import Token, Usage
from aura_core.streams import (
    Endpoint,
    NotProtocol,
    ServerSentEvent,
    count,
    error_in,
    failure,
    loads,
    parts,
    read_reason,
    words_as_error,
)

LIFE = Token()
_DONE = b"[DONE]"  # some gateways add it, as OpenAI's protocol has it

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "compaction": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
    "tool_use": "tool_calls",
}
_PLAIN = {"end_turn", "max_tokens", "tool_use"}
"""The reasons that say nothing more than Aura's own word."""


class Delta(msgspec.Struct, gc=False):
    """The new text of a block. Signatures, citations and a tool's input are not decoded."""

    type: str = ""
    text: str = ""
    thinking: str = ""


class Event(msgspec.Struct, gc=False):
    """One event."""

    type: str
    delta: Delta | None = None


_decode = msgspec.json.Decoder(Event).decode
_MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Start(msgspec.Struct):
    content_block: Delta


_decode_start = msgspec.json.Decoder(_Start).decode


class Events:
    """Reads the events of one answer. It keeps the counts, which come in parts, and whether the reason was said."""

    def __init__(self, server: Endpoint, model: str) -> None:
        self._server = server
        self._model = model
        self._counts: dict[str, int] = {}
        self._finished = False

    def token(self, event: ServerSentEvent) -> Token | None:
        """The token of one event, None for the last. Raises ProviderError for an error in it, and NotProtocol."""
        try:
            said = _decode(event.data)
        except _MALFORMED:
            return self._rare(event)
        delta = said.delta
        if delta is not None and said.type == "content_block_delta":
            if delta.type == "text_delta":
                return Token(delta.text)
            if delta.type == "thinking_delta":
                return Token("", delta.thinking)
        return self._rare(event)

    def _rare(self, event: ServerSentEvent) -> Token | None:
        data = words_as_error(event.data) if event.name == "error" else event.data
        if data.strip() == _DONE:
            return None
        try:
            fields = loads(data)
        except (ValueError, RecursionError):
            raise NotProtocol(data) from None
        if not isinstance(fields, dict):
            raise NotProtocol(data)
        kind = _word(fields.get("type")) or event.name
        if kind == "error" or fields.get("error"):
            raise failure(self._server, read_reason(fields), self._model)
        if not kind:
            return self._untyped(fields, data)
        return self._of_kind(kind, fields, data)

    def _untyped(self, fields: dict[str, Any], data: bytes) -> Token:
        if error_in(fields):
            raise failure(self._server, read_reason(fields), self._model)
        if fields:
            raise NotProtocol(data)
        return LIFE

    def _of_kind(self, kind: str, fields: dict[str, Any], data: bytes) -> Token | None:
        """What an event that is not frequent says; one that is not known is a sign of life."""
        if kind == "content_block_delta":
            return _text(fields.get("delta"))
        if kind == "content_block_start":
            return _beginning(data, fields)
        if kind == "message_start":
            return Token(usage=self._usage(_inside(fields, "message", "usage")))
        if kind == "message_delta":
            delta = fields.get("delta")
            usage = self._usage(fields.get("usage") or _inside(delta, "usage"))
            reason, detail = self._finish(delta)
            return Token(finish_reason=reason, usage=usage, detail=detail)
        return None if kind == "message_stop" else LIFE

    def _finish(self, delta: Any) -> tuple[str | None, str]:
        reason = _inside(delta, "stop_reason")
        if not isinstance(reason, str) or not reason or self._finished:
            return None, ""
        self._finished = True
        word = reason.lower()
        detail = ": ".join(
            said
            for said in ("" if word in _PLAIN else word, *(_inside(delta, "stop_details", key) for key in _DETAILS))
            if isinstance(said, str) and said
        )
        return _FINISH.get(word, reason), detail

    def _usage(self, used: Any) -> Usage | None:
        """All counts so far. They are totals, and one that is missing or 0 does not undo an earlier one."""
        if not isinstance(used, dict):
            return None
        counts = self._counts
        for name in _COUNTS:
            counts[name] = count(used.get(name)) or counts.get(name, 0)
        thought = count(_inside(used, "output_tokens_details", "thinking_tokens")) or counts.get("thinking", 0)
        counts["thinking"] = thought
        read, written = counts["cache_read_input_tokens"], counts["cache_creation_input_tokens"]
        return Usage(counts["input_tokens"] + read + written, counts["output_tokens"], read, written, thought)


_COUNTS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
_DETAILS = ("category", "explanation")
_TEXT = ("text", "text_delta")
_THINKING = ("thinking", "thinking_delta")


def is_cut(data: bytes) -> bool:
    """Whether this is the beginning of an event that the end of the stream cut off."""
    if _DONE.startswith(data.strip()):
        return True
    try:
        _decode(data)
    except _MALFORMED as exc:
        return "truncated" in str(exc)
    return False


def _beginning(data: bytes, fields: dict[str, Any]) -> Token:
    """The text or reasoning with which a block begins, usually none."""
    try:
        block = _decode_start(data).content_block
    except msgspec.ValidationError:
        return LIFE  # what is not text here is not needed
    except _MALFORMED:
        return _text(fields.get("content_block"))
    return _text({"type": block.type, "text": block.text, "thinking": block.thinking})


def _text(block: Any) -> Token:
    """The text or reasoning of a block, or of a change of it; blocks of other kinds are not shown."""
    kind = _word(_inside(block, "type"))  # if it is not a word, the fields say what it is
    text = parts(_inside(block, "text"))[0] if kind in ("", *_TEXT) else ""
    thought = parts(_inside(block, "thinking"))[0] if kind in ("", *_THINKING) else ""
    return Token(text, thought)


def _word(kind: Any) -> str:
    """The name of a kind, "" for anything else: a type that is a number or null says nothing."""
    return kind if isinstance(kind, str) and kind[:1].isalpha() else ""


def _inside(fields: Any, *names: str) -> Any:
    """The value at the end of this path of objects, None if it ends before."""
    for name in names:
        fields = fields.get(name) if isinstance(fields, dict) else None
    return fields
