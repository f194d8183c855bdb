"""`aura chat --url`: any error of the server at the address is reported in one line."""

import asyncio
import gzip
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from aura_core.answer.events import DoneEvent, ErrorEvent, TokenEvent
from aura_core.client import RemoteClient, _events
from aura_core.door import AgentInfo
from aura_core.doors.native import ChatBody
from aura_core.errors import ConfigError
from aura_core.limits import REMOTE_ANSWER_LIMIT
from aura_core.problems import Problem
from aura_core.testing import AuraServer, Reply, Upstream

TOKEN = "strong pass~word"
AGENT = (
    b'{"id":"%b","name":"E","description":"","provider":"echo","model":null,"temperature":null,'
    b'"streaming":%b,"tags":[],"error":null}'
)
DONE = b'event: done\ndata: {"totalTokens": 1, "finishReason": "stop"}\n\n'
STREAM = b': ok\n\nevent: token\ndata: {"content": "Hel\xc3\xa4"}\n\nevent: new\ndata: 5\n\nevent: done\n' + (
    b'data: {"totalTokens": 1, "finishReason": "stop"}\n\n'
)


def _chat(
    folder: Path, url: str, agent: str = "e", prompt: str = "Hello there", **environ: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "aura_core", "chat", agent, prompt, "--url", url],
        cwd=folder,
        env=os.environ | {"AURA_PLUGINS": "echo"} | environ,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


def _fails(result: subprocess.CompletedProcess[str], *words: str) -> None:
    assert (result.returncode, result.stdout) == (1, ""), result.stderr
    assert len(result.stderr.splitlines()) == 1, result.stderr
    for word in words:
        assert word in result.stderr


def _problem(url: str, agent: str = "e") -> str:
    """The error of an agent or of its answer."""

    async def ask() -> None:
        client = RemoteClient(url, None, "AURA_TOKEN")
        try:
            async for _ in client.ask(await client.agent(agent), ChatBody("Hello")):
                pass
        finally:
            await client.close()

    with pytest.raises(Problem) as raised:
        asyncio.run(ask())
    return raised.value.detail


@contextmanager
def _stands_for_aura(reply: bytes, streaming: bool = True, agent: bytes = b"e") -> Iterator[Upstream]:
    with Upstream(Reply([reply])) as upstream:
        upstream.on(f"/api/agents/{agent.decode()}", Reply([AGENT % (agent, b"true" if streaming else b"false")]))
        yield upstream


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:99999", "127.0.0.1:port", "ftp://127.0.0.1", "http://", "http://127.0.0.1/?a=b", "http://[::1"],
)
def test_an_invalid_address_is_reported(url: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(url) + ".*, such as http://127.0.0.1:5300"):
        RemoteClient(url, None, "AURA_TOKEN")


def test_an_unreachable_address_is_reported_with_the_cause(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"127.0.0.1:{free.getsockname()[1]}"
    _fails(_chat(tmp_path, url), f"aura: Aura does not answer at http://{url} ([Errno", "start it with: aura serve")
    _fails(_chat(tmp_path, "http://127.0.0.1:99999"), "aura: 'http://127.0.0.1:99999' is not the address")
    assert "Aura does not answer at" in _problem(f"http://{'a' * 70}.example")
    nothing = str(tmp_path / "none.pem")
    _fails(_chat(tmp_path, "https://127.0.0.1:1", SSL_CERT_FILE=nothing), "SSL_CERT_FILE: No such file")


def test_a_server_without_tls_is_reported_with_the_cause() -> None:
    def answer() -> None:
        connection, _ = plain.accept()
        with connection:
            connection.recv(100)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            while connection.recv(1000):  # a close with bytes unread would be a reset
                pass

    with socket.create_server(("127.0.0.1", 0)) as plain:
        thread = threading.Thread(target=answer)
        thread.start()
        assert "SSL" in _problem(f"https://127.0.0.1:{plain.getsockname()[1]}")
        thread.join()


def test_an_address_needs_no_scheme_and_a_token_is_sent(tmp_path: Path) -> None:
    with AuraServer(
        tmp_path, {"e.md": "---\nprovider: echo\n---\n"}, environ=os.environ | {"AURA_TOKEN": TOKEN}
    ) as aura:
        good = _chat(tmp_path, f"127.0.0.1:{aura.port}/", AURA_TOKEN=TOKEN)
        none = _chat(tmp_path, aura.url, MINE="", AURA_SERVER__TOKEN_ENV="MINE")
        wrong = _chat(tmp_path, aura.url, MINE="guess", AURA_SERVER__TOKEN_ENV="MINE")
        broken = _chat(tmp_path, aura.url, AURA_TOKEN="two\nlines")
        halves = _chat(tmp_path, aura.url, prompt="no \udcff text", AURA_TOKEN=TOKEN)
    assert (good.returncode, good.stdout, good.stderr) == (0, "Hello there\n", "")
    assert (halves.returncode, halves.stdout, halves.stderr) == (0, "no \ufffd text\n", "")
    _fails(none, "requires a token", "variable MINE")
    _fails(wrong, "refuses the token", "variable MINE")
    _fails(broken, "AURA_TOKEN", "no header can carry")


@pytest.mark.parametrize("agent", ["what?", "a/b", "a#b", "ä", "a%2fb", "..", "\udcff", "a" * 70_000])
def test_any_agent_name_can_be_requested(agent: str, tmp_path: Path) -> None:
    with AuraServer(tmp_path) as aura:
        assert "There is no" in _problem(aura.url, agent)


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_line_ends_of_any_kind_are_read(ending: bytes, size: int) -> None:
    body = STREAM.replace(b"\n", ending)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), size):
            yield body[start : start + size]

    async def read() -> list[object]:
        return [event async for event in _events(httpx.Response(200, content=pieces()))]

    first, last = asyncio.run(read())
    assert "Helä" in str(first)
    assert "stop" in str(last)


