"""The two ways in which an answer leaves, in the bytes of its door: as a stream, and whole."""

import asyncio
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from litestar.response import Response
from litestar.types import Receive, Scope, Send

from aura_core.answer.events import Framing, ReasoningEvent, TokenEvent, Values
from aura_core.answer.relay import Relay
from aura_core.bindings import Bound
from aura_core.budget import FULL, Share
from aura_core.door import AnswerContext, AnswerRoute, End, Failure, Question, WholeAnswer
from aura_core.doors.table import OpenDoor, fault, made
from aura_core.limits import WHOLE_ANSWER_LIMIT
from aura_core.problems import Problem
from aura_core.runtime import Runtime
from aura_core.server.budgeted import share_of
from aura_core.server.guard import seen_of, upstream_headers
from aura_core.server.request_body import count_texts
from aura_core.server.uvicorn_protocol import CONNECTION, Protocol

STREAM_HEADERS = [
    (b"cache-control", b"no-store, no-transform"),  # a proxy that compresses would hold the stream back
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]


class Passed(Response[None]):
    """An answer as Litestar passes it on."""

    def __init__(self, answer: "EventStream | OnePiece") -> None:
        super().__init__(None)
        self._answer = answer

    def to_asgi_response(self, *_args: Any, **_kwargs: Any) -> Any:
        """The answer itself: Litestar's own would add headers and buffer."""
        return self._answer


class _Relayed:
    """An ASGI application: its answer begins when it is called, and ends when it is sent or its client has left.

    What both ways do at the beginning and at the end are plain functions: a coroutine around them would lie in memory
    for as long as an answer streams.
    """

    def __init__(
        self, runtime: Runtime, bound: Bound, opened: OpenDoor, route: AnswerRoute, question: Question
    ) -> None:
        self._runtime = runtime
        self._bound = bound
        self._opened = opened
        self._route = route
        self._question = question

    def _begin(self, scope: Scope, receive: Receive) -> tuple[Relay, Protocol | None]:
        """Ask the agent. Returns its answer, which `_end` must be called for, and our connection, if it is one."""
        own: dict[str, Any] = scope  # type: ignore[assignment]  # it holds keys of ours, too
        # It lives as long as its request is answered. Another ASGI server, or a test's client, has none.
        connection: Protocol | None = own[CONNECTION]() if CONNECTION in own else None
        abort: Callable[[], object] = connection.abort if connection is not None else _this_task().cancel
        seen = seen_of(scope)
        assert seen is not None  # the guard stands before all routes
        self._share = share_of(scope)
        count_texts(scope, self._question)
        context = AnswerContext(seen.request_id, time.time(), self._question)
        try:
            self._encoder = self._route.encoder(context)
        except BaseException as exc:  # SystemExit, too: it is the door's
            raise fault(self._opened, f"the encoder of {self._route.path}", exc) from None
        relay = self._runtime.answer(
            self._bound,
            self._question,
            self._framing(),
            abort,
            seen.request_id,
            upstream_headers(seen),
            self._share,
            seen.client,
            seen.address,
            self._opened.plugin,
        )
        if connection is not None:
            self._unwatch: Callable[[], object] = connection.on_leave(relay.leave)
        else:
            self._unwatch = asyncio.create_task(_watch(receive, relay), name="aura-disconnect").cancel
        return relay, connection

    def _end(self, relay: Relay) -> None:
        self._unwatch()
        self._runtime.release(relay)

    def _framing(self) -> Framing:
        raise NotImplementedError


class EventStream(_Relayed):
    """The answer as it comes: headers at once, and always everything that is ready in one write."""

    def _framing(self) -> Framing:
        return self._encoder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        relay, connection = self._begin(scope, receive)
        try:
            # Before the head: where it fails, the answer is a refusal.
            begin = made(self._opened, "begin of the encoder", self._route.path, self._encoder.begin)
            await send({"type": "http.response.start", "status": 200, "headers": self._headers()})
            await send({"type": "http.response.body", "body": begin, "more_body": True})
            del begin  # an answer may take minutes
            frames = await (relay.take() if connection is None else relay.pipe(connection))
            while frames:
                more = not relay.drained
                await send({"type": "http.response.body", "body": b"".join(frames), "more_body": more})
                frames = await relay.take() if more else []
        finally:
            self._end(relay)

    def _headers(self) -> tuple[tuple[bytes, bytes], ...]:
        return _stream_headers(
            self._encoder.content_type, self._runtime.limits.heartbeat if self._encoder.ping else None
        )


