"""Requests that are answered, or given up, before they have been read: by a provider's server, and by our own."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from aura_core.streams import PreparedPost, session
from aura_core.testing import AuraServer

LIMITS = aiohttp.ClientTimeout(None, connect=5, sock_connect=5)


def run(url: str, use: Callable[[PreparedPost], Awaitable[Any]]) -> Any:
    """What `use` makes of a PreparedPost."""

    async def start() -> Any:
        async with session(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)) as own:
            return await use(PreparedPost(own, url))

    return asyncio.run(start())


async def whole(post: PreparedPost, content: bytes = b"{}") -> tuple[int, bytes]:
    async with await post.send([], content, LIMITS) as answer:
        return answer.status, await answer.content.read()


BIG = b"x" * 8_000_000  # more than the kernel takes


def test_a_connection_with_a_request_that_was_not_read_is_not_used_again(raw_server: Callable[..., Any]) -> None:
    """As when a proxy refuses a body that is too large, and does not read it."""
    over = threading.Event()

    def talk(connection: socket.socket, number: int) -> None:
        connection.recv(100)
        refusal = b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n"
        connection.sendall(refusal if number == 1 else b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        over.wait(30)

    async def two(post: PreparedPost) -> list[tuple[int, bytes]]:
        return [await whole(post, BIG), await asyncio.wait_for(whole(post), 20)]

    try:
        assert run(raw_server(talk).url, two) == [(413, b""), (200, b"ok")]  # and its session closes
    finally:
        over.set()


def test_a_request_that_is_given_up_is_not_kept_until_the_server_reads_it(raw_server: Callable[..., Any]) -> None:
    ended = threading.Event()
    came: list[int] = []

    def talk(connection: socket.socket, _number: int) -> None:
        came.append(len(connection.recv(100)))
        begun.set()
        left.wait(30)
        with suppress(ConnectionResetError):
            while piece := connection.recv(1 << 20):
                came.append(len(piece))
        ended.set()

    async def give_up(post: PreparedPost) -> None:
        asked = asyncio.create_task(whole(post, BIG))
        assert await asyncio.to_thread(begun.wait, 30)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await asyncio.sleep(0.1)  # the loop's rounds in which it closes
        left.set()
        assert await asyncio.to_thread(ended.wait, 30)

    begun, left = threading.Event(), threading.Event()
    run(raw_server(talk).url, give_up)
    assert sum(came) < len(BIG), "the rest of the request must not be sent"


def test_a_connection_with_a_refused_request_is_closed_when_nothing_more_comes(tmp_path: Path) -> None:
    """The refusal leaves before the body has come."""
    request = b"POST /api/agents/echo/chat HTTP/1.1\r\nhost: elsewhere.example\r\ncontent-length: 2\r\n\r\n"
    with (
        AuraServer(tmp_path, {}, "[server]\nkeep_alive = 0.2") as aura,
        socket.create_connection(("127.0.0.1", aura.port), timeout=20) as client,
    ):
        client.sendall(request)
        said = b""
        while b"misdirected_host" not in said:
            said += client.recv(65536)
        client.sendall(b"{}")
        assert client.recv(65536) == b""
