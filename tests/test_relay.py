"""Whatever a plugin does, a stream ends with exactly one terminal event, and its limits hold."""

import asyncio
import gc
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from encoders import Sse

from aura_core import End, Message, Question, Token, Usage
from aura_core.answer.candidates import Candidate
from aura_core.answer.events import DoneEvent, Event, TokenEvent, Values
from aura_core.answer.relay import Relay
from aura_core.config import settings
from aura_core.config.settings import ServerSettings
from aura_core.runtime import Runtime
from aura_core.server.uvicorn_protocol import Protocol
from aura_core.testing import AuraServer, SseEvent

FakePlugin = Callable[..., None]

HEAD = """
import asyncio, errno, pathlib, socket, ssl, anyio
from aura_core import ChatRequest, Message, ProviderError, Token, Usage, hookimpl

@hookimpl
async def stream_chat(request):
"""


def _run(
    tmp_path: Path, fake_plugin: FakePlugin, body: str, server: str = "", times: int = 1
) -> tuple[list[SseEvent], AuraServer]:
    fake_plugin("it", HEAD + "".join(f"    {line}\n" for line in body.strip().split("\n")))
    toml = f"[server]\nretries = 0\n{server}"
    with AuraServer(
        tmp_path, {"it.md": "---\nprovider: it\n---\n", "e.md": "---\nprovider: echo\n---\n"}, toml
    ) as aura:
        for _ in range(times):
            events = aura.ask("it")
        assert aura.ask("e")[-1].name == "done", "the next request must be served"
        _wait_until_idle(aura)
    names = [event.name for event in events]
    assert [name for name in names if name in ("done", "error")] == names[-1:], events
    return events, aura


def _wait_until_idle(aura: AuraServer) -> None:
    end = time.monotonic() + 20
    while aura.runtime.relays and time.monotonic() < end:
        time.sleep(0.01)
    assert not aura.runtime.relays


def _text(events: list[SseEvent]) -> str:
    return "".join(event.data["content"] for event in events if event.name == "token")


DONE = {"totalTokens": 0, "finishReason": "stop"}

