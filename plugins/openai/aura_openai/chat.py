"""Request an answer and read its stream: the loop through which every token of this protocol passes."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import suppress
from typing import Any

import msgspec
from aiohttp import ClientError

from aura_core import Model, ProviderError, Token
from aura_core.streams import (
    NotEvents,
    Read,
    ServerSentEvent,
    SseReader,
    bad_response,
    count,
    error_body,
    error_in,
    failure,
    loads,
    read_reason,
)
from aura_openai.client import NO_HEADERS, OpenAIClient
from aura_openai.odd import inside
from aura_openai.wire import DONE, LIFE, NotChunk, as_error, is_cut, token

LAST_WORD = 0.1
"""Seconds to wait for the response's end after `[DONE]`: only a response that ended gives its connection back."""


async def stream(
    client: OpenAIClient, path: str, content: bytes, model: str, headers: Mapping[str, str] = NO_HEADERS
) -> AsyncGenerator[Token, None]:
    """Send a request and yield its answer. Closing it closes the connection, and the server stops generating.

    It ends where the stream ends: without a finish reason the core reports an interruption.
    """
    body = await client.post(path, content, model, headers)
    del content  # megabytes, perhaps, and the answer may take minutes
    server, read = client.server, body.read
    reader = SseReader(server.name)
    begun = finished = broken = False
    try:
        if body.upstream_id:
            yield Token(upstream_id=body.upstream_id)
        try:
            while chunk := await read():
                events = reader.feed(chunk)
                if not events:
                    yield LIFE  # a comment, or a part of an event
                for event in events:
                    data = _data(event) if event.name else event.data
                    if data[0] == 91 and data.strip() == DONE:  # "["
                        await _drain(read)
                        return
                    said = token(data, server, model)
                    begun = True
                    if said.finish_reason is not None:
                        finished = True
                    yield said
                reader.feed(b"")  # raise now for a text that is not events: the next read may never return
        except ClientError:
            broken = True  # the events before it still count
        last = reader.rest()
        data = b"" if last is None else _data(last).strip()
        if data and not is_cut(data) and data != DONE:
            said = token(data, server, model)
            finished = finished or said.finish_reason is not None
            yield said
        if broken and not finished:
            raise ProviderError(f"The connection to {server.name} broke in the middle of the answer.", "interrupted")
        if reader.stray and not begun:
            raise bad_response(server, reader.stray)
    except NotChunk as exc:
        raise bad_response(server, exc.args[0], begun) from None
    except NotEvents as exc:
        raise await _no_stream(exc.beginning, read, client, model, begun) from None
    finally:
        await body.aclose()


def _data(event: ServerSentEvent) -> bytes:
    return as_error(event.data) if event.name == "error" else event.data


async def list_models(client: OpenAIClient) -> list[Model]:
    """The models that the server lists, by name. Raises ProviderError."""
    try:
        listed = msgspec.json.decode(await client.get("/models"), type=_Models | list[_Listed])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise bad_response(client.server) from None
    models = listed.data if isinstance(listed, _Models) else listed  # Together AI lists them bare
    return [model.described() for model in sorted(models or [], key=lambda model: model.id)]


class _Listed(msgspec.Struct):
    """A model as servers list it. OpenAI's own list has no limits; the others have names of their own for them."""

    id: str
    context_length: Any = None  # OpenRouter, Together
    context_window: Any = None  # Groq
    max_context_length: Any = None  # Mistral, LM Studio
    max_model_len: Any = None  # vLLM, SGLang
    max_completion_tokens: Any = None  # Groq
    top_provider: Any = None  # OpenRouter
    meta: Any = None  # llama.cpp

    def described(self) -> Model:
        contexts = (
            self.context_length,
            self.context_window,
            self.max_context_length,
            self.max_model_len,
            inside(self.meta, "n_ctx"),
            inside(self.meta, "n_ctx_train"),
        )
        outputs = self.max_completion_tokens, inside(self.top_provider, "max_completion_tokens")
        return Model(self.id, "", _first(contexts), _first(outputs))


def _first(values: Iterable[Any]) -> int | None:
    return next((number for value in values if (number := count(value))), None)


class _Models(msgspec.Struct):
    data: list[_Listed] | None


async def _drain(read: Read) -> None:
    with suppress(TimeoutError, ClientError):
        async with asyncio.timeout(LAST_WORD):
            while await read():
                pass


async def _no_stream(body: bytes, read: Read, client: OpenAIClient, model: str, begun: bool) -> ProviderError:
    """The error for a status of 200 with a JSON text or a page; JSON may give the reason."""
    body += await error_body(read, ClientError)
    said: Any = body
    with suppress(ValueError, RecursionError):
        if isinstance(fields := loads(body), dict):
            said = error_in(fields)  # a complete answer in JSON is not an error
    reason = read_reason(said)
    if reason is None:
        return bad_response(client.server, begun=begun)
    return failure(client.server, reason, model)
