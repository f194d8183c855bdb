"""Closing the connection cancels the answer: the upstream's socket closes when the client's does."""

import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aura_core.answer.stream_record import StreamRecord
from aura_core.testing import AuraServer, Reply, Upstream

LINE = b'{"message":{"content":"hello"}}\n'
AGENT = {"o.md": "---\nprovider: ollama\nmodel: m\n---\n"}


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        yield server


@pytest.fixture
def aura(upstream: Upstream, tmp_path: Path) -> Iterator[AuraServer]:
    with AuraServer(tmp_path, AGENT, f'[providers.ollama]\nbase_url = "{upstream.url}"') as server:
        yield server


def _open(aura: AuraServer, route: str = "chat/stream") -> socket.socket:
    body = b'{"prompt": "a"}'
    sock = socket.create_connection(("127.0.0.1", aura.port), timeout=30)
    sock.sendall(
        b"POST /api/agents/o/%b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (route.encode(), len(body), body)
    )
    return sock


def _read_until(sock: socket.socket, text: bytes) -> bytes:
    got = b""
    while text not in got:
        chunk = sock.recv(65536)
        assert chunk, got
        got += chunk
    return got


def _rest(sock: socket.socket) -> bytes:
    got = b""
    try:
        while chunk := sock.recv(65536):
            got += chunk
    except ConnectionResetError:
        pass
    return got


def _leave(sock: socket.socket, how: str) -> None:
    if how == "reset":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if how == "half-close":
        sock.shutdown(socket.SHUT_WR)
    else:
        sock.close()


@pytest.mark.parametrize("how", ["close", "reset", "half-close"])
@pytest.mark.parametrize("when", ["before the head", "before the first token", "after a token"])
def test_a_disconnect_stops_the_generation(upstream: Upstream, aura: AuraServer, when: str, how: str) -> None:
    reply = {
        "before the head": Reply(head_delay=60),
        "before the first token": Reply(ending="stall"),
        "after a token": Reply([LINE], ending="stall"),
    }[when]
    upstream.queue(reply)
    sock = _open(aura)
    # The head is sent before the provider has sent anything.
    _read_until(sock, b"hello" if when == "after a token" else b": ok")
    upstream.wait_requests()
    assert not upstream.hangups
    left = time.monotonic()
    _leave(sock, how)
    assert upstream.wait_hangup() >= left
    upstream.wait_closed()
    sock.close()
    assert _idle(aura)
    assert not aura.runtime.abandonments


@pytest.mark.parametrize("when", ["before the first token", "after a token"])
def test_the_whole_answer_is_cancelled_too(upstream: Upstream, aura: AuraServer, when: str) -> None:
    upstream.queue(Reply([LINE] if when == "after a token" else [], ending="stall"))
    sock = _open(aura, "chat")
    upstream.wait_requests()
    time.sleep(0.05)
    sock.close()
    upstream.wait_hangup()
    assert _idle(aura)


def test_an_endless_answer_stops(upstream: Upstream, aura: AuraServer) -> None:
    upstream.queue(Reply([LINE * 100], repeat=True))
    sock = _open(aura)
    _read_until(sock, b"hello")
    sock.close()
    upstream.wait_hangup()
    assert _idle(aura)


def test_a_reader_that_never_reads_is_cut_off(upstream: Upstream, tmp_path: Path) -> None:
    toml = f'[server]\nwrite_timeout = 0.5\n[providers.ollama]\nbase_url = "{upstream.url}"'
    upstream.on("/api/chat", Reply([LINE * 1000], repeat=True))
    with AuraServer(tmp_path, AGENT, toml) as aura:
        sock = _open(aura)
        upstream.wait_hangup(timeout=15)
        assert _idle(aura)
        with sock:
            rest = _rest(sock)
    assert b"event: done" not in rest
    assert b"event: error" not in rest
    assert not rest.endswith(b"0\r\n\r\n"), "a cut stream must not look like a whole one"


READS = """
import asyncio, os, ssl, aiohttp
from aura_core import Token, hookimpl
from aura_core.streams import PreparedPost, session

@hookimpl
async def stream_chat(request):
    async with session(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)) as own:
        async with await PreparedPost(own, "{url}/api/chat").send([], b"{{}}", aiohttp.ClientTimeout(30)) as answer:
            try:
                while piece := await answer.content.readany():
                    yield Token(piece.decode())
                yield Token(finish_reason="stop")
            finally:
                while not os.path.exists("{told}"):
                    await asyncio.sleep(0.01)
"""
"""A plugin whose clean-up lasts until the file is there."""


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize("when", ["before the first token", "after a token"])
def test_the_provider_does_not_wait_for_the_clean_up(
    upstream: Upstream,
    tmp_path: Path,
    fake_plugin: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
    when: str,
    chunked: bool,
) -> None:
    parts = [b"hello"] if when == "after a token" else []
    upstream.queue(Reply(parts, ending="stall", chunked=chunked))
    told = tmp_path / "told"
    fake_plugin("reads", READS.format(url=upstream.url, told=told))
    records: list[StreamRecord] = []
    with AuraServer(tmp_path, {"o.md": "---\nprovider: reads\n---\n"}) as aura:
        aura.runtime.observers.append(lambda record, _: records.append(record))
        sock = _open(aura)
        _read_until(sock, b"hello" if when == "after a token" else b": ok")
        upstream.wait_requests()
        sock.close()
        upstream.wait_hangup()
        assert aura.runtime.providers.instances["reads"].places == 1, "its clean-up is not over"
        told.touch()
        assert _idle(aura)
    assert [record.outcome for record in records] == ["cancelled"]
    assert not aura.runtime.abandonments
    assert "raised while it was closed" not in caplog.text


def _idle(aura: AuraServer) -> bool:
    """Whether every slot is released."""
    end = time.monotonic() + 20
    while aura.runtime.relays and time.monotonic() < end:
        time.sleep(0.005)
    return not aura.runtime.relays