@lru_cache(maxsize=64)  # there are as many as doors
def _stream_headers(content_type: str, heartbeat: float | None) -> tuple[tuple[bytes, bytes], ...]:
    headers = (b"content-type", content_type.encode()), *STREAM_HEADERS
    return headers if heartbeat is None else (*headers, (b"aura-heartbeat", b"%g" % heartbeat))


class _Parts(Values):
    """The parts of an answer, and who gave it."""

    who = "", ""

    def answering(self, provider: str, model: str) -> None:  # type: ignore[override]  # it keeps what it is told
        self.who = provider, model

    @staticmethod
    def done(end: End) -> Any:
        return end

    @staticmethod
    def error(failure: Failure) -> Any:
        return failure


class OnePiece(_Relayed):
    """The answer in one piece; what fails is a refusal that keeps the text that had come."""

    def _framing(self) -> Framing:
        self._parts = _Parts()
        return self._parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        relay, _ = self._begin(scope, receive)
        try:
            await self._send(relay, send)
        finally:
            self._end(relay)

    async def _send(self, relay: Relay, send: Send) -> None:
        text, thoughts = Text(self._share), Text(self._share)
        while not relay.drained:
            for part in await relay.take():
                if isinstance(part, TokenEvent | ReasoningEvent):
                    why = (text if isinstance(part, TokenEvent) else thoughts).add(part.content)
                    if why is not None:
                        relay.fail(why, _WHY[why])
                        if why == "unavailable":  # the text would take the memory that there is not
                            raise Problem(why, _WHY[why], 1)
                        raise Problem(why, _WHY[why], partial=text.so_far())
                elif isinstance(part, Failure):
                    raise Problem(part.code, part.message, part.retry_after, text.so_far())
                elif isinstance(part, End):
                    answer = WholeAnswer(text.so_far(), thoughts.so_far(), part)
                    door, path, encoder = self._opened, self._route.path, self._encoder
                    made(door, "answering of the encoder", path, encoder.answering, *self._parts.who)
                    body = made(door, "whole of the encoder", path, encoder.whole, answer)
                    if not self._share.change(text.size + thoughts.size, len(body)):
                        raise Problem("unavailable", FULL, 1)
                    headers = [
                        (b"content-type", self._encoder.whole_content_type.encode()),
                        (b"cache-control", b"no-store"),
                        (b"content-length", str(len(body)).encode()),
                    ]
                    await send({"type": "http.response.start", "status": 200, "headers": headers})
                    await send({"type": "http.response.body", "body": body, "more_body": False})


class Text:
    """The text of an answer that is sent in one piece, as far as it has arrived. It counts in the request's share.

    It is kept as UTF-8: each short string would take 50 bytes more than its characters.
    """

    def __init__(self, share: Share) -> None:
        self._share = share
        self._bytes = bytearray()

    def add(self, content: str) -> str | None:
        """Append a piece. Returns an error code if the answer is too long, or too much is held for all clients."""
        piece = content.encode()
        if len(self._bytes) + len(piece) > WHOLE_ANSWER_LIMIT:
            return "llm_error"
        if not self._share.grow(len(piece)):
            return "unavailable"
        self._bytes += piece
        return None

    def so_far(self) -> str:
        """All of it."""
        return self._bytes.decode()

    @property
    def size(self) -> int:
        """The bytes that it counts."""
        return len(self._bytes)


_WHY = {
    "llm_error": f"The answer is longer than {WHOLE_ANSWER_LIMIT // 2**20} MiB and cannot be sent in one piece; ask for"
    " a stream.",
    "unavailable": FULL,
}


def _this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def _watch(receive: Receive, relay: Relay) -> None:
    """Close the relay as soon as the client has left; without a connection of ours, only `receive` tells."""
    while (await receive())["type"] != "http.disconnect":
        pass
    relay.close()
