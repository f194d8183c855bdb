"""Read an answer that is streamed as server-sent events: the loop through which its tokens pass."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import msgspec
from aiohttp import ClientError

from aura_core.errors import ProviderError
from aura_core.limits import LAST_WORD
from aura_core.streams.aiohttp_body import AiohttpBody
from aura_core.streams.body import error_body
from aura_core.streams.coding import Read
from aura_core.streams.failure import Endpoint, bad_response, failure
from aura_core.streams.reason import error_in, loads, read_reason
from aura_core.streams.sse import NotEvents, ServerSentEvent, SseReader
from aura_core.types import Token

_LIFE = Token()


class NotProtocol(Exception):
    """`data`, those of an event, are not in the protocol."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.data = data


async def sse_answer(
    ask: Callable[[], Awaitable[AiohttpBody]],
    server: Endpoint,
    model: str,
    read_event: Callable[[ServerSentEvent], Token | None],
    is_cut: Callable[[bytes], bool],
) -> AsyncGenerator[Token, None]:
    """Ask, and yield the answer's tokens. Closing it closes the connection, and the server stops generating.

    `read_event` returns an event's token, or None for the event that ends the stream; it raises ProviderError and
    NotProtocol. `is_cut` says whether data is the beginning of an event that the end of the stream cut off. The answer
    ends where the stream ends: without a finish reason the core reports an interruption.
    """
    body = await ask()
    del ask  # it holds the request, perhaps megabytes, and the answer may take minutes
    read = body.read
    reader = SseReader(server.name)
    begun = finished = False
    broken: ClientError | None = None
    try:
        if body.upstream_id:
            yield Token(upstream_id=body.upstream_id)
        try:
            while chunk := await read():
                events = reader.feed(chunk)
                if not events:
                    yield _LIFE  # a comment, or a part of an event
                for event in events:
                    said = read_event(event)
                    if said is None:
                        await _drain(read)
                        return
                    begun = True
                    if said.finish_reason is not None:
                        finished = True
                    yield said
                reader.feed(b"")  # raise now for a text that is not events: the next read may never return
        except ClientError as exc:
            broken = exc  # the events before it still count
        last = reader.rest()
        if last is not None and last.data.strip() and not is_cut(last.data):
            said = read_event(last)
            if said is not None:
                finished = finished or said.finish_reason is not None
                yield said
        if broken is not None and not finished:
            what = f"The connection to {server.name} broke in the middle of the answer."
            raise ProviderError(what, "interrupted") from broken
        if reader.stray and not begun:
            raise bad_response(server, reader.stray)
    except NotProtocol as exc:
        raise bad_response(server, exc.data, begun) from None
    except NotEvents as exc:
        raise await _no_stream(exc.beginning, read, server, model, begun) from None
    finally:
        broken = None  # its traceback holds this frame: a cycle would keep the bytes read ahead
        await body.aclose()


def words_as_error(data: bytes) -> bytes:
    """The data of an event named `error`: words alone, as some gateways send them, become an error in JSON."""
    if data.lstrip()[:1] in (b"{", b"[", b""):
        return data
    return b'{"error":%b}' % msgspec.json.encode(data.decode(errors="replace"))


async def _drain(read: Read) -> None:
    """Read to the response's end: only a response that ended gives its connection back."""
    with suppress(TimeoutError, ClientError):
        async with asyncio.timeout(LAST_WORD):
            while await read():
                pass


async def _no_stream(body: bytes, read: Read, server: Endpoint, model: str, begun: bool) -> ProviderError:
    """The error for a status of 200 with a JSON text or a page; JSON may give the reason."""
    body += await error_body(read, ClientError)
    said: Any = body
    with suppress(ValueError, RecursionError):
        if isinstance(fields := loads(body), dict):
            said = error_in(fields)  # a complete answer in JSON is not an error
    reason = read_reason(said)
    if reason is None:
        return bad_response(server, begun=begun)
    return failure(server, reason, model)