def test_a_proxy_may_change_line_ends(tmp_path: Path) -> None:
    with _stands_for_aura(STREAM.replace(b"\n", b"\r\n")) as upstream:
        result = _chat(tmp_path, upstream.url)
    assert (result.returncode, result.stdout, result.stderr) == (0, "Helä\n", "")


@pytest.mark.parametrize(
    ("body", "streaming"),
    [
        (b'event: token\ndata: {"content": \n\n', True),
        (b"<html>", False),
        (b"[1]", False),
        (b'{"content": "\xff"}', False),
    ],
)
def test_a_response_of_another_program_is_reported(body: bytes, streaming: bool) -> None:
    with _stands_for_aura(body, streaming) as upstream:
        assert _problem(upstream.url) == f"There is no Aura at {upstream.url}: the answer is not in its format."


FAILS = "---\nprovider: echo\noptions: {{text: a, fail_after: {}, code: {}, retry_after: {}, streaming: {}}}\n---\n"


@pytest.mark.parametrize("streaming", ["true", "false"])
def test_a_failed_answer_keeps_its_text_and_shows_when_to_retry(streaming: str, tmp_path: Path) -> None:
    agents = {
        "e.md": FAILS.format(0, "rate_limited", 30, streaming),
        "part.md": FAILS.format(1, "interrupted", "null", streaming),
    }
    with AuraServer(tmp_path, agents) as aura:
        limited = _chat(tmp_path, aura.url)
        part = _chat(tmp_path, aura.url, "part")
        aura.runtime.draining = True
        drained = _chat(tmp_path, aura.url)
        aura.runtime.draining = False
    _fails(limited, "failed (rate_limited): ", "Try again in 30 s.")
    assert (part.returncode, part.stdout) == (1, "a\n")
    assert part.stderr.startswith("failed (interrupted): ")
    assert part.stderr.endswith(" Try again.\n")
    _fails(drained, "failed (server_shutdown): ", "Try again in 5 s.")


def test_a_server_other_than_aura_is_reported(tmp_path: Path) -> None:
    with Upstream(Reply([b"<html>"])) as foreign:
        _fails(_chat(tmp_path, foreign.url), "There is no Aura at")
    with Upstream() as foreign:
        assert "status 404" in _problem(foreign.url)


# Endless and deeply nested responses

DEEP = b"[" * 100_000


@contextmanager
def _sends(head: bytes, piece: bytes) -> Iterator[tuple[str, list[int]]]:
    """A server that sends a head and then one piece repeatedly until its client disconnects; it counts the bytes."""
    sent = list[int]()

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65536)
            connection.sendall(head)
            while piece:
                connection.sendall(piece)
                sent.append(len(piece))
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):  # a close with bytes unread would be a reset, which discards what was sent
                pass

    def serve() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=answer, args=[server.accept()[0]], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", sent
        server.shutdown(socket.SHUT_RDWR)


def _head(status: bytes, kind: bytes = b"application/json", more: bytes = b"") -> bytes:
    return b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-type: " + kind + b"\r\n" + more + b"\r\n"


