"""No request occupies the event loop for more than 100 ms, whatever it contains: all others would wait as long."""

import asyncio
import gc
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import pytest

from aura_core.testing import AuraServer

LIMIT = 0.1
SIZE = 4 * 1024 * 1024  # server.max_body
AGENTS = {"echo.md": "---\nprovider: echo\noptions: {text: a}\n---\n", "says.md": "---\nprovider: echo\n---\n"}


def limit() -> float:
    """LIMIT, or on a machine with slow memory six times the CPU time that decoding 100,000 objects takes here and now
    (measured where that took 26 ms: bodies hold the loop for up to five times as long)."""
    text = b"[" + TURN + (b"," + TURN) * 99_999 + b"]"
    begin = time.thread_time()
    msgspec.json.decode(text)
    return max(LIMIT, 6 * (time.thread_time() - begin))


class LoopWatch:
    """Measures the CPU time of each iteration of the server's loop, which a busy machine does not change."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.longest = 0.0
        self._last: float | None = None
        self._on = False

    @contextmanager
    def watching(self) -> Iterator[None]:
        self.longest, self._last, self._on = 0.0, None, True
        self._loop.call_soon_threadsafe(self._turn)
        try:
            yield
        finally:
            self._on = False

    def _turn(self) -> None:
        now = time.thread_time()
        if self._last is not None:
            self.longest = max(self.longest, now - self._last)
        self._last = now
        if self._on:
            self._loop.call_soon(self._turn)


@pytest.fixture(scope="module")
def aura(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuraServer]:
    with AuraServer(tmp_path_factory.mktemp("aura"), AGENTS) as server:
        assert server.ask("echo")[-1].name == "done"
        gc.collect()
        gc.freeze()  # as `aura serve` does; here it also includes all objects of the tests
        yield server
        gc.unfreeze()


def _filled(before: bytes, filling: bytes, after: bytes = b"") -> bytes:
    """A text of 4 MiB, filled with as many copies of the filling as fit."""
    return before + filling * ((SIZE - len(before) - len(after)) // len(filling)) + after


PROMPT = b'{"prompt":"'
OTHER = b'{"prompt":"a","x":'
TURN = b'{"role":"user","content":""}'
BODIES: dict[str, Callable[[], bytes]] = {
    "backslashes": lambda: _filled(PROMPT, rb"\\", b'"}'),
    "halves of characters": lambda: _filled(PROMPT, rb"\ud800", b'"}'),
    "second halves": lambda: _filled(PROMPT, rb"\udc00", b'"}'),
    "backslashes, and half a character": lambda: _filled(PROMPT + rb"\ud800", rb"\\", b'"}'),
    "halves and backslashes": lambda: _filled(PROMPT, rb"\ud800\\", b'"}'),
    "whole characters, and half a one": lambda: _filled(PROMPT + rb"\ud800a", rb"\ud83d\ude00", b'"}'),
    "escapes that need none, and half a character": lambda: _filled(PROMPT + rb"\ud800", rb"\u0041", b'"}'),
    "quotes, and half a character": lambda: _filled(PROMPT + rb"\ud800", rb"\"", b'"}'),
    "wrong escapes": lambda: _filled(PROMPT + rb"\ud800", rb"\x", b'"}'),
    "halves in a key": lambda: _filled(b'{"', rb"\ud800", b'":1}'),
    "halves in keys": lambda: _filled(b'{"prompt":"a"', rb',"\ud800":1', b"}"),
    "halves that nothing ends": lambda: _filled(PROMPT, rb"\ud800"),
    "spaces": lambda: _filled(PROMPT, b" ", b'"}'),
    "spaces as context": lambda: _filled(b'{"prompt":"a","additionalContext":"', b" ", b'"}'),
    "line breaks as context": lambda: _filled(b'{"prompt":"a","additionalContext":"', rb"\n", b'"}'),
    "white space": lambda: _filled(b"", b" \n\t\r"),
    "white space before": lambda: _filled(b"", b" ", b'{"prompt":"a"}'),
    "a key that looks like a message": lambda: _filled(b'{"prompt":"a"," - at `$', b"a", b'`x":1}'),
    "a key of backticks": lambda: _filled(b'{"prompt":"a","', b"`", b'":1}'),
    "a key of marks": lambda: _filled(b'{"prompt":"a","', b"<a", b'":1}'),
    "a key of spaces": lambda: _filled(b'{"prompt":"a","', b" a", b'":1}'),
    "a key of wide characters": lambda: _filled(b'{"prompt":"a","', "\U0001f600".encode(), b'":1}'),
    "a role": lambda: _filled(b'{"prompt":"a","conversationHistory":[{"content":"","role":"', b"`a", b'"}]}'),
    "lists in lists": lambda: _filled(OTHER, b"["),
    "objects in objects": lambda: _filled(b"", b'{"a":'),
    "lists beside lists": lambda: _filled(OTHER + b"[", b"[],", b"[]]}"),
    "numbers": lambda: _filled(OTHER + b"[", b"1,", b"1]}"),
    "floats": lambda: _filled(OTHER + b"[", b"1e9,", b"1]}"),
    "digits": lambda: _filled(OTHER, b"9", b"}"),
    "digits as a prompt": lambda: _filled(b'{"prompt":', b"9", b"}"),
    "digits of a fraction": lambda: _filled(b'{"prompt":0.', b"9", b"}"),
    "lists beside lists, and half a character": lambda: _filled(rb'{"prompt":"\ud800","x":[', b"[],", b"[]]}"),
    "the same key": lambda: _filled(b"{", b'"prompt":"a",', b'"prompt":"a"}'),
    "turns": lambda: _filled(b'{"prompt":"a","conversationHistory":[', TURN + b",", TURN + b"]}"),
    "turns, and half a character": lambda: _filled(
        rb'{"prompt":"\ud800","conversationHistory":[', TURN + b",", TURN + b"]}"
    ),
    "turns of a word": lambda: _filled(
        b'{"prompt":"a","conversationHistory":[', b'{"role":"user","content":"a"},', TURN + b"]}"
    ),
    "words": lambda: _filled(PROMPT, b"a ", b'"}'),
    "emojis": lambda: _filled(PROMPT, "\U0001f600 ".encode(), b'"}'),
    "zeros": lambda: _filled(b"", b"\0"),
    "bad UTF-8": lambda: _filled(PROMPT, b"\xff", b'"}'),
    "UTF-8 that ends badly": lambda: _filled(PROMPT, "ä".encode(), b'\xff"}'),
}


def _ask(aura: AuraServer, said: bytes, enough: float = math.inf) -> bytes:
    """Send a request, and disconnect when its response has ended or is long enough; return the response."""
    got = b""
    with socket.create_connection(("127.0.0.1", aura.port), timeout=60) as sock:
        with suppress(ConnectionError):  # it is refused before it was completely sent
            sock.sendall(said)
        with suppress(ConnectionError):
            while len(got) < enough and (chunk := sock.recv(1 << 20)):
                got += chunk
    return got


def _post(agent: str, route: str, body: bytes, headers: bytes = b"") -> bytes:
    length = b"" if b"chunked" in headers else b"Content-Length: %d\r\n" % len(body)
    return (
        b"POST /api/agents/%b/%b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
        b"%b%b\r\n%b" % (agent.encode(), route.encode(), length, headers, body)
    )


def _check(aura: AuraServer, said: bytes, statuses: str = "200 400", enough: float = math.inf) -> None:
    watch = LoopWatch(aura.loop)
    with watch.watching():
        answer = _ask(aura, said, enough)
    print(f"held for {watch.longest * 1000:.1f} ms")
    assert answer[9:12].decode() in statuses.split() or not answer, answer[:200]
    assert watch.longest <= limit(), f"the loop was held for {watch.longest * 1000:.0f} ms"


@pytest.mark.parametrize("body", BODIES)
def test_a_body_of_4_mib_full_of(body: str, aura: AuraServer) -> None:
    _check(aura, _post("echo", "chat", BODIES[body]()))


@pytest.mark.parametrize("body", ["words", "emojis", "line breaks as context", "backslashes", "halves of characters"])
def test_an_answer_that_repeats_4_mib_full_of(body: str, aura: AuraServer) -> None:
    _check(aura, _post("says", "chat/stream", BODIES[body]()), enough=1_000_000)


CHAT = b'{"model":"echo","messages":['
SAID = b'{"role":"user","content":"a"}'
OPENAI: dict[str, Callable[[], bytes]] = {
    "messages": lambda: _filled(CHAT, SAID + b",", SAID + b"]}"),
    "messages that say nothing": lambda: _filled(CHAT, TURN + b",", SAID + b"]}"),
    "system messages": lambda: _filled(CHAT, b'{"role":"system","content":"a"},', SAID + b"]}"),
    "messages of one part": lambda: _filled(CHAT, b'{"role":"user","content":[{"type":"text"}]},', SAID + b"]}"),
    "parts": lambda: _filled(
        CHAT + b'{"role":"user","content":[', b'{"type":"text"},', b'{"type":"text","text":"a"}]}]}'
    ),
    "tools": lambda: _filled(CHAT + SAID + b'],"tools":[', b"{},", b"{}]}"),
}


@pytest.mark.parametrize("body", OPENAI)
def test_a_body_of_4_mib_for_the_openai_api_full_of(body: str, aura: AuraServer) -> None:
    said = OPENAI[body]()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    _check(aura, head + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(said) + said, "200")


def test_a_body_of_4_mib_in_chunks_of_a_byte(aura: AuraServer) -> None:
    chunk = b"1\r\na\r\n"
    body = b"b\r\n%b\r\n" % PROMPT + chunk * (SIZE // len(chunk)) + b'2\r\n"}\r\n0\r\n\r\n'
    _check(aura, _post("echo", "chat", body, b"Transfer-Encoding: chunked\r\n"), "200")


ROOM = 62_000  # bytes of the 64 KiB that a request head may have
HEADS: dict[str, bytes] = {
    "one name": b"GET /api/agents HTTP/1.1\r\nHost: localhost\r\n" + b"a: bcd\r\n" * (ROOM // 8),
    "empty ones": b"GET /api/agents HTTP/1.1\r\nHost: localhost\r\n" + b"a:\r\n" * (ROOM // 5),
    "hosts": b"GET /api/agents HTTP/1.1\r\n" + b"Host:a\r\n" * (ROOM // 8),
    "names": b"GET /api/agents HTTP/1.1\r\nHost: localhost\r\n" + b"".join(b"%x:\r\n" % n for n in range(ROOM // 8)),
    "cookies": b"GET /api/agents HTTP/1.1\r\nHost: localhost\r\nCookie: " + b"a=b;" * (ROOM // 4) + b"\r\n",
    "marks": b"GET / HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: " + b"a," * (ROOM // 2) + b"\r\n",
    "slashes": b"GET " + b"/" * ROOM + b" HTTP/1.1\r\nHost: localhost\r\n",
    "folders": b"GET " + b"/a" * (ROOM // 2) + b" HTTP/1.1\r\nHost: localhost\r\n",
    "folders of agents": b"GET /api/agents" + b"/a" * (ROOM // 2) + b" HTTP/1.1\r\nHost: localhost\r\n",
    "dots": b"GET /web" + b"/.." * (ROOM // 3) + b" HTTP/1.1\r\nHost: localhost\r\n",
    "escapes": b"GET /api/agents/" + b"%41" * (ROOM // 3) + b" HTTP/1.1\r\nHost: localhost\r\n",
    "escapes of no text": b"GET /api/agents/" + b"%ff" * (ROOM // 3) + b" HTTP/1.1\r\nHost: localhost\r\n",
    "parameters": b"GET /api/agents?" + b"a&" * (ROOM // 2) + b" HTTP/1.1\r\nHost: localhost\r\n",
    "escaped parameters": b"GET /api/agents?a=" + b"%41" * (ROOM // 3) + b" HTTP/1.1\r\nHost: localhost\r\n",
    "colons as a host": b"GET /api/agents HTTP/1.1\r\nHost: " + b":" * ROOM + b"\r\n",
    "brackets as a host": b"GET /api/agents HTTP/1.1\r\nHost: [" + b":" * ROOM + b"\r\n",
    "slashes as an origin": b"GET /api/agents HTTP/1.1\r\nHost: localhost\r\nOrigin: " + b":/" * (ROOM // 2) + b"\r\n",
    "an address": b"GET http://" + b"a" * ROOM + b"/ HTTP/1.1\r\nHost: localhost\r\n",
}


@pytest.mark.parametrize("head", HEADS)
def test_a_head_of_64_kib_full_of(head: str, aura: AuraServer) -> None:
    said = HEADS[head] + b"Connection: close\r\n\r\n"
    _check(aura, said, "200 400 403 404 421 431")


def test_bytes_after_a_request(aura: AuraServer) -> None:
    _check(aura, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * (SIZE // 42))


@pytest.mark.parametrize(
    "path",
    ["/", "/web/app.js", "/health", "/health/ready", "/metrics", "/api/agents", "/api/agents/echo", "/api/providers"],
)
def test_every_get_route(path: str, aura: AuraServer) -> None:
    _check(aura, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode(), "200 404")


def test_the_schema_at_its_first_request(aura: AuraServer) -> None:
    _check(aura, b"GET /schema/openapi.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "200")


@contextmanager
def _flooding(flood: bytes) -> Iterator[str]:
    """A server that answers each request with this alone until the client disconnects. Returns its address."""

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    connection.settimeout(60)
                    connection.recv(65536)
                    while True:
                        connection.sendall(flood)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("status", ["100 Continue", "102 Processing", "103 Early Hints"])
@pytest.mark.parametrize("plugin", ["ollama", "openai"])
def test_an_upstream_that_floods_interim_answers(plugin: str, status: str, tmp_path: Path) -> None:
    with _flooding(f"HTTP/1.1 {status}\r\n\r\n".encode() * 10_000) as url:
        toml = f'[server]\nretries = 0\n[providers.it]\nplugin = "{plugin}"\nbase_url = "{url}"'
        with AuraServer(tmp_path, {"it.md": "---\nprovider: it\nmodel: m\n---\n"}, toml) as aura:
            aura.ask("it")  # modules that a first request imports are loaded
            watch = LoopWatch(aura.loop)
            with watch.watching():
                answer = aura.ask("it")
    assert [(event.name, event.data["code"]) for event in answer] == [("error", "bad_response")]
    assert watch.longest <= limit(), f"the loop was held for {watch.longest * 1000:.0f} ms"
    print(f"held for {watch.longest * 1000:.1f} ms")


@pytest.mark.parametrize("plugin", ["ollama", "openai"])
def test_some_interim_answers_come_before_an_answer(plugin: str, tmp_path: Path) -> None:
    body = {
        "ollama": b'{"message":{"content":"a"},"done":true,"done_reason":"stop"}\n',
        "openai": b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n',
    }[plugin]
    said = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 4
    said += b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(said)
            connection.recv(65536)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        toml = f'[server]\nretries = 0\n[providers.it]\nplugin = "{plugin}"\nbase_url = "{url}"'
        with AuraServer(tmp_path, {"it.md": "---\nprovider: it\nmodel: m\n---\n"}, toml) as aura:
            assert [event.name for event in aura.ask("it")] == ["token", "done"]