ENDS: dict[str, tuple[str, str, Any]] = {
    "a finish": ("yield Token('a', finish_reason='stop')", "a", DONE),
    "usage after the finish": (
        "yield Token('a', finish_reason='stop')\nyield Token(usage=Usage(1, 2))\nyield Token(usage=Usage(3, 4))",
        "a",
        DONE | {"totalTokens": 7},
    ),
    "text after the finish": ("yield Token('a', finish_reason='stop')\nyield Token('b', 'c')", "a", DONE),
    "a second finish": (
        "yield Token('a', finish_reason='length')\nyield Token(finish_reason='stop')",
        "a",
        {"totalTokens": 0, "finishReason": "length"},
    ),
    "a fault after the finish": ("yield Token('a', finish_reason='stop')\nraise ValueError", "a", DONE),
    "nonsense after the finish": ("yield Token('a', finish_reason='stop')\nyield 5", "a", DONE),
    "another word for it": (
        "yield Token('a', finish_reason='MAX_TOKENS')",
        "a",
        {"totalTokens": 0, "finishReason": "length"},
    ),
    "an unknown word for it": ("yield Token('a', finish_reason='eos')", "a", DONE),
    "silly usage": ("yield Token('a', finish_reason='stop', usage=Usage(-5, None))", "a", DONE),
    "empty tokens": ("yield Token()\nyield Token('')\nyield Token('a')\nyield Token(finish_reason='stop')", "a", DONE),
    "no finish": ("yield Token('a')", "a", "interrupted"),
    "nothing": ("return\nyield", "", "bad_response"),
    "half a character and no finish": ("yield Token('\\ud83d')", "\ufffd", "interrupted"),
    "signs of life only": ("yield Token()", "", "bad_response"),
    "an error": ("yield Token('a')\nraise ProviderError('no <b>credit</b>', 'quota_exceeded')", "a", "quota_exceeded"),
    "an unknown code": ("raise ProviderError('x', 'strange')\nyield", "", "llm_error"),
    "a bug": ("yield Token('a')\nraise ValueError('secret')", "a", "llm_error"),
    "a bug at once": ("raise ValueError\nyield", "", "llm_error"),
    "SystemExit": ("yield Token('a')\nraise SystemExit(3)", "a", "llm_error"),
    "KeyboardInterrupt": ("yield Token('a')\nraise KeyboardInterrupt", "a", "llm_error"),
    "GeneratorExit": ("yield Token('a')\nraise GeneratorExit", "a", "llm_error"),
    "StopIteration": ("yield Token('a')\nraise StopIteration", "a", "llm_error"),
    "StopAsyncIteration": ("yield Token('a')\nraise StopAsyncIteration", "a", "llm_error"),
    "CancelledError": ("yield Token('a')\nraise asyncio.CancelledError", "a", "llm_error"),
    "its own task cancelled": (
        "yield Token('a')\nasyncio.current_task().cancel()\nawait asyncio.sleep(1)",
        "a",
        "llm_error",
    ),
    "an exception group": ("yield Token('a')\nraise ExceptionGroup('x', [ValueError()])", "a", "llm_error"),
    "a timeout": ("yield Token('a')\nraise TimeoutError", "a", "timeout"),
    "a reset": ("yield Token('a')\nraise ConnectionResetError", "a", "interrupted"),
    "a refusal": ("raise ConnectionRefusedError\nyield", "", "unavailable"),
    "an unknown host": ("raise socket.gaierror(-2, 'Name or service not known')\nyield", "", "unavailable"),
    "nobody at any address": (
        "raise OSError('Multiple exceptions: [Errno 111] ..., [Errno 111] ...')\nyield",
        "",
        "unavailable",
    ),
    "no route": ("raise OSError(errno.EHOSTUNREACH, 'No route to host')\nyield", "", "unavailable"),
    "a network that went down": ("yield Token('a')\nraise OSError(errno.ENETDOWN, '')", "a", "interrupted"),
    "a bad certificate": ("raise ssl.SSLCertVerificationError(1, 'it has expired')\nyield", "", "unavailable"),
    "TLS that breaks": ("yield Token('a')\nraise ssl.SSLError(1, 'bad record mac')", "a", "interrupted"),
    "an end before anything was said": ("raise EOFError\nyield", "", "unavailable"),
    "half a line": ("yield Token('a')\nraise asyncio.IncompleteReadError(b'', 5)", "a", "interrupted"),
    "a library that cannot be loaded": ("raise OSError('libnv.so: cannot open shared object')\nyield", "", "llm_error"),
    "a file that is not there": ("open('/nowhere/at/all')\nyield", "", "llm_error"),
    "no more files": ("raise OSError(errno.EMFILE, 'Too many open files')\nyield", "", "llm_error"),
    "a string": ("yield Token('a')\nyield 'b'", "a", "llm_error"),
    "None": ("yield None", "", "llm_error"),
    "text of another type": ("yield Token(5)", "", "llm_error"),
    "bytes": ("yield Token(b'a')", "", "llm_error"),
    "usage that is none": ("yield Token('a', usage=(1, 2))", "a", "llm_error"),
    "a cancel scope held over a yield": (
        "with anyio.CancelScope():\n    yield Token('a')\n    yield Token(finish_reason='stop')",
        "a",
        DONE,
    ),
    "a cancelled scope held over a yield": (
        "with anyio.CancelScope() as scope:\n    yield Token('a')\n    scope.cancel()\n"
        "    await anyio.sleep(1)\nyield Token(finish_reason='stop')",
        "a",
        DONE,
    ),
    "a task group held over a yield": (
        "async with asyncio.TaskGroup() as group:\n    group.create_task(asyncio.sleep(0.01))\n"
        "    yield Token('a')\n    yield Token(finish_reason='stop')",
        "a",
        DONE,
    ),
    "a task group that fails": (
        "async with asyncio.TaskGroup() as group:\n    yield Token('a')\n"
        "    async def bad(): raise ValueError\n    group.create_task(bad())\n"
        "    await asyncio.sleep(1)",
        "a",
        "llm_error",
    ),
    "a timeout held over a yield": (
        "async with asyncio.timeout(0.05):\n    yield Token('a')\n    await asyncio.sleep(5)",
        "a",
        "timeout",
    ),
    "many tokens and never an await": (
        "for n in range(5000):\n    yield Token('x')\nyield Token(finish_reason='stop')",
        "x" * 5000,
        DONE,
    ),
    "one token beyond the buffer": (
        "yield Token('x' * 600_000)\nyield Token('y', finish_reason='stop')",
        "x" * 600_000 + "y",
        DONE,
    ),
}