@pytest.mark.parametrize("status", [b"200 OK", b"404 Not Found"])
def test_an_endless_body_is_abandoned(status: bytes) -> None:
    with _sends(_head(status), b"x" * 65536) as (url, sent):
        assert _problem(url).startswith(f"There is no Aura at {url}")
        assert sum(sent) < 2 * REMOTE_ANSWER_LIMIT


def _ask(url: str, streaming: bool = True) -> list[object]:
    """The events of an agent, without a check that the agent exists."""

    async def ask() -> list[object]:
        client = RemoteClient(url, None, "AURA_TOKEN")
        agent = AgentInfo("e", "E", "", None, None, None, streaming, [], None)
        try:
            return [event async for event in client.ask(agent, ChatBody("Hello"))]
        finally:
            await client.close()

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("piece", "streaming"),
    [
        (b"x" * 65536, True),  # a line
        (b"data: " + b"x" * 1000 + b"\n", True),  # an event
        (b": no event\n" * 1000, True),
        (b'event: token\ndata: {"content": "' + b"x" * 10_000 + b'"}\n\n', True),
        (b" " * 65536, False),
    ],
)
def test_an_endless_answer_is_abandoned(piece: bytes, streaming: bool) -> None:
    with _sends(_head(b"200 OK", b"text/event-stream"), piece) as (url, sent):
        assert _ask(url, streaming)[-1] == ErrorEvent("The answer is longer than 32 MiB.", "bad_response")
        assert sum(sent) < 2 * REMOTE_ANSWER_LIMIT + 4_000_000


def test_a_compressed_body_is_not_decompressed() -> None:
    """CWE-409: a megabyte that decompresses to a gigabyte."""
    bomb = gzip.compress(b" " * 50_000_000)
    with _sends(_head(b"200 OK", more=b"content-encoding: gzip\r\n") + bomb, b"") as (url, _):
        assert "the answer is not in its format" in _problem(url)


def test_endlessly_nested_json_is_not_aura(tmp_path: Path) -> None:
    """CWE-674. Regression: a traceback."""
    with _sends(_head(b"200 OK") + DEEP, b"") as (url, _):
        _fails(_chat(tmp_path, url), "the answer is not in its format")
    with _sends(_head(b"503 No") + DEEP, b"") as (url, _):
        _fails(_chat(tmp_path, url), "it answers with status 503")
    with _sends(_head(b"200 OK") + b"event: token\ndata: " + DEEP + b"\n\n", b"") as (url, _):
        for streaming in (True, False):
            with pytest.raises(Problem, match="not in its format"):
                _ask(url, streaming)


def test_a_name_and_a_message_have_a_length(tmp_path: Path) -> None:
    name = b"n" * 1_000_000
    long = AGENT.replace(b'"E"', b'"' + name + b'"').replace(b'"model":null', b'"model":"' + name + b'"')
    with _stands_for_aura(b'event: error\ndata: {"message": "' + name + b'", "code": "x"}\n\n') as upstream:
        upstream.on("/api/agents/e", Reply([long % (b"e", b"true")]))
        told = _chat(tmp_path, upstream.url)
    assert told.returncode == 1
    assert len(told.stderr) < 10_000


HIDDEN = "\x1b]0;title\x07 \x9b31m \u202egnp.exe \u2066 a\u200bb \r \x08 \u2028 \ufeff"


def test_no_text_of_a_server_controls_the_terminal(tmp_path: Path) -> None:
    """CWE-150: names, models, errors and answers, on stdout and on stderr."""
    said = json.dumps(HIDDEN).encode()
    agent = b'{"id":"e","name":%b,"description":"","provider":%b,"model":%b,"temperature":null,"streaming":true,'
    agent = agent % (said, said, said) + b'"tags":[],"error":null}'
    answer = b'event: token\ndata: {"content": %b}\n\nevent: error\ndata: {"message": %b, "code": %b}\n\n'
    with Upstream(Reply([answer % (said, said, said)])) as upstream:
        upstream.on("/api/agents/e", Reply([agent]))
        told = _chat(tmp_path, upstream.url)
        latin = _chat(tmp_path, upstream.url, PYTHONIOENCODING="cp1252")
    assert "]0;title" in told.stdout
    assert "failed (\\x1b]0;title\\x07 \\x9b31m \\u202egnp.exe" in told.stderr
    for text in (told.stdout, told.stderr, latin.stdout, latin.stderr):
        assert not {"\x1b", "\x9b", "\x07", "\x08", "\r", "\u202e", "\u2066", "\u2028"} & set(text), ascii(text)


# A server may fall silent

