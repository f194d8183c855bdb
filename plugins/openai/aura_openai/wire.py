"""The wire of `chat.completions`: a request's body, and the tokens in a chunk, as OpenAI's API reference has them.

It serves every plugin that speaks this protocol. The Structs hold only what is used: a chunk costs microseconds.
"""

import json
import re
from contextlib import suppress
from typing import Any

import msgspec

from aura_core import ChatRequest, ProviderError, Token, Usage
from aura_core.streams import Server, bad_response, failure, read_reason
from aura_openai.options import RESERVED
from aura_openai.settings import LimitParameter

DONE = b"[DONE]"
LIFE = Token()

# OpenAI's reasoning models refuse max_tokens; servers of others may know nothing else.
_REASONING = re.compile(r"(?:^|[/:])(?:o[1-9]|gpt-[5-9]|codex)(?:$|[-.:])")


class Delta(msgspec.Struct, gc=False):
    """What is new. llama.cpp, vLLM and DeepSeek think in `reasoning_content`, OpenRouter and Ollama in `reasoning`."""

    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None


class Choice(msgspec.Struct, gc=False):
    """One answer's part of a chunk; Azure's content filter sends some without a delta."""

    index: int | None = 0
    delta: Delta | None = None
    finish_reason: str | None = None


class Counts(msgspec.Struct, gc=False):
    """What was used so far."""

    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0


class Chunk(msgspec.Struct, gc=False):
    """One event. `message` at the top is how old servers of vLLM say that they failed."""

    choices: list[Choice] | None = None
    usage: Counts | None = None
    error: Any = None
    message: Any = None


_decode = msgspec.json.Decoder(Chunk).decode


def limit_parameter(setting: LimitParameter, official: bool, *models: str) -> str:
    """The name under which `max_tokens` is sent: OpenAI's own servers know the new one for every model, others only
    for those whose name is that of a reasoning model of OpenAI's."""
    if setting != "auto":
        return setting
    new = official or any(_REASONING.search(model.lower()) for model in models)
    return "max_completion_tokens" if new else "max_tokens"


def body(request: ChatRequest, model: str, limit: str, include_usage: bool) -> bytes:
    """A request in JSON. Only what somebody set is sent; an agent's options add to it and replace nothing of Aura's."""
    fields = {name: value for name, value in request.options.items() if value is not None and name not in RESERVED}
    if request.temperature is not None:
        fields["temperature"] = request.temperature
    if request.max_tokens is not None:
        fields.pop("max_tokens", None)
        fields.pop("max_completion_tokens", None)
        fields[limit] = request.max_tokens
    fields |= {"model": model, "messages": request.messages, "stream": True}
    if include_usage:
        fields["stream_options"] = {"include_usage": True}
    return msgspec.json.encode(fields)


def token(data: bytes, server: Server, model: str) -> Token:
    """What one event says. Raises ProviderError for an error in it, and for what is no chunk."""
    chunk = _chunk(data, server)
    if chunk.error is not None or (chunk.message is not None and chunk.choices is None):
        raise failure(server, read_reason(data), model)
    used = chunk.usage
    usage = None if used is None else Usage(used.prompt_tokens or 0, used.completion_tokens or 0)
    for choice in chunk.choices or ():
        if choice.index:
            continue
        reason = choice.finish_reason or None
        if reason == "error":  # OpenRouter and others, without an error object
            raise ProviderError(f"{server.name} failed in the middle of the answer.")
        delta = choice.delta
        if delta is None:
            return Token(finish_reason=reason, usage=usage)
        text = delta.content or ""
        if delta.refusal:
            text += delta.refusal
        # Some servers send the same thought under both names.
        return Token(text, delta.reasoning or delta.reasoning_content or "", reason, usage)
    return LIFE if usage is None else Token(usage=usage)


def _chunk(data: bytes, server: Server) -> Chunk:
    try:
        return _decode(data)
    except msgspec.DecodeError:
        # msgspec refuses an escaped half of a surrogate pair, json does not; the core joins halves or replaces them.
        with suppress(ValueError, RecursionError):
            fields = json.loads(data)
            usage = fields.pop("usage", None) if isinstance(fields, dict) else None
            chunk = msgspec.convert(fields, Chunk)
            with suppress(msgspec.ValidationError):  # counts of an odd type cost the answer nothing
                chunk.usage = msgspec.convert(usage, Counts | None, strict=False)
            return chunk
    except (UnicodeDecodeError, RecursionError):
        pass
    raise bad_response(server)


def is_cut(data: bytes) -> bool:
    """Whether this is the beginning of an event that the end of the stream cut."""
    if DONE.startswith(data.strip()):
        return True
    try:
        _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        return "truncated" in str(exc)
    return False
