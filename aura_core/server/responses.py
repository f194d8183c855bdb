"""The two ways in which an answer leaves: as a stream of events, and whole, as one JSON object."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from litestar.response import Response
from litestar.types import Receive, Scope, Send

from aura_core.answer.events import OK, DoneEvent, ErrorEvent, Framing, Sse, TokenEvent, Values
from aura_core.answer.relay import Relay
from aura_core.budget import FULL, Share
from aura_core.doors.native import Answer, ChatBody
from aura_core.limits import WHOLE_ANSWER_LIMIT
from aura_core.problems import Problem
from aura_core.runtime import Bound, Runtime
from aura_core.server.budgeted import share_of
from aura_core.server.guard import request_id
from aura_core.server.uvicorn_protocol import CONNECTION, Protocol

STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store, no-transform"),  # a proxy that compresses would hold the stream back
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]


class _Relayed(Response[None]):
    """A response that begins its answer when it is sent, and ends it when it is sent or its client has left."""

    framing: Framing

    def __init__(self, runtime: Runtime, bound: Bound, body: ChatBody) -> None:
        super().__init__(None)
        self._runtime = runtime
        self._bound = bound
        self._body = body

    def to_asgi_response(self, *_args: Any, **_kwargs: Any) -> Any:
        """Give itself: Litestar's own would add headers and buffer."""
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        own: dict[str, Any] = scope  # type: ignore[assignment]  # it holds keys of ours, too
        # It lives as long as its request is answered. Another ASGI server, or a test's client, has none.
        connection: Protocol | None = own[CONNECTION]() if CONNECTION in own else None
        task = asyncio.current_task()
        assert task is not None
        abort: Callable[[], object] = connection.abort if connection is not None else task.cancel
        self._share = share_of(scope)
        relay = self._runtime.answer(self._bound, self._body, self.framing, abort, request_id(scope), self._share)
        watcher = asyncio.create_task(_watch(receive, relay), name="aura-disconnect")
        try:
            await self._send(relay, send, connection)
        finally:
            watcher.cancel()
            self._runtime.release(relay)

    async def _send(self, relay: Relay, send: Send, connection: Protocol | None) -> None:
        raise NotImplementedError


class EventStream(_Relayed):
    """The answer as Server-Sent Events: headers at once, then everything that is ready in one write."""

    framing = Sse()

    async def _send(self, relay: Relay, send: Send, connection: Protocol | None) -> None:
        heartbeat = b"%g" % self._runtime.limits.heartbeat
        headers = [*STREAM_HEADERS, (b"aura-heartbeat", heartbeat)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": OK, "more_body": True})
        frames = await relay.take() if connection is None else await relay.pipe(connection)
        while frames:
            more = not relay.drained
            await send({"type": "http.response.body", "body": b"".join(frames), "more_body": more})
            frames = await relay.take()


class WholeAnswer(_Relayed):
    """The answer as one JSON object; what fails is a problem that keeps the text that had come."""

    framing = Values()

    async def _send(self, relay: Relay, send: Send, connection: Protocol | None) -> None:
        text = Text(self._share)
        while not relay.drained:
            for event in await relay.take():
                if isinstance(event, TokenEvent):
                    if (why := text.add(event.content)) is not None:
                        relay.fail(why.code, why.detail)
                        raise why
                elif isinstance(event, ErrorEvent):
                    raise Problem(event.code, event.message, event.retry_after, text.so_far())
                elif isinstance(event, DoneEvent):
                    body = msgspec.json.encode(Answer(text.so_far(), event.total_tokens, event.finish_reason))
                    if not self._share.change(text.size, len(body)):
                        raise text.full()
                    headers = [
                        (b"content-type", b"application/json"),
                        (b"cache-control", b"no-store"),
                        (b"content-length", str(len(body)).encode()),
                    ]
                    await send({"type": "http.response.start", "status": 200, "headers": headers})
                    await send({"type": "http.response.body", "body": body, "more_body": False})


class Text:
    """The text of an answer that is sent in one piece, as far as it has come. It counts in the request's share.

    It is kept as UTF-8: the pieces would take 50 bytes each beside their characters.
    """

    def __init__(self, share: Share) -> None:
        self._share = share
        self._bytes = bytearray()

    def add(self, content: str) -> Problem | None:
        """Append a piece. Returns why the answer cannot go on, if it is too long or the process holds too much."""
        piece = content.encode()
        if len(self._bytes) + len(piece) > WHOLE_ANSWER_LIMIT:
            limit = WHOLE_ANSWER_LIMIT // 2**20
            why = f"The answer is longer than {limit} MiB, and cannot be sent in one piece; ask for a stream."
            return Problem("llm_error", why, partial=self.so_far())
        if not self._share.grow(len(piece)):
            return self.full()
        self._bytes += piece
        return None

    def full(self) -> Problem:
        """The refusal of an answer for which there is no more room."""
        return Problem("unavailable", FULL, 1, self.so_far())

    def so_far(self) -> str:
        """All of it."""
        return self._bytes.decode()

    @property
    def size(self) -> int:
        """The bytes that it counts."""
        return len(self._bytes)


async def _watch(receive: Receive, relay: Relay) -> None:
    """Close the relay as soon as the client has left; only `receive` tells."""
    while (await receive())["type"] != "http.disconnect":
        pass
    relay.close()