TOKEN_EVENT = b'event: token\ndata: {"content": "Hel"}\n\n'


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds become tenths."""
    monkeypatch.setattr("aura_core.client.REMOTE_SILENCE", 1.5)
    monkeypatch.setattr("aura_core.client.SHORTEST_SILENCE", 0.5)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("heartbeat", "seconds"),
    [(None, "1.5"), ("0.3", "0.9"), ("0.1", "0.5"), ("1e9", "1.5"), ("nan", "1.5"), ("x", "1.5")],
)
def test_a_stream_that_falls_silent_has_broken(heartbeat: str | None, seconds: str) -> None:
    headers = {} if heartbeat is None else {"aura-heartbeat": heartbeat}
    with Upstream(Reply([b": ok\n\n", TOKEN_EVENT], headers=headers, ending="stall")) as upstream:
        events = _ask(upstream.url)
        upstream.wait_hangup()
    assert events[0] == TokenEvent("Hel")
    assert events[1] == ErrorEvent(f"The server has been silent for {seconds} s.", "interrupted")


@pytest.mark.usefixtures("impatient")
def test_heartbeats_are_signs_of_life() -> None:
    pings = [b": ping\n\n", 0.3] * 8  # longer than the silence in all
    with Upstream(Reply([b": ok\n\n", *pings, TOKEN_EVENT, DONE], headers={"aura-heartbeat": "0.3"})) as upstream:
        assert _ask(upstream.url) == [TokenEvent("Hel"), DoneEvent(1, "stop")]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "reply", [Reply(head_delay=60), Reply([b"{"], ending="stall"), Reply([b"{"], status=503, ending="stall")]
)
def test_a_server_that_does_not_say_what_an_agent_is_is_given_up(reply: Reply) -> None:
    with Upstream(reply) as upstream:
        assert _problem(upstream.url) == (
            f"Aura does not answer at {upstream.url}: nothing came for 1.5 s; is it stuck?"
        )
        upstream.wait_hangup()


@pytest.mark.usefixtures("impatient")
def test_a_stream_that_never_begins_is_given_up() -> None:
    with Upstream(Reply(head_delay=60)) as upstream, pytest.raises(Problem, match="nothing came for") as raised:
        _ask(upstream.url)
    assert raised.value.code == "unavailable"


@pytest.mark.usefixtures("impatient")
def test_a_whole_answer_may_take_its_time() -> None:
    """It comes without heartbeats, and the head of its response comes with it."""
    whole = b'{"content": "Hello", "totalTokens": 1, "finishReason": "stop"}'
    with Upstream(Reply([whole], head_delay=3)) as upstream:
        assert _ask(upstream.url, streaming=False) == [TokenEvent("Hello"), DoneEvent(1, "stop")]


# A newer server may say what this version does not know


@pytest.mark.parametrize("where", ["agent", "answer"])
def test_an_unknown_code_is_shown_with_the_servers_words(where: str, tmp_path: Path) -> None:
    said = b'{"type":"urn:aura:problem:client_limit","title":"Too many","status":429,"code":"client_limit","new":[1]%b}'
    refusal = Reply([said % b',"detail":"You have 20 answers already."'], status=429, headers={"retry-after": "7"})
    with _stands_for_aura(STREAM) as upstream:
        upstream.on("/api/agents/e" if where == "agent" else "/api/agents/e/chat/stream", refusal)
        told = _chat(tmp_path, upstream.url)
        upstream.on("/api/agents/e/chat/stream", Reply([said % b""], status=429))
        if where == "answer":
            assert _problem(upstream.url) == "Too many"
    _fails(told, "You have 20 answers already.")
    if where == "answer":
        assert told.stderr == "failed (client_limit): You have 20 answers already. Try again in 7 s.\n"


def test_an_unknown_code_in_a_stream_is_shown_with_the_servers_words(tmp_path: Path) -> None:
    with _stands_for_aura(b'event: error\ndata: {"message": "Out of luck.", "code": "luck"}\n\n') as upstream:
        told = _chat(tmp_path, upstream.url)
    _fails(told, "failed (luck): Out of luck.")


def test_the_words_of_what_stands_before_aura_are_shown(tmp_path: Path) -> None:
    """RFC 9457 without a code, as gateways send it."""
    with Upstream(Reply([b'{"title": "Bad Gateway", "detail": "no route to aura-7"}'], status=502)) as proxy:
        told = _chat(tmp_path, proxy.url)
    _fails(told, f"There is no Aura at {proxy.url}: it answers with status 502 (no route to aura-7).")