@pytest.mark.parametrize("name", ENDS)
def test_a_plugin_that_ends_with(name: str, tmp_path: Path, fake_plugin: FakePlugin) -> None:
    body, text, last = ENDS[name]
    events, _ = _run(tmp_path, fake_plugin, body)
    assert _text(events) == text
    if isinstance(last, str):
        assert (events[-1].name, events[-1].data["code"]) == ("error", last)
        assert "secret" not in events[-1].data["message"]
        assert "<b>" not in events[-1].data["message"]
        assert "The server failed" not in events[-1].data["message"], "it is the plugin's fault"
    else:
        assert (events[-1].name, events[-1].data) == ("done", last)


SURROGATES: list[tuple[list[str], list[str]]] = [
    (["\\ud83d", "\\ude00"], ["😀"]),
    (["a\\ud83d", "\\ude00b"], ["a", "😀b"]),
    (["a\\ud83d", "b"], ["a", "\ufffdb"]),
    (["\\ude00a"], ["\ufffda"]),
    (["a\\ud83d"], ["a", "\ufffd"]),
    (["\\ud83d\\ud83d", "\\ude00"], ["\ufffd", "😀"]),
    (["\\ufeffx\\ud83d", "\\ude00"], ["\ufeffx", "😀"]),
]


@pytest.mark.parametrize(("given", "expected"), SURROGATES, ids=[ascii(" ".join(given)) for given, _ in SURROGATES])
def test_surrogates(given: list[str], expected: list[str], tmp_path: Path, fake_plugin: FakePlugin) -> None:
    body = "\n".join(f"yield Token('{text}')" for text in given) + "\nyield Token(finish_reason='stop')"
    events, _ = _run(tmp_path, fake_plugin, body)
    assert [event.data["content"] for event in events[:-1]] == expected


def test_half_a_surrogate_of_the_reasoning_does_not_reach_the_text(tmp_path: Path, fake_plugin: FakePlugin) -> None:
    body = "yield Token('', 'r\\ud83d')\nyield Token('\\ude00', finish_reason='stop')"
    events, _ = _run(tmp_path, fake_plugin, body)
    assert [(e.name, e.data["content"]) for e in events[:-1]] == [
        ("reasoning", "r"),
        ("reasoning", "\ufffd"),
        ("token", "\ufffd"),
    ]


LIMITS = {
    "first_token_timeout": ("yield Token()\nawait asyncio.sleep(15)\nyield", ""),
    "idle_timeout": ("yield Token('a')\nawait asyncio.sleep(15)\nyield", "a"),
    "total_timeout": ("yield Token('a')\nwhile True:\n    await asyncio.sleep(0.01)\n    yield Token('', 'r')", "a"),
}


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("swallows", [False, True])
def test_limits(limit: str, swallows: bool, tmp_path: Path, fake_plugin: FakePlugin) -> None:
    body, text = LIMITS[limit]
    if swallows:  # a plugin that ignores its cancellation must not delay the client
        lines = "\n".join(f"        {line}" for line in body.split("\n"))
        body = f"while True:\n    try:\n{lines}\n    except asyncio.CancelledError:\n        yield Token('late')"
    events, _ = _run(tmp_path, fake_plugin, body, f"{limit} = 1")
    assert _text(events) == text
    assert events[-1].data["code"] == "timeout"
    assert limit in events[-1].data["message"]


def test_signs_of_life_keep_an_answer_going(tmp_path: Path, fake_plugin: FakePlugin) -> None:
    body = (
        "yield Token('a')\nfor _ in range(5):\n    await asyncio.sleep(0.5)\n    yield Token()\n"
        "yield Token('b', finish_reason='stop')"
    )
    events, _ = _run(tmp_path, fake_plugin, body, "idle_timeout = 2")
    assert _text(events) == "ab"
    assert events[-1].name == "done"


