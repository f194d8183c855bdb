"""`server.max_buffered`: memory of requests and unread answers is counted, bounded, and released exactly."""

import asyncio
import contextlib
import http.client
import json
import random
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from aura_core.answer.frame_buffer import FrameBuffer
from aura_core.budget import Budget, Share
from aura_core.errors import ConfigError, ProviderError
from aura_core.limits import ANSWER_RESERVE, BODY_PIECE, BUFFERED_SIZE, SMALL_SHARE, WHOLE_ANSWER_LIMIT
from aura_core.server import request_body
from aura_core.testing import AuraServer, Reply, Upstream

AGENTS = {
    "says.md": "---\nprovider: echo\n---\n",
    "stalls.md": "---\nprovider: echo\noptions: {text: a b, stall_after: 1}\n---\n",
    "fails.md": "---\nprovider: echo\noptions: {fail_after: 1}\n---\n",
    "endless.md": "---\nprovider: echo\noptions: {text: word, tokens: 100000000}\n---\n",
    "wide.md": f"---\nprovider: echo\noptions: {{text: {'x' * 8000}, tokens: 100000}}\n---\n",
    "broken.md": "---\nprovider: none such\n---\n",
    "raises.md": "---\nprovider: raising\n---\n",
    "slow.md": "---\nprovider: echo\noptions: {text: word, tokens: 1000, tokens_per_second: 50}\n---\n",
}
RAISING = """
from aura_core import Token, hookimpl

@hookimpl
async def stream_chat(request):
    yield Token("a")
    raise MemoryError
"""
MIB = 2**20


def until(condition: Callable[[], bool], what: str, seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds:g} s until {what}"
        time.sleep(0.01)


def nothing_held(aura: AuraServer) -> None:
    until(lambda: aura.runtime.budget.held == 0, f"nothing is held; {aura.runtime.budget.held} bytes are")


def question(agent: str, body: bytes, route: str = "chat/stream", length: int | None = None) -> bytes:
    head = f"POST /api/agents/{agent}/{route} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % (len(body) if length is None else length) + body


def prompt(text: str) -> bytes:
    return json.dumps({"prompt": text}).encode()


def read(sock: socket.socket) -> bytes:
    """Read until the server closes."""
    got = b""
    with contextlib.suppress(ConnectionError):
        while piece := sock.recv(65536):
            got += piece
    return got


def read_token(sock: socket.socket) -> None:
    """Read up to the first token."""
    got = b""
    while b"event: token" not in got:
        piece = sock.recv(65536)
        assert piece, got
        got += piece


