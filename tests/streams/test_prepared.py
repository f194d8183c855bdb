"""PreparedPost: what it sends, and how an answer of it ends."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from aura_core.hang_up import AnswerTask
from aura_core.streams import PreparedPost, session
from aura_core.testing import Reply, Upstream

LIMITS = aiohttp.ClientTimeout(None, connect=5, sock_connect=5)
Headers = list[tuple[bytes, bytes]]


def run(url: str, use: Callable[[PreparedPost], Awaitable[Any]], **headers: str) -> Any:
    """What `use` makes of a PreparedPost, whose headers are these."""

    async def start() -> Any:
        async with session(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)) as own:
            return await use(PreparedPost(own, url, headers))

    return asyncio.run(start())


async def whole(post: PreparedPost, headers: Headers | None = None, content: bytes = b"{}") -> tuple[int, bytes]:
    async with await post.send(headers or [], content, LIMITS) as answer:
        return answer.status, await answer.content.read()


def test_a_request_is_the_one_that_aiohttp_sends() -> None:
    async def both(url: str, headers: dict[str, str]) -> None:
        async with session(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)) as own:
            async with own.post(url, data=b"body", headers=headers) as response:
                await response.read()
            post = PreparedPost(own, url, {"Content-Type": "application/json"})
            await whole(post, [(b"X-Request-Id", b"r"), (b"User-Agent", b"aura")], b"body")

    with Upstream(Reply([b"x"])) as upstream:
        url = f"{upstream.url}/a%20path/with?q=1&r=%C3%BC"
        named = {"Content-Type": "application/json", "X-Request-Id": "r", "User-Agent": "aura"}
        named["Accept-Encoding"] = "identity"
        asyncio.run(both(url, named))
        usual, prepared = upstream.wait_requests(2)
    assert (prepared.method, prepared.path, prepared.body) == (usual.method, usual.path, usual.body)
    assert prepared.headers == usual.headers


def test_its_own_headers_and_the_framing_cannot_be_said_twice() -> None:
    given = [(b"ACCEPT", b"text/event-stream"), (b"Content-Length", b"99"), (b"Transfer-Encoding", b"chunked")]
    with Upstream(Reply([b"x"])) as upstream:
        assert run(upstream.url, lambda post: whole(post, given), Accept="*/*") == (200, b"x")
        (request,) = upstream.wait_requests()
    assert request.headers["accept"] == "text/event-stream"
    assert request.headers["content-length"] == "2"
    assert "transfer-encoding" not in request.headers


@pytest.mark.parametrize("value", [b"a\r\nx: y", b"a\n", b"a\rb", b"a\0b"])
def test_a_header_of_more_than_a_line_is_refused(value: bytes) -> None:
    with Upstream(Reply([b"x"])) as upstream:
        with pytest.raises(ValueError, match="header"):
            run(upstream.url, lambda post: whole(post, [(b"x", value)]))
        with pytest.raises(ValueError, match="header"):
            run(upstream.url, lambda post: whole(post, [(value, b"x")]))


def test_an_answer_that_was_read_leaves_its_connection_for_the_next() -> None:
    async def three(post: PreparedPost) -> set[tuple[int, bytes]]:
        return {await whole(post) for _ in range(3)}

    with Upstream(Reply([b"one ", b"answer"])) as upstream:
        assert run(upstream.url, three) == {(200, b"one answer")}
        assert upstream.connections == 1


def test_an_answer_that_is_closed_early_stops_its_server() -> None:
    async def part(post: PreparedPost) -> bytes:
        async with await post.send([], b"{}", LIMITS) as answer:
            return await answer.content.readany()

    with Upstream(Reply([b"more"], repeat=True)) as upstream:
        assert run(upstream.url, part).startswith(b"more")
        upstream.wait_hangup()


def test_a_body_that_breaks_off_is_not_taken_for_whole() -> None:
    with Upstream(Reply([b"some"], ending="cut")) as upstream, pytest.raises(aiohttp.ClientPayloadError):
        run(upstream.url, whole)


def test_an_answer_without_a_body_can_be_read_and_closed() -> None:
    with Upstream(Reply(status=204, headers={"content-length": "0"})) as upstream:
        assert run(upstream.url, whole) == (204, b"")
        assert run(upstream.url, whole) == (204, b"")


UNREAD = {
    "before the head": Reply(head_delay=60),
    "chunked": Reply([b"x"], ending="stall"),
    "with a length": Reply([b"x"], headers={"content-length": "9"}, ending="stall"),
    "without a length": Reply([b"x"], ending="stall", chunked=False),
}


@pytest.mark.parametrize("name", UNREAD)
def test_whoever_reads_does_not_wake_when_its_client_has_left(name: str) -> None:
    """Nor does its session wait for the connection when it closes."""

    async def leave(post: PreparedPost) -> bool:
        begun = asyncio.Event()

        async def read() -> None:
            async with await post.send([], b"{}", LIMITS) as answer:
                while await answer.content.readany():
                    begun.set()

        reading = AnswerTask(read(), loop=asyncio.get_running_loop())
        await asyncio.to_thread(upstream.wait_requests)
        if name != "before the head":
            await begun.wait()
        assert reading.hang_up()
        await asyncio.to_thread(upstream.wait_hangup)
        woke = reading.done()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        return woke

    with Upstream(UNREAD[name]) as upstream:
        assert not run(upstream.url, leave)


def test_who_does_something_else_is_not_hung_up() -> None:
    """It is cancelled at once, and closes the connection in its clean-up, which nothing cuts."""

    async def leave(post: PreparedPost) -> None:
        begun = asyncio.Event()

        async def read() -> None:
            async with await post.send([], b"{}", LIMITS) as answer:
                await answer.content.readany()
                begun.set()
                await asyncio.sleep(60)

        reading = AnswerTask(read(), loop=asyncio.get_running_loop())
        await begun.wait()
        assert not reading.hang_up()
        assert not upstream.hangups
        reading.cancel()
        await asyncio.wait({reading})
        await asyncio.to_thread(upstream.wait_hangup)

    with Upstream(Reply([b"x"], ending="stall")) as upstream:
        run(upstream.url, leave)
