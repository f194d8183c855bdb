"""The wire of `chat.completions`: a request's body, and the tokens in a chunk, as OpenAI's API reference has them.

It serves every plugin that speaks this protocol. The Structs hold only what is used: a chunk costs microseconds.
"""

import re
from typing import Any

import msgspec

from aura_core import ChatRequest, Token, Usage
from aura_core.streams import Endpoint, NotProtocol, count, error_in, failure, loads, read_reason
from aura_openai import odd
from aura_openai.options import RESERVED
from aura_openai.settings import LimitParameter

DONE = b"[DONE]"
LIFE = Token()
_ABSENT = msgspec.Raw()
_MANY = 10**12

# OpenAI's reasoning models refuse max_tokens; other servers may support nothing else.
_REASONING = re.compile(r"(?:^|[/:])(?:o[1-9]|gpt-[5-9]|codex)(?:$|[-.:])")


class Delta(msgspec.Struct, gc=False):
    """The new text. Reasoning is in `reasoning_content` (llama.cpp, vLLM, DeepSeek), in `reasoning` (OpenRouter,
    Ollama) or in `reasoning_details` (MiniMax)."""

    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    reasoning_details: msgspec.Raw = _ABSENT


class PromptDetails(msgspec.Struct, gc=False):
    """Parts of the prompt; OpenRouter also counts tokens written to the cache."""

    cached_tokens: int | None = 0
    cache_write_tokens: int | None = 0


class CompletionDetails(msgspec.Struct, gc=False):
    """Parts of the answer."""

    reasoning_tokens: int | None = 0


class Counts(msgspec.Struct, gc=False):
    """The tokens used so far; some servers send only the sum, some use Anthropic's names. DeepSeek counts cache hits
    outside of the details."""

    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0
    total_tokens: int | None = 0
    input_tokens: int | None = 0
    output_tokens: int | None = 0
    prompt_cache_hit_tokens: int | None = 0
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None


class Choice(msgspec.Struct, gc=False):
    """One answer's part of a chunk; Azure's content filter sends some without a delta. Moonshot counts in `usage`,
    OpenRouter says what went wrong in `error`, and the model's own word for the end in `native_finish_reason`."""

    index: int | None = 0
    delta: Delta | None = None
    finish_reason: str | None = None
    usage: Counts | None = None
    error: Any = None
    native_finish_reason: str | None = None
    content_filter_results: msgspec.Raw = _ABSENT


class Chunk(msgspec.Struct, gc=False):
    """One event. Groq puts counts and errors into `x_groq`."""

    choices: list[Choice] | None = None
    usage: Counts | None = None
    error: Any = None
    x_groq: msgspec.Raw = _ABSENT


_decode = msgspec.json.Decoder(Chunk).decode


def limit_parameter(setting: LimitParameter, official: bool, *models: str) -> str:
    """The name under which `max_tokens` is sent: OpenAI's own servers accept the new one for every model; for others it
    is used only with the names of OpenAI's reasoning models."""
    if setting != "auto":
        return setting
    new = official or any(_REASONING.search(model.lower()) for model in models)
    return "max_completion_tokens" if new else "max_tokens"


def body(request: ChatRequest, model: str, limit: str, include_usage: bool) -> bytes:
    """A request in JSON. Only what was set is sent; an agent's options add to it and never replace Aura's fields."""
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


def token(data: bytes, server: Endpoint, model: str) -> Token:
    """The token of one event. Raises ProviderError for an error in it, and NotProtocol."""
    try:
        chunk = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _odd(data, server, model)
    if chunk.error:
        raise failure(server, read_reason(data), model)
    used = chunk.usage
    for choice in chunk.choices or ():
        if choice.index:
            continue
        if choice.error:
            raise failure(server, read_reason(choice.error), model)
        reason = choice.finish_reason
        if reason and chunk.x_groq is not _ABSENT:
            return _odd(data, server, model)
        if used is None:
            used = choice.usage
        usage = None if used is None else _usage(used)
        delta = choice.delta
        detail = _detail(choice) if reason else ""
        if delta is None:
            return Token(finish_reason=reason or None, usage=usage, detail=detail)
        # Some servers send the same reasoning under several names.
        reasoning = delta.reasoning or delta.reasoning_content or ""
        if not reasoning and delta.reasoning_details is not _ABSENT:
            return _odd(data, server, model)
        text = delta.content or ""
        if delta.refusal:
            text += delta.refusal
        return Token(text, reasoning, reason or None, usage, detail)
    if used is not None and chunk.choices is not None:
        return Token(usage=_usage(used))
    return LIFE if chunk.choices else _odd(data, server, model)


def _usage(used: Counts) -> Usage:
    prompt = used.prompt_tokens or used.input_tokens or 0
    completion = used.completion_tokens or used.output_tokens or (used.total_tokens or 0) - prompt
    if not (0 <= prompt <= _MANY and 0 <= completion <= _MANY):
        prompt, completion = count(prompt), count(completion)
    asked, said = used.prompt_tokens_details, used.completion_tokens_details
    if asked is None and said is None and not used.prompt_cache_hit_tokens:  # some servers count in every chunk
        return Usage(prompt, completion)
    read = used.prompt_cache_hit_tokens or (asked.cached_tokens if asked else 0)
    written = asked.cache_write_tokens if asked else 0
    return Usage(prompt, completion, count(read), count(written), count(said.reasoning_tokens if said else 0))


def _detail(choice: Choice) -> str:
    """More about the end than the finish reason: the model's own word, or the categories of a content filter."""
    if choice.native_finish_reason and choice.native_finish_reason != choice.finish_reason:
        return choice.native_finish_reason
    if choice.finish_reason == "content_filter" and choice.content_filter_results is not _ABSENT:
        return odd.filtered(loads(bytes(choice.content_filter_results)))
    return ""


def _odd(data: bytes, server: Endpoint, model: str) -> Token:
    """The token of an event that deviates from the reference."""
    try:
        fields = loads(data)
    except (ValueError, RecursionError):
        raise NotProtocol(data) from None
    if not isinstance(fields, dict):
        if isinstance(fields, list) and any(isinstance(item, dict) and error_in(item) for item in fields):
            raise failure(server, read_reason(fields), model)
        raise NotProtocol(data)
    choice = odd.first_choice(fields)
    error = fields.get("error") or choice.get("error") or odd.inside(fields, "x_groq", "error")
    if error or not choice:
        reason = read_reason(fields if fields.get("error") else error or error_in(fields))
        if reason is not None:
            raise failure(server, reason, model)
    return odd.token(fields, choice)


def is_cut(data: bytes) -> bool:
    """Whether this is the beginning of an event that the end of the stream cut off."""
    if DONE.startswith(data.strip()):
        return True
    try:
        _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        return "truncated" in str(exc)
    return False
