"""Connections that are kept between answers: they carry nothing over, and a stale one is replaced.

RFC 9112, section 9.2 (CWE-444): unsolicited bytes on a connection are not the answer to the next request.
"""

import asyncio
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import aiohttp
import anthropic  # noqa: F401  # takes longer on a busy machine than a client may take to open
import pytest

from aura_core.hang_up import AnswerTask
from aura_core.streams import PreparedPost, session
from aura_core.testing import AuraServer, Conformance, SseEvent

PLUGINS: dict[str, Conformance] = {
    name: next(ep for ep in entry_points(group="aura.conformance") if ep.name == name).load()
    for name in ("ollama", "openai", "azure", "anthropic")
}
Talk = Callable[[socket.socket, int], None]
Start = Callable[[Talk], Any]
LATER = 0.1
AGENT = "---\nprovider: {}\nmodel: m\n---\n"


@pytest.fixture(params=PLUGINS)
def plugin(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Conformance:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "sk-test")
    return PLUGINS[request.param]


@pytest.fixture
def serve(tmp_path: Path, plugin: Conformance) -> Callable[[str], AuraServer]:
    """Aura with an agent `it` that uses the plugin, without retries."""

    def start(url: str) -> AuraServer:
        table = "\n".join(f'{key} = "{value}"' for key, value in plugin.table(url).items())
        toml = f"[server]\nretries = 0\n[providers.{plugin.plugin}]\n{table}\n"
        return AuraServer(tmp_path, {"it.md": AGENT.format(plugin.plugin)}, toml)

    return start


