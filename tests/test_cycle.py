"""Our cycle of a request and its answer does what uvicorn's does: the same bytes, the same ends, the same errors."""

import asyncio
import logging
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from aura_core.budget import Budget, Share
from aura_core.server.cycle import Cycle

DATE = [(b"date", b"Fri, 27 Nov 2026 12:00:00 GMT")]
LENGTH = (b"Content-Length", b"5")


class Transport:
    """Both a transport for uvicorn's cycle and a connection for ours: it notes what is done with it."""

    def __init__(self) -> None:
        self.sent = b""
        self.did: list[str] = []
        self.flow = FlowControl(self)  # type: ignore[arg-type]
        self.transport: Any = self

    def write(self, data: bytes) -> None:
        self.sent += data

    write_soon = write

    def close(self) -> None:
        self.did.append("close")

    close_after_answer = close

    def on_response_complete(self) -> None:
        self.did.append("complete")

    def is_closing(self) -> bool:
        return False


def _cycles(method: str, keep_alive: bool, continues: bool) -> list[tuple[Transport, Any]]:
    scope: Any = {"type": "http", "method": method, "http_version": "1.1", "path": "/", "headers": []}
    own, theirs = Transport(), Transport()
    log = logging.getLogger("uvicorn.error")
    return [
        (own, Cycle(own, scope, Share(Budget()), DATE, keep_alive, continues)),
        (
            theirs,
            RequestResponseCycle(
                scope=scope,
                transport=theirs,  # type: ignore[arg-type]
                flow=theirs.flow,
                logger=log,
                access_logger=log,
                access_log=False,
                default_headers=DATE,
                message_event=asyncio.Event(),
                expect_100_continue=continues,
                keep_alive=keep_alive,
                on_response=theirs.on_response_complete,
            ),
        ),
    ]


async def _answer(cycle: Any, messages: list[dict[str, Any]], asks: bool) -> list[str]:
    """What an application is told that asks for the request first, if it `asks`, and sends these messages."""
    told = []

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        if asks:
            told.append(str(await receive()))
        for message in messages:
            try:
                await send(message)
            except RuntimeError as exc:
                told.append(str(exc).replace('"', "'"))
                raise

    cycle.body += b"{}"
    cycle.more_body = False
    cycle.message_event.set()
    await (cycle.run if isinstance(cycle, Cycle) else cycle.run_asgi)(app)
    return told


def _start(*headers: tuple[bytes, bytes], status: int = 200) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": [*headers]}


def _body(body: bytes = b"", more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


ANSWERS = {
    "a stream": [_start((b"X-Name", b"a, b")), _body(b"one", True), _body(b"", True), _body(b"two", True), _body()],
    "a stream whose last piece has text": [_start(), _body(b"one", True), _body(b"two")],
    "a length": [_start(LENGTH), _body(b"hel", True), _body(b"lo")],
    "too long": [_start(LENGTH), _body(b"hello!")],
    "too short": [_start(LENGTH), _body(b"hell")],
    "no bytes": [_start((b"content-length", b"0")), _body()],
    "chunked as asked": [_start((b"Transfer-Encoding", b"Chunked")), _body(b"hello")],
    "chunked in spite of a length": [_start(LENGTH, (b"transfer-encoding", b"chunked")), _body(b"hello")],
    "another coding": [_start((b"transfer-encoding", b"gzip")), _body(b"hello")],
    "nothing to send": [_start(status=204), _body()],
    "not modified": [_start(status=304), _body()],
    "a body that may not be": [_start(status=204), _body(b"hello")],
    "an unknown status": [_start(status=599), _body(b"hello")],
    "it closes": [_start(LENGTH, (b"Connection", b"x, Close")), _body(b"hello")],
    "it keeps": [_start(LENGTH, (b"connection", b"keep-alive")), _body(b"hello")],
    "a bad name": [_start((b"a b", b"c")), _body(b"hello")],
    "a bad value": [_start((b"a", b"b\r\nc: d")), _body(b"hello")],
    "a second start": [_start(), _start(), _body(b"hello")],
    "no start": [_body(b"hello")],
    "no end": [_start(), _body(b"hello", True)],
    "nothing": [],
    "less than a message": [{"type": "http.response.start", "status": 200}, {"type": "http.response.body"}],
}


@pytest.mark.parametrize("what", ANSWERS)
@pytest.mark.parametrize("method", ["POST", "HEAD"])
def test_an_answer_is_that_of_uvicorn(what: str, method: str) -> None:
    async def run() -> None:
        for keep_alive in (True, False):
            for continues in (True, False):
                for asks in (True, False):
                    seen = [
                        (await _answer(cycle, ANSWERS[what], asks), transport.sent, transport.did)
                        for transport, cycle in _cycles(method, keep_alive, continues)
                    ]
                    assert seen[0] == seen[1]

    asyncio.run(run())


def test_nothing_may_follow_a_complete_answer() -> None:
    async def run() -> None:
        for transport, cycle in _cycles("POST", True, False):
            [told] = await _answer(cycle, [_start(LENGTH), _body(b"hello"), _body(b"more")], False)
            assert "after response already completed" in told
            assert transport.sent.endswith(b"\r\n\r\nhello")

    asyncio.run(run())


def test_after_a_disconnect_nothing_is_written() -> None:
    async def run() -> None:
        transport, cycle = _cycles("POST", True, True)[0]
        cycle.disconnected = True
        assert await _answer(cycle, ANSWERS["a stream"], True) == [str({"type": "http.disconnect"})]
        assert (transport.did, transport.sent) == ([], b"")

    asyncio.run(run())


@pytest.mark.parametrize("fault", [RuntimeError, SystemExit, KeyboardInterrupt, asyncio.CancelledError])
def test_a_share_is_given_back_whatever_the_application_raises(fault: type[BaseException]) -> None:
    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        raise fault

    async def run() -> None:
        budget, connection = Budget(), Transport()
        share = Share(budget)
        scope: Any = {"type": "http", "method": "GET", "http_version": "1.1"}
        cycle = Cycle(connection, scope, share, DATE, True, False)
        assert share.grow(100)
        await cycle.run(app)
        assert (budget.held, share.closed) == (0, True)
        assert connection.sent.startswith(b"HTTP/1.1 500 ")

    asyncio.run(run())