# The budget itself


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["open", "grow", "shrink", "change", "close"]), st.integers(0, 400_000))))
def test_shares_hold_what_they_took_and_give_all_of_it_back(steps: list[tuple[str, int]]) -> None:
    budget, shares = Budget(2 * MIB), [Share(Budget(0))]
    for what, size in steps:
        share = shares[size % len(shares)]
        if what == "open":
            shares.append(Share(budget))
        elif what == "grow":
            after = share.size + size
            assert not share.grow(size) or share.size == after
        elif what == "shrink":
            share.shrink(min(size, share.size))
        elif what == "change" and share.size:
            share.change(share.size // 2, size)
        elif what == "close":
            share.close()
        assert 0 <= budget.held == sum(each.size for each in shares if not each.closed) <= budget.limit
    for share in shares:
        share.close()
        share.close()
        assert not share.grow(1)
    assert budget.held == 0


def test_large_shares_leave_room_for_small_ones() -> None:
    budget = Budget(100 * SMALL_SHARE)
    large, small = Share(budget), Share(budget)
    while large.grow(SMALL_SHARE):
        pass
    assert budget.held == 75 * SMALL_SHARE
    assert small.grow(SMALL_SHARE)
    assert not small.grow(1)


# The frame buffer


class Sink:
    """A connection whose client reads on the test's command."""

    def __init__(self, takes: bool = False) -> None:
        self.got = b""
        self.takes = takes
        self._room = asyncio.Event()

    def write(self, frames: list[bytes]) -> bool:
        self.got += b"".join(frames)
        return self.takes

    async def drain(self) -> None:
        self._room.clear()
        await self._room.wait()

    def unsent(self) -> int:
        return len(self.got)

    def read(self) -> None:
        self._room.set()


async def fill(buffer: FrameBuffer, size: int, many: int = 10_000) -> int:
    """Put frames until there is no space. Returns the number of bytes."""
    for number in range(1, many + 1):
        if not buffer.put(b"x" * size):
            try:
                async with asyncio.timeout(0.05):
                    await buffer.wait_for_room()
            except TimeoutError:
                return number * size
    raise AssertionError("there was always room")


def buffer_with(budget: Budget) -> tuple[FrameBuffer, Share]:
    share = Share(budget)
    assert share.grow(ANSWER_RESERVE)
    return FrameBuffer(len, share), share


def test_a_slow_client_gets_a_large_buffer_while_little_is_held() -> None:
    async def run() -> None:
        buffer, share = buffer_with(Budget(64 * MIB))
        sink = Sink()
        piping = asyncio.create_task(buffer.pipe(sink))
        assert BUFFERED_SIZE <= await fill(buffer, 4000) < BUFFERED_SIZE + 4000
        assert share.size >= BUFFERED_SIZE
        sink.takes = True
        sink.read()
        while share.size > ANSWER_RESERVE:  # what was extra is given back as soon as it is read
            await asyncio.sleep(0)
        assert share.size == ANSWER_RESERVE
        buffer.end(b"end")
        assert await piping == [b"end"]

    asyncio.run(run())


def test_a_slow_client_gets_half_its_reserve_where_much_is_held() -> None:
    async def run() -> None:
        budget = Budget(64 * MIB)
        other = Share(budget)
        assert other.grow(32 * MIB)
        buffer, share = buffer_with(budget)
        piping = asyncio.create_task(buffer.pipe(Sink()))
        assert await fill(buffer, 4000) == 20_000  # what is over the half is in the other half
        assert share.size == ANSWER_RESERVE
        buffer.close()
        piping.cancel()

    asyncio.run(run())


def test_what_a_connection_has_not_sent_counts_as_much_as_what_waits() -> None:
    async def run() -> None:
        budget = Budget(MIB)
        other = Share(budget)
        other.grow(budget.limit // 2)  # type: ignore[arg-type]  # a whole number
        buffer, _ = buffer_with(budget)
        sink = Sink()
        piping = asyncio.create_task(buffer.pipe(sink))
        await asyncio.sleep(0)
        assert buffer.put(b"x" * 10_000)
        await asyncio.sleep(0.01)
        assert len(sink.got) == 10_000  # in the connection, unsent
        assert not buffer.put(b"x" * 10_000)
        buffer.close()
        piping.cancel()

    asyncio.run(run())


def test_a_frame_that_does_not_fit_at_all_fails_the_answer_and_is_not_kept() -> None:
    async def run() -> None:
        buffer, share = buffer_with(Budget(MIB))
        assert buffer.put(b"first")
        assert not buffer.put(b"x" * 2 * MIB)
        with pytest.raises(ProviderError, match="max_buffered"):
            await buffer.wait_for_room()
        assert await buffer.take() == [b"first"]
        assert share.size == ANSWER_RESERVE

    asyncio.run(run())


# Requests


@pytest.fixture
def small(tmp_path: Path) -> Iterator[AuraServer]:
    with AuraServer(tmp_path, AGENTS, "[server]\nmax_buffered = 8_400_000") as aura:
        yield aura
        nothing_held(aura)


def test_a_body_beyond_the_budget_is_refused_while_it_comes(small: AuraServer) -> None:
    body = prompt("x" * 3_000_000)
    with contextlib.ExitStack() as stack:
        first, second, third = (
            stack.enter_context(socket.create_connection(("127.0.0.1", small.port), timeout=60)) for _ in range(3)
        )
        for sock in (first, second):
            sock.sendall(question("says", body, length=len(body) + 1))
        until(lambda: small.runtime.budget.held > 6_000_000, "both bodies are held")
        with contextlib.suppress(ConnectionError):
            third.sendall(question("says", body))
        answer = read(third)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: 1\r\n" in answer
        assert b'"code":"too_many_streams"' in answer
        assert b"server.max_buffered" in answer
        # An ordinary request is served meanwhile.
        assert small.ask("says")[-1].name == "done"
    nothing_held(small)
    assert small.post("says", "x" * 3_000_000).status_code == 200


def test_a_body_in_one_piece_with_its_end_is_refused_and_the_connection_closes(small: AuraServer) -> None:
    small.loop.call_soon_threadsafe(small.runtime.budget.take, 8_000_000)
    until(lambda: small.runtime.budget.held >= 8_000_000, "the budget is full")
    with socket.create_connection(("127.0.0.1", small.port), timeout=60) as sock:
        sock.sendall(question("says", prompt("x" * 200_000)))
        answer = read(sock)  # ends: the connection does not linger forever
    assert answer.count(b"HTTP/1.1") == 1
    assert b'"code":"too_many_streams"' in answer
    small.loop.call_soon_threadsafe(small.runtime.budget.give_back, 8_000_000)


def test_an_answer_for_which_there_is_no_room_is_refused_before_it_begins(small: AuraServer) -> None:
    small.loop.call_soon_threadsafe(small.runtime.budget.take, 8_390_000)
    until(lambda: small.runtime.budget.held >= 8_390_000, "the budget is full")
    answer = small.post("says")
    assert answer.status_code == 503
    assert answer.json()["code"] == "too_many_streams"
    assert answer.headers["retry-after"] == "1"
    assert httpx_get(small, "/health") == 200
    small.loop.call_soon_threadsafe(small.runtime.budget.give_back, 8_390_000)


def httpx_get(aura: AuraServer, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", aura.port, timeout=60)
    connection.request("GET", path)
    status = connection.getresponse().status
    connection.close()
    return status


def test_one_emoji_makes_a_prompt_four_times_as_large(small: AuraServer) -> None:
    assert small.post("says", "x" * 1_000_000, route="chat").status_code == 200
    nothing_held(small)
    with socket.create_connection(("127.0.0.1", small.port), timeout=60) as sock:
        sock.sendall(question("stalls", json.dumps({"prompt": "x" * 1_000_000 + "😀"}, ensure_ascii=False).encode()))
        read_token(sock)
        assert small.runtime.budget.held > 4_000_000
    answer = small.post("says", "x" * 2_000_000 + "😀")
    assert answer.status_code == 503
    assert answer.json()["code"] == "too_many_streams"


def test_the_raw_body_is_dropped_once_it_is_decoded(small: AuraServer) -> None:
    with socket.create_connection(("127.0.0.1", small.port), timeout=60) as sock:
        sock.sendall(question("stalls", prompt("x" * 3_000_000)))
        read_token(sock)
        held = small.runtime.budget.held
        assert 3_000_000 < held < 3_100_000
        raw = prompt("x" * 3_000_000)[:100]
        import gc

        large = [each for each in gc.get_objects() if isinstance(each, (dict, list, tuple))]
        kept = {
            id(value)
            for each in large
            for value in (each.values() if isinstance(each, dict) else each)
            if isinstance(value, (bytes, bytearray)) and len(value) > 1_000_000 and bytes(value[:100]) == raw
        }
        assert not kept


def test_headers_that_do_not_end_are_held_and_given_back(small: AuraServer) -> None:
    with socket.create_connection(("127.0.0.1", small.port), timeout=60) as sock:
        sock.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 50_000)
        until(lambda: small.runtime.budget.held > 50_000, "the head is held")
        sock.sendall(b"\r\nConnection: close\r\n\r\n")
        assert read(sock).startswith(b"HTTP/1.1 200 ")
    nothing_held(small)


def test_max_buffered_must_hold_two_bodies(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"aura\.toml:2: max_buffered: 2000000 is less than twice max_body"):
        AuraServer(tmp_path, AGENTS, "[server]\nmax_buffered = 2_000_000")


# Whole answers


def test_a_whole_answer_that_is_too_long_is_an_error_with_what_had_come(tmp_path: Path) -> None:
    with AuraServer(tmp_path, AGENTS) as aura:
        answer = aura.post("endless", route="chat")
        assert answer.status_code == 502
        assert answer.json()["code"] == "llm_error"
        assert "16 MiB" in answer.json()["detail"]
        assert WHOLE_ANSWER_LIMIT - 10 < len(answer.json()["partial"]) <= WHOLE_ANSWER_LIMIT
        nothing_held(aura)


def test_a_whole_answer_for_which_there_is_no_room_is_unavailable(small: AuraServer) -> None:
    answer = small.post("endless", route="chat")
    assert answer.status_code == 503
    assert answer.json()["code"] == "unavailable"
    assert "max_buffered" in answer.json()["detail"]
    assert answer.headers["retry-after"] == "1"
    assert "partial" not in answer.json()  # it would take the memory that there is not


def test_a_whole_answer_counts_until_it_is_read(small: AuraServer) -> None:
    with socket.create_connection(("127.0.0.1", small.port), timeout=60) as sock:
        sock.sendall(question("says", prompt("x" * 1_900_000), "chat"))
        until(lambda: unread(small) > 1_000_000, "the answer waits unread")
        got = b""
        while len(got) < 1_900_000:
            got += sock.recv(65536)
        nothing_held(small)


def unread(aura: AuraServer) -> int:
    """Bytes of complete answers that their clients have not read yet."""
    return sum(each._held for each in aura._server.server_state.connections)  # type: ignore[union-attr]


# Everything is released

BODIES: dict[str, tuple[bytes, int | None]] = {
    "good": (prompt("a b c " * 2000), None),
    "large": (prompt("x" * 700_000), None),
    "emoji": (prompt("x" * 100_000 + "😀"), None),
    "not JSON": (b"x" * 100_000, None),
    "wrong field": (b'{"prompt":"' + b"x" * 100_000 + b'","more":1}', None),
    "halves": (rb'{"prompt":"\ud800' + rb"\\" * 50_000 + b'"}', None),
    "empty": (b"", None),
    "unfinished": (prompt("x" * 100_000), 200_000),
    "too large": (b"", 10_000_000),
}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 2**32), min_size=8, max_size=24))
def test_nothing_is_held_after_requests_of_every_kind(crowd: AuraServer, seeds: list[int]) -> None:
    asyncio.run(_crowd(crowd.port, seeds))
    nothing_held(crowd)