@pytest.mark.parametrize("sign", ["Token()", "Token(usage=Usage(1, 1))"])
def test_signs_of_life_do_not_keep_an_answer_going_without_end(
    sign: str, tmp_path: Path, fake_plugin: FakePlugin
) -> None:
    """An upstream that repeatedly sends comments, empty deltas or its usage."""
    counted = "global signs\nfor signs in range(1, 10_000):\n    await asyncio.sleep(0.1)\n"
    body = f"yield Token('a')\n{counted}    yield {sign}"
    events, _ = _run(tmp_path, fake_plugin, body, "idle_timeout = 2")
    assert _text(events) == "a"
    assert events[-1].data["code"] == "timeout"
    assert "idle_timeout" in events[-1].data["message"]
    assert sys.modules["fake_aura_it_it"].signs < 60  # five of them reset the timer: about 25, more if the loop is late


@pytest.mark.parametrize("text", ["Token('b')", "Token('', 'b')"])
def test_signs_of_life_are_counted_again_after_each_text(text: str, tmp_path: Path, fake_plugin: FakePlugin) -> None:
    body = (
        "yield Token('a')\nfor _ in range(3):\n    for _ in range(5):\n        await asyncio.sleep(0.3)\n"
        f"        yield Token()\n    yield {text}\nyield Token(finish_reason='stop')"
    )
    events, _ = _run(tmp_path, fake_plugin, body, "idle_timeout = 1.2")
    assert (len(events), events[-1].name) == (5, "done")


def test_a_sign_of_life_never_extends_the_wait_for_the_first_token(tmp_path: Path, fake_plugin: FakePlugin) -> None:
    body = "while True:\n    await asyncio.sleep(0.1)\n    yield Token()"
    events, _ = _run(tmp_path, fake_plugin, body, "first_token_timeout = 1\nidle_timeout = 30")
    assert "first_token_timeout" in events[-1].data["message"]