def read(connection: socket.socket) -> bytes:
    """One request; empty if the client has closed the connection."""
    got = b""
    while b"\r\n\r\n" not in got:
        if not (piece := connection.recv(65536)):
            return b""
        got += piece
    head, _, body = got.partition(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    while len(body) < length:
        body += connection.recv(65536)
    return head + body


def whole(plugin: Conformance, text: str, status: str = "200 OK") -> bytes:
    """A response."""
    body = plugin.whole([text])
    kind = plugin.dialect.content_type if plugin.dialect else ""
    return f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def said(events: list[SseEvent]) -> str:
    """What the client got."""
    text = "".join(event.data["content"] for event in events if event.name == "token")
    return text if events[-1].name == "done" else f"{text}{events[-1].data['code']}"


# Unsolicited bytes


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1."""
    path = tmp_path_factory.mktemp("tls") / "own.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=aura"
    extensions = "-addext subjectAltName=IP:127.0.0.1"
    subprocess.run(
        f"{command} {extensions} -keyout {path} -out {path.with_suffix('.crt')}".split(),
        check=True,
        capture_output=True,
    )
    return path


class Dress:
    """Wrap a connection in TLS, or leave it plain."""

    def __init__(self, certificate: Path | None) -> None:
        self.scheme = "http:" if certificate is None else "https:"
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if certificate is not None:
            self._context.load_cert_chain(certificate.with_suffix(".crt"), certificate)

    def __call__(self, connection: socket.socket) -> socket.socket:
        return connection if self.scheme == "http:" else self._context.wrap_socket(connection, server_side=True)


@pytest.fixture(params=["plain", "tls"])
def dress(request: pytest.FixtureRequest, trusted: Path, monkeypatch: pytest.MonkeyPatch) -> Dress:
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted.with_suffix(".crt")))
    return Dress(trusted if request.param == "tls" else None)


UNASKED: dict[str, Callable[[bytes], tuple[bytes, bytes]]] = {
    "an-answer-later": lambda answer: (b"", answer),
    "an-answer-in-one-piece": lambda answer: (answer, b""),
    "an-answer-behind-the-body": lambda answer: (answer, b""),
    "an-answer-in-halves": lambda answer: (answer[:40], answer[40:]),
    "a-status-line-in-one-piece": lambda _: (b"HTTP/1.1 200 OK\r\n", b""),
    "the-beginning-of-a-header-in-one-piece": lambda _: (b"HTTP/1.1 204 Probe\r\nx: ", b""),
    "a-head-that-goes-on-in-one-piece": lambda _: (b"HTTP/1.1 100 Continue\r\n\r\n", b""),
    "a-byte-later": lambda _: (b"", b"x"),
    "a-line-end-later": lambda _: (b"", b"\r\n"),
    "no-http-behind-the-body": lambda _: (b"<html>", b""),
}


@pytest.mark.parametrize("how", UNASKED)
def test_unsolicited_bytes_are_not_an_answer(
    how: str,
    plugin: Conformance,
    serve: Callable[[str], AuraServer],
    dress: Dress,
    raw_server: Start,
) -> None:
    behind, later = UNASKED[how](whole(plugin, "unasked"))
    closed = threading.Event()

    def talk(connection: socket.socket, number: int) -> None:
        with dress(connection) as dressed:
            read(dressed)
            head, end, body = whole(plugin, f"answer {number}").partition(b"\r\n\r\n")
            if how.endswith("behind-the-body"):  # not HTTP; in one piece with the head, aiohttp's parser refuses both
                dressed.sendall(head + end)
                head, end = b"", b""
                time.sleep(LATER)
            dressed.sendall(head + end + body + behind)
            time.sleep(LATER)
            if later:
                dressed.sendall(later)
            if not dressed.recv(1):
                closed.set()

    server = raw_server(talk)
    with serve(server.url.replace("http:", dress.scheme)) as aura:
        answers = []
        for _ in range(3):
            answers.append(said(aura.ask("it")))
            assert closed.wait(10), "the connection must be closed"
            closed.clear()
    assert answers == ["answer 1", "answer 2", "answer 3"]


def test_unsolicited_bytes_that_arrive_before_the_loop_reads_are_not_an_answer(raw_server: Start) -> None:
    """Between the end of an answer and the next request the loop may not have run."""
    sent, go = threading.Event(), threading.Event()

    def talk(connection: socket.socket, number: int) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n%d" % number)
        if number == 1:
            go.wait(10)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nX")
            sent.set()
            connection.recv(65536)

    async def ask(url: str) -> list[str]:
        async with session(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)) as client:
            async with client.get(url) as first:
                one = await first.text()
            go.set()
            assert sent.wait(10)  # which blocks the loop
            async with client.get(url) as second:
                return [one, await second.text()]

    assert asyncio.run(ask(raw_server(talk).url)) == ["1", "2"]


def test_a_server_may_refuse_before_it_has_read_the_request(
    plugin: Conformance, serve: Callable[[str], AuraServer], raw_server: Start
) -> None:
    def talk(connection: socket.socket, _number: int) -> None:
        connection.sendall(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        read(connection)

    server = raw_server(talk)
    with serve(server.url) as aura:
        assert said(aura.ask("it")) == "unavailable"
    assert server.connections == 1


@pytest.mark.parametrize("reads", [True, False])
def test_a_hang_up_does_not_wait_for_a_server_that_sends_without_end(
    dress: Dress, raw_server: Start, reads: bool
) -> None:
    """TLS would read all of it before it says goodbye, and nothing while the client is slow."""
    gone = threading.Event()

    def talk(connection: socket.socket, _number: int) -> None:
        with dress(connection) as dressed:
            read(dressed)
            try:
                dressed.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                while True:
                    dressed.sendall(b"x" * 4096)
            except OSError:
                gone.set()

    async def leave(url: str) -> bool:
        begun = asyncio.Event()

        async def answer() -> None:
            limits = aiohttp.ClientTimeout(None, connect=5, sock_connect=5)
            async with await PreparedPost(own, url).send([], b"{}", limits) as response:
                while await response.content.readany():
                    begun.set()
                    await asyncio.sleep(0 if reads else 60)

        async with session(ssl.create_default_context()) as own:
            task = AnswerTask(answer(), loop=asyncio.get_running_loop())
            await begun.wait()
            await asyncio.sleep(LATER)
            if not task.hang_up():
                task.cancel()
            told = await asyncio.to_thread(gone.wait, 5)
            task.cancel()
            await asyncio.wait({task})
        return told

    assert asyncio.run(leave(raw_server(talk).url.replace("http:", dress.scheme)))


def test_a_hang_up_after_an_interim_response(raw_server: Start) -> None:
    said, gone = threading.Event(), threading.Event()

    def talk(connection: socket.socket, _number: int) -> None:
        read(connection)
        connection.sendall(b"HTTP/1.1 102 Processing\r\n\r\n")
        said.set()
        if not connection.recv(1):
            gone.set()

    async def leave(url: str) -> None:
        async with session(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)) as own:
            asking = PreparedPost(own, url).send([], b"{}", aiohttp.ClientTimeout(None, connect=5))

            async def answer() -> None:
                await asking

            task = AnswerTask(answer(), loop=asyncio.get_running_loop())
            assert await asyncio.to_thread(said.wait, 5)
            await asyncio.sleep(LATER)
            assert task.hang_up()
            assert await asyncio.to_thread(gone.wait, 5)
            assert not task.done()
            task.cancel()
            await asyncio.wait({task})

    asyncio.run(leave(raw_server(talk).url))


# Stale connections


def closes(connection: socket.socket) -> None:
    """Close it like a server that closes an idle connection."""


def resets(connection: socket.socket) -> None:
    """Reset it like a machine that has restarted."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")