@pytest.fixture
def crowd(tmp_path: Path, fake_plugin: Callable[..., None]) -> Iterator[AuraServer]:
    fake_plugin("raising", RAISING)
    toml = "[server]\nmax_buffered = 8_400_000\nwrite_timeout = 0.3\nretries = 0"
    with AuraServer(tmp_path, AGENTS, toml) as aura:
        yield aura


async def _crowd(port: int, seeds: list[int]) -> None:
    async def client(seed: int) -> None:
        dice = random.Random(seed)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(ConnectionError):
            for _ in range(dice.randrange(1, 3)):
                body, length = BODIES[dice.choice(list(BODIES))]
                agent = dice.choice([*(name.removesuffix(".md") for name in AGENTS), "nobody"])
                said = question(agent, body, dice.choice(["chat", "chat/stream"]), length)
                if dice.random() < 0.2:
                    said = said[: dice.randrange(len(said))]
                writer.write(said)
                if dice.random() < 0.5:
                    await asyncio.sleep(dice.random() / 20)
                if dice.random() < 0.5:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(reader.read(dice.choice([100, 100_000, -1])), dice.random() / 2)
        if dice.random() < 0.5:
            writer.transport.abort()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    await asyncio.gather(*map(client, seeds))


def test_a_drain_gives_everything_back(tmp_path: Path) -> None:
    with AuraServer(tmp_path, AGENTS, "[server]\ndrain_timeout = 0") as aura:
        socks = [socket.create_connection(("127.0.0.1", aura.port), timeout=60) for _ in range(4)]
        for sock, agent in zip(socks, ("stalls", "slow", "stalls", "slow"), strict=True):
            sock.sendall(question(agent, prompt("x" * 100_000)))
        until(lambda: len(aura.runtime.relays) == 4, "all answers have begun")
        budget = aura.runtime.budget
        assert budget.held > 400_000
    assert budget.held == 0
    for sock in socks:
        sock.close()


