"""Ollama's HTTP API: one request, one line of NDJSON at a time."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import zip_longest
from typing import Any, TypeVar

import aiohttp
import msgspec

from aura_core import ChatRequest, Model, ProviderError, Token, Usage
from aura_core.streams import (
    Endpoint,
    NdjsonReader,
    bad_response,
    count,
    error_in,
    failure,
    loads,
    parts,
    read_reason,
)
from aura_ollama import cut
from aura_ollama.client import OllamaClient
from aura_ollama.settings import TOP_LEVEL

T = TypeVar("T")
SHOWN = 40
"""Models whose context is asked for: one request each."""


class Content(msgspec.Struct, gc=False):
    """The `message` of a line."""

    content: str | None = None
    thinking: str | None = None


class Line(msgspec.Struct, gc=False):
    """One line of an answer. Counts are left out, or null, where they are zero."""

    message: Content | None = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: int | None = 0
    eval_count: int | None = 0
    error: Any = None


class Tag(msgspec.Struct):
    """One pulled model."""

    name: str
    size: int = 0
    capabilities: list[str] | None = None


class Tags(msgspec.Struct):
    """The answer of `GET /api/tags`."""

    models: list[Tag] | None = None


class Shown(msgspec.Struct):
    """The answer of `POST /api/show`."""

    model_info: Any = None


class Version(msgspec.Struct):
    """The answer of `GET /api/version`."""

    version: str


class NotALine(Exception):
    """`args[0]` is not a line of this protocol."""


NOTHING = Content()

_decode = msgspec.json.Decoder(Line).decode


async def answer(client: OllamaClient, request: ChatRequest) -> AsyncGenerator[Token, None]:
    """The tokens of an answer. Closing it closes the connection, and Ollama stops generating. Raises ProviderError."""
    body = await client.chat(msgspec.json.encode(_body(request)), request.model, request.headers)
    server, read = client.server, body.read
    reader = NdjsonReader(server.name)
    begun = finished = False
    broken: aiohttp.ClientError | None = None
    try:
        if body.upstream_id:
            yield Token(upstream_id=body.upstream_id)
        try:
            while chunk := await read():
                for line in reader.feed(chunk):
                    said = token(line, request.model, server)
                    begun = True
                    if said.finish_reason is not None:
                        finished = True
                        if said.usage is not None:
                            cut.warn(request, said.usage.prompt)
                    yield said
        except aiohttp.ClientError as exc:
            broken = exc  # the lines before it still count
        rest = reader.rest()
        if rest and not _cut(rest):
            said = token(rest, request.model, server)
            finished = finished or said.finish_reason is not None
            yield said
        if broken is not None and not finished:
            what = f"The connection to {server.name} broke in the middle of the answer."
            raise ProviderError(what, "interrupted") from broken
    except NotALine as exc:
        raise bad_response(server, exc.args[0], begun) from None
    finally:
        broken = None  # its traceback holds this frame: a cycle would keep the bytes read ahead
        await body.aclose()


def token(line: bytes, model: str, server: Endpoint) -> Token:
    """The token of one line. Raises ProviderError for an error in it, and NotALine."""
    try:
        said = _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _odd(line, model, server)
    if said.error:
        raise failure(server, read_reason(line), model)
    message = said.message
    if not said.done:
        return _odd(line, model, server) if message is None else Token(message.content or "", message.thinking or "")
    message = message or NOTHING
    used = said.prompt_eval_count or said.eval_count
    usage = Usage(count(said.prompt_eval_count), count(said.eval_count)) if used else None
    return Token(message.content or "", message.thinking or "", said.done_reason or "stop", usage)


def _odd(line: bytes, model: str, server: Endpoint) -> Token:
    """The token of a line whose fields have unexpected types: text is coerced, other fields are ignored."""
    try:
        fields = loads(line)
    except (ValueError, RecursionError):
        raise NotALine(line) from None
    if not isinstance(fields, dict):
        raise NotALine(line)
    message, done = fields.get("message"), _is_done(fields.get("done"))
    if fields.get("error") or not (isinstance(message, dict) or done):
        reason = read_reason(error_in(fields))
        if reason is not None:
            raise failure(server, reason, model)
    message = message if isinstance(message, dict) else {}
    text, thought = parts(message.get("content"))
    thought = "".join(parts(message.get("thinking"))) or thought
    if not done:
        return Token(text, thought)
    reason = fields.get("done_reason")
    prompt, completion = count(fields.get("prompt_eval_count")), count(fields.get("eval_count"))
    usage = Usage(prompt, completion) if prompt or completion else None
    return Token(text, thought, reason if isinstance(reason, str) and reason else "stop", usage)


def _is_done(done: Any) -> bool:
    return done is True or (isinstance(done, str) and done.strip().lower() in ("true", "1", "yes"))


async def prompt_tokens(client: OllamaClient, request: ChatRequest) -> int:
    """How many tokens of the prompt Ollama reads, 0 if it does not say. Costs one token. Raises ProviderError."""
    short = msgspec.structs.replace(request, max_tokens=1)
    async with aclosing(answer(client, short)) as tokens:
        return max([said.usage.prompt async for said in tokens if said.usage is not None], default=0)


async def newest_model(client: OllamaClient) -> str | None:
    """The model that was pulled last, of those that can chat. Raises ProviderError."""
    return next((tag.name for tag in await _tags(client)), None)


async def list_models(client: OllamaClient) -> list[Model]:
    """The pulled models that can chat, newest first, with the context of the first SHOWN ones. Raises ProviderError."""
    tags = await _tags(client)
    contexts = await asyncio.gather(*(_context(client, tag.name) for tag in tags[:SHOWN]))
    return [
        Model(tag.name, f"{tag.size / 1e9:.1f} GB" if tag.size else "", context)
        for tag, context in zip_longest(tags, contexts)
    ]


async def _tags(client: OllamaClient) -> list[Tag]:
    tags = _decoded(client, await client.get("api/tags"), Tags).models or []
    return [tag for tag in tags if tag.capabilities is None or "completion" in tag.capabilities]


async def _context(client: OllamaClient, model: str) -> int | None:
    """The longest context that a model can have (`POST /api/show`); None if the server does not say."""
    try:
        shown = _decoded(client, await client.post("api/show", msgspec.json.encode({"model": model})), Shown)
    except ProviderError:
        return None
    info = shown.model_info if isinstance(shown.model_info, dict) else {}
    return next((count(value) for key, value in info.items() if str(key).endswith(".context_length")), None) or None


async def version(client: OllamaClient) -> None:
    """Ask whether an Ollama server is there. Raises ProviderError."""
    _decoded(client, await client.get("api/version"), Version)


def _decoded(client: OllamaClient, body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise bad_response(client.server) from None


def _body(request: ChatRequest) -> dict[str, Any]:
    """The request's body: only what was set. An agent's options go to `options` and replace nothing else."""
    extra = {key: value for key, value in request.options.items() if value is not None}
    top = {key: extra.pop(key) for key in TOP_LEVEL if key in extra}
    if request.temperature is not None:
        extra["temperature"] = request.temperature
    if request.max_tokens is not None:
        extra["num_predict"] = request.max_tokens
    body = {**top, "model": request.model, "messages": request.messages, "stream": True}
    return {**body, "options": extra} if extra else body


def _cut(line: bytes) -> bool:
    """Whether the line is the beginning of a JSON text: then the answer was cut, and it is not another protocol."""
    try:
        _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        return "truncated" in str(exc)
    return False