def says_408(connection: socket.socket) -> None:
    """RFC 9110, section 15.5.9: the server stops waiting for a request, and closes."""
    connection.sendall(b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")


@pytest.mark.parametrize("end", [closes, resets, says_408])
def test_a_stale_connection_is_replaced_at_once(
    end: Callable[[socket.socket], None], plugin: Conformance, serve: Callable[[str], AuraServer], raw_server: Start
) -> None:
    requests = []

    def talk(connection: socket.socket, number: int) -> None:
        requests.append(read(connection))
        connection.sendall(whole(plugin, f"answer {number}"))
        requests.append(read(connection))
        end(connection)

    server = raw_server(talk)
    prompt = "large " * 150_000  # it is sent again completely
    with serve(server.url) as aura:
        assert [said(aura.ask("it", prompt)) for _ in range(3)] == ["answer 1", "answer 2", "answer 3"]
    assert server.connections == 3
    assert len({request.partition(b"{")[2] for request in requests if request}) == 1


@pytest.mark.parametrize(("end", "code"), [(closes, "unavailable"), (resets, "unavailable"), (says_408, "timeout")])
def test_a_new_connection_that_ends_is_not_stale(
    end: Callable[[socket.socket], None],
    code: str,
    plugin: Conformance,
    serve: Callable[[str], AuraServer],
    raw_server: Start,
) -> None:
    def talk(connection: socket.socket, _number: int) -> None:
        read(connection)
        end(connection)

    server = raw_server(talk)
    with serve(server.url) as aura:
        assert said(aura.ask("it")) == code
    assert server.connections == 1


@pytest.mark.parametrize("end", [closes, resets, says_408])
def test_a_stale_connection_is_replaced_once(
    end: Callable[[socket.socket], None], plugin: Conformance, serve: Callable[[str], AuraServer], raw_server: Start
) -> None:
    def talk(connection: socket.socket, number: int) -> None:
        read(connection)
        if number == 1:
            connection.sendall(whole(plugin, "answer 1"))
            read(connection)
        end(connection)

    server = raw_server(talk)
    with serve(server.url) as aura:
        assert said(aura.ask("it")) == "answer 1"
        assert said(aura.ask("it")) == ("timeout" if end is says_408 else "unavailable")
    assert server.connections == 2


def test_a_connection_that_ends_within_an_answer_is_not_stale(
    plugin: Conformance, serve: Callable[[str], AuraServer], raw_server: Start
) -> None:
    """The server has started to process the request: a retry is the core's decision."""

    def talk(connection: socket.socket, number: int) -> None:
        read(connection)
        connection.sendall(whole(plugin, f"answer {number}"))
        read(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-")

    server = raw_server(talk)
    with serve(server.url) as aura:
        assert said(aura.ask("it")) == "answer 1"
        assert said(aura.ask("it")) == "unavailable"
    assert server.connections == 1


@pytest.mark.parametrize("how", [socket.SHUT_WR, socket.SHUT_RDWR], ids=["half", "whole"])
def test_a_connection_that_the_server_has_closed_is_not_used_again(
    how: int,
    plugin: Conformance,
    serve: Callable[[str], AuraServer],
    dress: Dress,
    raw_server: Start,
) -> None:
    closed = threading.Event()

    def talk(connection: socket.socket, number: int) -> None:
        with dress(connection) as dressed:
            read(dressed)
            dressed.sendall(whole(plugin, f"answer {number}"))
            dressed.shutdown(how)
            if not dressed.recv(1):
                closed.set()

    server = raw_server(talk)
    with serve(server.url.replace("http:", dress.scheme)) as aura:
        answers = []
        for _ in range(2):
            answers.append(said(aura.ask("it")))
            assert closed.wait(10)
            closed.clear()
    assert answers == ["answer 1", "answer 2"]
    assert server.connections == 2


@pytest.fixture
def tired(raw_server: Start, plugin: Conformance) -> Iterator[Any]:
    """A server that closes each connection at its third request, as llama.cpp's does after many."""

    def talk(connection: socket.socket, _number: int) -> None:
        for _ in range(2):
            if not read(connection):
                return
            connection.sendall(whole(plugin, "Hi"))
        read(connection)

    return raw_server(talk)


def test_no_request_fails_on_a_stale_connection_among_many(tired: Any, serve: Callable[[str], AuraServer]) -> None:
    with serve(tired.url) as aura, ThreadPoolExecutor(12) as users:
        answers = list(users.map(lambda _: said(aura.ask("it")), range(120)))
    assert answers == ["Hi"] * 120


def test_a_reason_phrase_of_any_bytes_is_no_fault_of_the_plugin(
    raw_server: Start, plugin: Conformance, serve: Callable[[str], AuraServer]
) -> None:
    def talk(connection: socket.socket, _number: int) -> None:
        read(connection)
        connection.sendall(whole(plugin, "Hi").replace(b" 200 OK", b" 200 \xcf\xff", 1))
        read(connection)

    with serve(raw_server(talk).url) as aura:
        assert said(aura.ask("it")) == "Hi"