def test_silence_after_the_finish_ends_in_done(
    tmp_path: Path, fake_plugin: FakePlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aura_core.answer.asking.FINISH_GRACE", 0.2)
    events, _ = _run(tmp_path, fake_plugin, "yield Token('a', finish_reason='stop')\nawait asyncio.sleep(30)")
    assert events[-1].name == "done"


def test_signs_of_life_after_the_finish_do_not_keep_it_open(
    tmp_path: Path, fake_plugin: FakePlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aura_core.answer.asking.FINISH_GRACE", 0.5)
    body = "yield Token('a', finish_reason='stop')\nwhile True:\n    await asyncio.sleep(0.01)\n    yield Token()"
    events, _ = _run(tmp_path, fake_plugin, body)
    assert events[-1].data == DONE


def test_usage_that_is_repeated_after_the_finish_does_not_keep_it_open(
    tmp_path: Path, fake_plugin: FakePlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aura_core.answer.asking.FINISH_GRACE", 0.5)
    body = (
        "yield Token('a', finish_reason='stop')\nwhile True:\n    await asyncio.sleep(0.01)\n"
        "    yield Token(usage=Usage(1, 2))"
    )
    events, _ = _run(tmp_path, fake_plugin, body)
    assert events[-1].data == DONE | {"totalTokens": 3}


def test_no_heartbeat_follows_the_end(tmp_path: Path, fake_plugin: FakePlugin) -> None:
    fake_plugin("slow", HEAD + "    await asyncio.sleep(30)\n    yield\n")
    toml = "[server]\nheartbeat = 0.5\nfirst_token_timeout = 0.5"
    with AuraServer(tmp_path, {"s.md": "---\nprovider: slow\n---\n"}, toml) as aura:
        text = aura.post("s").text
    assert text.rpartition("\n\n")[0].rpartition("\n\n")[2].startswith("event: error\n")


def test_heartbeats_fill_the_silence_before_and_between_tokens(tmp_path: Path, fake_plugin: FakePlugin) -> None:
    silences = [tmp_path / "before", tmp_path / "between"]
    body = "\n".join(
        f"while not pathlib.Path({str(over)!r}).exists():\n    await asyncio.sleep(0.01)\nyield {token}"
        for over, token in zip(silences, ["Token('a')", "Token('b', finish_reason='stop')"], strict=True)
    )
    fake_plugin("slow", HEAD + "".join(f"    {line}\n" for line in body.split("\n")))
    with AuraServer(tmp_path, {"s.md": "---\nprovider: slow\n---\n"}, "[server]\nheartbeat = 0.1") as aura:
        url, text, pings = f"{aura.url}/api/agents/s/chat/stream", "", ": ping\n\n: ping\n\n"
        with httpx.stream("POST", url, json={"prompt": "a"}, timeout=10, trust_env=False) as response:
            for piece in response.iter_text():
                text += piece
                # A silence lasts until it contains two heartbeats.
                if silences and text.rpartition("event: ")[2].endswith(pings):
                    silences.pop(0).touch()
    assert not silences
    assert text.replace(": ping\n\n", "").startswith(': ok\n\nevent: token\ndata: {"content": "a"}\n\nevent: token\n')


def test_a_wrapper_may_be_at_fault(tmp_path: Path, fake_plugin: FakePlugin) -> None:
    fake_plugin("meddler", HEAD[: HEAD.index("@hookimpl")] + "@hookimpl(wrapper=True)\ndef stream_chat():\n    yield\n")
    with AuraServer(tmp_path, {"e.md": "---\nprovider: echo\n---\n"}) as aura:
        assert aura.ask("e")[-1].data["message"] == "The provider plugin 'echo (wrapped by meddler)' returned nothing."


def test_a_plugin_that_never_awaits_does_not_block_others(tmp_path: Path, fake_plugin: FakePlugin) -> None:
    events, _ = _run(tmp_path, fake_plugin, "while True:\n    yield Token()", "first_token_timeout = 1")
    assert events[-1].data["code"] == "timeout"


def test_one_event_ends_an_answer_that_is_read_late() -> None:
    async def answer() -> AsyncIterator[Token]:
        yield Token("a", finish_reason="stop")

    async def start() -> AsyncIterator[Token]:
        return answer()

    async def read() -> list[Event]:
        relay = Relay(Candidate(start, "it"), ServerSettings(), Values())
        await relay.wait_closed()
        await asyncio.sleep(0)
        relay.fail("timeout", "too late")
        events = await relay.take()
        assert relay.drained
        relay.close()
        return events

    assert asyncio.run(read()) == [TokenEvent("a"), DoneEvent(0, "stop")]


class _Narrow:
    """A connection whose buffer is full after each write until it is drained."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.room = asyncio.Event()
        self.opened = 0

    def write(self, frames: list[bytes]) -> bool:
        assert frames, "an empty chunk would end the body"
        self.written.append(b"".join(frames))
        self.room.clear()
        return False

    async def drain(self) -> None:
        await self.room.wait()

    def unsent(self) -> int:
        return 0

    def open(self) -> None:
        self.opened += 1
        self.room.set()


def _piped(tokens: list[str], end: bool) -> tuple[_Narrow, list[bytes]]:
    """Regressions: a slow connection with space from time to time, or closed while full, and data left for the end."""

    async def answer() -> AsyncIterator[Token]:
        for token in tokens:
            yield Token(token)
            await asyncio.sleep(0.002)
        if not end:
            await asyncio.sleep(60)
        yield Token(finish_reason="stop")

    async def start() -> AsyncIterator[Token]:
        return answer()

    async def run() -> tuple[_Narrow, list[bytes]]:
        relay, connection = Relay(Candidate(start, "it"), ServerSettings(), Sse()), _Narrow()

        async def open_() -> None:
            while True:
                await asyncio.sleep(0.02)
                if end:
                    connection.open()
                elif connection.written:
                    await asyncio.sleep(0.1)  # more data arrives, and waits
                    relay.close()
                    connection.open()

        opener = asyncio.create_task(open_())
        try:
            return connection, await relay.pipe(connection)
        finally:
            opener.cancel()
            relay.close()

    return asyncio.run(run())


def test_a_connection_that_is_full_is_waited_for() -> None:
    words = [f"word{number} " for number in range(100)]
    connection, last = _piped(words, end=True)
    assert 2 <= len(connection.written) <= 1 + connection.opened
    assert b"".join([*connection.written, *last]) == b"".join([*map(Sse.text, words), Sse.done(End("stop", Usage()))])
    assert last[-1].startswith(b"event: done")


def test_an_answer_may_be_closed_while_its_connection_is_full() -> None:
    connection, last = _piped(["a", "b"], end=False)
    assert (connection.written, last) == ([Sse.text("a")], [])


def test_an_answer_that_is_over_leaves_nothing_behind(tmp_path: Path) -> None:
    with AuraServer(tmp_path, {"e.md": "---\nprovider: echo\n---\n"}, "[server]\nheartbeat = 0.05") as aura:
        assert aura.ask("e")[-1].name == "done"
        end = time.monotonic() + 10
        while (left := _relays_of(aura)) and time.monotonic() < end:
            time.sleep(0.05)
        assert not left


def test_connections_are_released_at_once(tmp_path: Path) -> None:
    """Memory is freed without the garbage collector, which runs rarely: each answer keeps its request and output."""
    with AuraServer(tmp_path, {"e.md": "---\nprovider: echo\n---\n"}) as aura:
        aura.ask("e")
        gc.collect()
        gc.disable()
        try:
            before = _connections()
            for _ in range(10):
                aura.ask("e")
                httpx.get(f"{aura.url}/health", trust_env=False, timeout=30)
            end = time.monotonic() + 10
            while (after := _connections()) > before and time.monotonic() < end:
                time.sleep(0.05)
        finally:
            gc.enable()
    assert after <= before


def _connections() -> int:
    return sum(isinstance(each, Protocol) for each in gc.get_objects())


def _relays_of(aura: AuraServer) -> int:
    """How many answers are still in memory, for example because of a timer."""
    gc.collect()
    limits = aura.runtime.limits
    return sum(isinstance(each, Relay) and each._limits is limits for each in gc.get_objects())


def test_an_abandoned_iterator_is_closed_in_its_own_task(tmp_path: Path, fake_plugin: FakePlugin) -> None:
    seen = tmp_path / "seen"
    body = f"""
with anyio.CancelScope():
    try:
        mine = asyncio.current_task()
        yield None
    finally:
        pathlib.Path({str(seen)!r}).write_text(str(asyncio.current_task() is mine))
"""
    events, _ = _run(tmp_path, fake_plugin, body)
    assert events[-1].data["code"] == "llm_error"
    assert seen.read_text() == "True"


CLEANUP = """
try:
    yield Token('a')
    await asyncio.sleep(30)
finally:
    {}
"""


def test_a_clean_up_runs_to_completion(
    tmp_path: Path, fake_plugin: FakePlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aura_core.answer.asking.CLEANUP_LIMIT", 20)
    done = tmp_path / "cleaned"
    body = CLEANUP.format(f"await asyncio.sleep(0.2); pathlib.Path({str(done)!r}).touch()")
    events, aura = _run(tmp_path, fake_plugin, body, "idle_timeout = 1")
    assert events[-1].data["code"] == "timeout"
    assert done.exists()
    assert not aura.runtime.abandonments


def test_a_clean_up_that_hangs_is_abandoned_counted_and_logged(
    tmp_path: Path, fake_plugin: FakePlugin, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aura_core.answer.asking.CLEANUP_LIMIT", 60)
    fake_plugin(
        "it",
        HEAD + CLEANUP.format("await asyncio.sleep(60)").replace("\n", "\n    "),
    )
    with AuraServer(tmp_path, {"it.md": "---\nprovider: it\n---\n"}, "[server]\nidle_timeout = 0.1") as aura:
        assert aura.ask("it")[-1].data["code"] == "timeout"
        _wait_until_idle(aura)  # a clean-up does not occupy a slot
        assert not aura.runtime.abandonments
        monkeypatch.setattr("aura_core.answer.asking.CLEANUP_LIMIT", 0.2)
        assert aura.ask("it")[-1].data["code"] == "timeout"
        end = time.monotonic() + 10
        while not aura.runtime.abandonments and time.monotonic() < end:
            time.sleep(0.01)
        assert aura.runtime.providers.instances["it"].places == 1, "that of the first answer, which still cleans up"
    assert aura.runtime.abandonments == {"it": 1}
    assert "plugin 'it': its clean-up took over 0.2 s" in caplog.text


RETRIES: dict[str, tuple[str, int, str]] = {
    "unreachable": ("raise ProviderError('x', 'unavailable')", 2, "done"),
    "limited, and soon free": ("raise ProviderError('x', 'rate_limited', 0.05)", 2, "done"),
    "limited, and not soon free": ("raise ProviderError('x', 'rate_limited', 11)", 1, "error"),
    "limited, without a time": ("raise ProviderError('x', 'rate_limited')", 1, "error"),
    "another code": ("raise ProviderError('x', 'auth')", 1, "error"),
    "another code with a time": ("raise ProviderError('x', 'auth', 0.05)", 1, "error"),
    "after the finish": ("yield Token(finish_reason='stop')\n    raise ProviderError('x', 'unavailable')", 1, "done"),
    "after a token": ("yield Token('a')\n    raise ProviderError('x', 'unavailable')", 1, "error"),
    "after reasoning": ("yield Token('', 'r')\n    raise ProviderError('x', 'unavailable')", 1, "error"),
    "after a sign of life": ("yield Token()\n    raise ProviderError('x', 'unavailable')", 2, "done"),
}


@pytest.mark.parametrize("name", RETRIES)
def test_retries_happen_only_before_the_first_token(name: str, tmp_path: Path, fake_plugin: FakePlugin) -> None:
    failure, attempts, last = RETRIES[name]
    count = "global calls\ncalls = globals().get('calls', 0) + 1"
    body = f"{count}\nif calls == 1:\n    {failure}\nyield Token(str(calls), finish_reason='stop')"
    fake_plugin("it", HEAD + "".join(f"    {line}\n" for line in body.split("\n")))
    with AuraServer(tmp_path, {"it.md": "---\nprovider: it\n---\n"}) as aura:
        events = aura.ask("it")
        again = aura.ask("it")
    assert events[-1].name == last
    assert _text(again) == str(attempts + 1)


def test_no_retry_outlives_the_first_token_timeout(tmp_path: Path, fake_plugin: FakePlugin) -> None:
    fake_plugin("it", HEAD + "    raise ProviderError('x', 'rate_limited', 5)\n    yield\n")
    toml = "[server]\nfirst_token_timeout = 4"
    with AuraServer(tmp_path, {"it.md": "---\nprovider: it\n---\n"}, toml) as aura:
        assert aura.ask("it")[-1].data == {"message": "x", "code": "rate_limited", "retryAfter": 5}


def test_a_bounded_buffer_keeps_backpressure(tmp_path: Path, fake_plugin: FakePlugin) -> None:
    body = "global made\nfor made in range(1, 20_001):\n    yield Token('x' * 1000)"
    fake_plugin("it", HEAD + "".join(f"    {line}\n" for line in body.split("\n")))
    with AuraServer(tmp_path, {"it.md": "---\nprovider: it\n---\n"}) as aura:
        body = b'{"prompt": "a"}'
        with socket.create_connection(("127.0.0.1", aura.port)) as sock:
            sock.sendall(
                b"POST /api/agents/it/chat/stream HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
            )
            got = b""
            while b"event: token" not in got:
                got += sock.recv(65536)
            plugin, before, made = sys.modules["fake_aura_it_it"], -1, 0
            while before < made < 20_000:  # a client that has stopped reading
                time.sleep(0.5)
                before, made = made, plugin.made
    assert made < 20_000, "some megabytes fit into the kernel's buffers, not an endless answer"


def test_the_cost_of_a_close_does_not_depend_on_the_number_of_others(tmp_path: Path) -> None:
    """Regression: each close iterated over all others: 1,000 at once blocked the loop for 110 ms; and closed
    answers were kept in memory until the next close."""
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "s.md").write_text("---\nprovider: echo\noptions: {delay: 60}\n---\n")

    async def run() -> tuple[list[int], int]:
        environ = {"AURA_PLUGINS": "echo"}
        runtime = Runtime(settings.load({"agents.directory": str(tmp_path / "agents")}, environ), environ)
        bound = await runtime.bindings.bind("s")
        relays = [runtime.answer(bound, Question("s", [Message("user", "Hi")]), Values()) for _ in range(300)]
        await asyncio.sleep(0.1)  # all of them wait for their provider
        costs = []
        for relay in relays:
            calls = 0

            def count(_frame: object, event: str, _argument: object) -> None:
                nonlocal calls
                calls += event == "call"

            sys.setprofile(count)
            runtime.release(relay)
            sys.setprofile(None)
            costs.append(calls)
        await asyncio.gather(*(relay.wait_closed() for relay in relays))
        await asyncio.sleep(0)
        kept = len(runtime._leaving)
        await runtime.close()
        return costs, kept

    costs, kept = asyncio.run(run())
    assert costs[-1] <= costs[1] + 5
    assert kept == 0
