"""Ollama's HTTP API: one request, one line of NDJSON at a time."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any, TypeVar

import aiohttp
import msgspec

from aura_core import ChatRequest, Model, ProviderError, Token, Usage
from aura_core.streams import Server, bad_response, failure, read_reason
from aura_ollama import cut
from aura_ollama.client import Client
from aura_ollama.lines import Lines
from aura_ollama.settings import TOP_LEVEL

T = TypeVar("T")
LINE_LIMIT = 8 * 1024 * 1024  # as Ollama's own Go client has it


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


class Version(msgspec.Struct):
    """The answer of `GET /api/version`."""

    version: str


NOTHING = Content()
COUNTS = ("prompt_eval_count", "eval_count")

_decode = msgspec.json.Decoder(Line).decode


async def answer(client: Client, request: ChatRequest) -> AsyncGenerator[Token, None]:
    """The tokens of an answer. Closing it closes the connection, and Ollama stops generating. Raises ProviderError."""
    body = await client.chat(msgspec.json.encode(_body(request)), request.model)
    read, lines = body.read, Lines(LINE_LIMIT)
    try:
        while chunk := await read():
            for line in lines.feed(chunk):
                said = token(line, request.model, client.server)
                if said.usage is not None:
                    cut.warn(request, said.usage.prompt)
                yield said
    except aiohttp.ClientError:
        pass  # cut off; what came before still counts
    except OverflowError:
        raise ProviderError("A line of Ollama's answer is longer than 8 MiB.", "bad_response") from None
    finally:
        await body.aclose()
    if lines.rest and not _cut(lines.rest):
        yield token(lines.rest, request.model, client.server)


def token(line: bytes, model: str, server: Server) -> Token:
    """What one line says. Raises ProviderError."""
    said = _said(line, server)
    if said.error is not None:
        raise failure(server, read_reason(line), model)
    message = said.message or NOTHING
    if not said.done:
        return Token(message.content or "", message.thinking or "")
    used = said.prompt_eval_count or said.eval_count
    usage = Usage(said.prompt_eval_count or 0, said.eval_count or 0) if used else None
    return Token(message.content or "", message.thinking or "", said.done_reason or "stop", usage)


def _said(line: bytes, server: Server) -> Line:
    try:
        return _decode(line)
    except msgspec.DecodeError:
        # msgspec refuses an escaped half of a surrogate pair, json does not; the core joins halves or replaces them.
        with suppress(ValueError, RecursionError):
            fields = json.loads(line)
            if isinstance(fields, dict) and not all(isinstance(fields.get(name, 0), int) for name in COUNTS):
                fields = {name: value for name, value in fields.items() if name not in COUNTS}
            return msgspec.convert(fields, Line)  # so counts of an odd type cost the answer nothing
    except (UnicodeDecodeError, RecursionError):
        pass
    raise bad_response(server)


async def prompt_tokens(client: Client, request: ChatRequest) -> int:
    """How many tokens of the prompt Ollama reads, 0 where it does not say. Costs one token. Raises ProviderError."""
    short = msgspec.structs.replace(request, max_tokens=1)
    async with aclosing(answer(client, short)) as tokens:
        return max([said.usage.prompt async for said in tokens if said.usage is not None], default=0)


async def list_models(client: Client) -> list[Model]:
    """The pulled models that can chat, newest first. Raises ProviderError."""
    tags = _decoded(client, await client.get("api/tags"), Tags).models or []
    chatty = [tag for tag in tags if tag.capabilities is None or "completion" in tag.capabilities]
    return [Model(tag.name, f"{tag.size / 1e9:.1f} GB" if tag.size else "") for tag in chatty]


async def version(client: Client) -> None:
    """Ask whether an Ollama server is there. Raises ProviderError."""
    _decoded(client, await client.get("api/version"), Version)


def _decoded(client: Client, body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise bad_response(client.server) from None


def _body(request: ChatRequest) -> dict[str, Any]:
    """Only what somebody set is sent. What an agent adds lands in `options` and replaces nothing."""
    extra = {key: value for key, value in request.options.items() if value is not None}
    top = {key: extra.pop(key) for key in TOP_LEVEL if key in extra}
    if request.temperature is not None:
        extra["temperature"] = request.temperature
    if request.max_tokens is not None:
        extra["num_predict"] = request.max_tokens
    body = {**top, "model": request.model, "messages": request.messages, "stream": True}
    return {**body, "options": extra} if extra else body


def _cut(line: bytes) -> bool:
    """Whether the line is the beginning of a JSON text: then it is an answer that was cut, not another protocol."""
    try:
        _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        return "truncated" in str(exc)
    return False