# Lone surrogates


def whole(text: bytes) -> bytes:
    """The result of `_replace_halves`, computed in another way: escape by escape."""
    escapes = rb"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u[dD][89a-fA-F]..|\\."

    def mend(found: re.Match[bytes]) -> bytes:
        return rb"\ufffd" if re.fullmatch(rb"\\u[dD][89a-fA-F]..", found[0]) else found[0]

    return re.sub(escapes, mend, text, flags=re.DOTALL)


@settings(max_examples=300, deadline=None)
@example([b"a", *[b"\\\\"] * 12, rb"\ud83d"])  # cut between two backslashes
@given(st.lists(st.sampled_from([b"\\\\", rb"\ud83d", rb"\uDE00", b"a", rb"\n", b"\0", rb"\u0041"]), max_size=60))
def test_halves_are_mended_whatever_piece_they_fall_into(parts: list[bytes]) -> None:
    text = b"".join(parts)
    for piece in (24, 27, 31):  # a piece must hold at least two characters of 12 bytes
        mended = bytearray(text)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(request_body, "BODY_PIECE", piece)
            found = asyncio.run(request_body._replace_halves(mended))
        assert bytes(mended) == whole(text)
        assert found == (whole(text) != text)


def test_pieces_are_large_in_earnest() -> None:
    assert BODY_PIECE > 1024


