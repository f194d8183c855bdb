"""The two ways in which an answer leaves: as a stream of events, and whole, as one JSON object."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from litestar.response import Response
from litestar.types import Receive, Scope, Send

from aura_core.answer.events import OK, DoneEvent, ErrorEvent, Framing, Sse, TokenEvent, Values
from aura_core.answer.relay import Relay
from aura_core.doors.native import Answer, ChatBody
from aura_core.problems import Problem
from aura_core.runtime import Bound, Runtime
from aura_core.server.guard import request_id, upstream_headers
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
        relay = self._runtime.answer(
            self._bound, self._body, self.framing, abort, request_id(scope), upstream_headers(scope)
        )
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
        parts: list[str] = []
        while not relay.drained:
            for event in await relay.take():
                if isinstance(event, TokenEvent):
                    parts.append(event.content)
                elif isinstance(event, ErrorEvent):
                    raise Problem(event.code, event.message, event.retry_after, "".join(parts))
                elif isinstance(event, DoneEvent):
                    body = msgspec.json.encode(Answer("".join(parts), event.total_tokens, event.finish_reason))
                    headers = [
                        (b"content-type", b"application/json"),
                        (b"cache-control", b"no-store"),
                        (b"content-length", str(len(body)).encode()),
                    ]
                    await send({"type": "http.response.start", "status": 200, "headers": headers})
                    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _watch(receive: Receive, relay: Relay) -> None:
    """Close the relay as soon as the client has left; only `receive` tells."""
    while (await receive())["type"] != "http.disconnect":
        pass
    relay.close()