# Upstream


@pytest.mark.parametrize("provider", ["ollama", "openai"])
def test_an_upstream_is_read_in_small_pieces_while_the_client_is_slow(tmp_path: Path, provider: str) -> None:
    token: dict[str, Any] = {"message": {"content": "x" * 1000}}
    line = json.dumps(token).encode() + b"\n"
    if provider == "openai":
        said = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "x" * 1000}}]}
        line = b"data: " + json.dumps(said).encode() + b"\n\n"
    with Upstream(Reply([line * 50], repeat=True)) as upstream:
        toml = f'[providers.{provider}]\nbase_url = "{upstream.url}"\n'
        with AuraServer(tmp_path, {"asks.md": f"---\nprovider: {provider}\nmodel: m\n---\n"}, toml) as aura:
            held = asyncio.run_coroutine_threadsafe(_read_ahead(aura, question("asks", prompt("a"))), aura.loop)
            assert held.result(120) < 200_000


async def _read_ahead(aura: AuraServer, said: bytes) -> int:
    """The maximum bytes of an upstream's answer that aiohttp holds while Aura's answer is not read."""
    from aiohttp.streams import StreamReader

    largest = 0
    feed = StreamReader.feed_data

    def watched(self: StreamReader, data: bytes, size: int = 0) -> bool:
        nonlocal largest
        largest = max(largest, self._size + len(data))
        return feed(self, data, size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StreamReader, "feed_data", watched)
        _, writer = await asyncio.open_connection("127.0.0.1", aura.port)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(said)
        before = -1
        while largest != before or not largest:
            before = largest
            await asyncio.sleep(0.5)
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    return largest
