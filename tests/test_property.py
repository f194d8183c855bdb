"""Random plugins and random clients never break rules 1, 2, 6 and 7 of docs/http-api.md."""

import http.client
import json
import re
import sys
import time
from collections.abc import Callable
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from leak_check import LeakCheck

from aura_core.testing import AuraServer, SseEvent, events

PLUGIN = """
import asyncio, json
from aura_core import ProviderError, Token, Usage, hookimpl

begun = cleaned = 0

@hookimpl
async def stream_chat(request):
    global begun, cleaned
    begun += 1
    script = json.loads(request.messages[-1].content)
    try:
        for what, *given in script["steps"]:
            try:
                if what == "say":
                    yield Token(given[0], given[1])
                elif what == "finish":
                    yield Token(given[0], finish_reason=given[1])
                elif what == "usage":
                    yield Token(usage=Usage(*given))
                elif what == "wrong":
                    yield [None, "text", Token(5), Token(b"x"), Token("a", usage=3)][given[0]]
                elif what == "pause":
                    await asyncio.sleep(given[0])
                elif what == "many":
                    for _ in range(given[0]):
                        yield Token("m")
                elif what == "raise":
                    raise eval(given[0])
            except asyncio.CancelledError:
                if what == "raise" or not script["swallows"]:
                    raise
    finally:
        cleaned += 1
        if script["clean_up"] == "pause":
            await asyncio.sleep(0.01)
        elif script["clean_up"] == "raise":
            raise ValueError("in the clean-up")
"""

RAISES = {
    "ValueError('x')": "llm_error",
    "SystemExit(1)": "llm_error",
    "KeyboardInterrupt": "llm_error",
    "GeneratorExit": "llm_error",
    "StopIteration": "llm_error",
    "StopAsyncIteration": "llm_error",
    "asyncio.CancelledError": "llm_error",
    "BaseExceptionGroup('x', [SystemExit()])": "llm_error",
    "RecursionError": "llm_error",
    "TimeoutError": "timeout",
    "ConnectionResetError": "unavailable",  # or `interrupted`, once text was sent
    "ProviderError('x', 'quota_exceeded')": "quota_exceeded",
    "ProviderError('x', 'no such code')": "llm_error",
    "ProviderError('\\ud83d' + 'x' * 9999, 'rate_limited', float('nan'))": "rate_limited",
}
REASONS = {"stop": "stop", "LENGTH": "length", "refusal": "content_filter", "tool_use": "tool_calls", "eos": "stop"}

texts = st.text(st.sampled_from(list("ab \n\r\u2028\0<é😀\ud83d\ude00\udbff")), max_size=6)
LARGEST = 2**53 - 1
counts = st.one_of(
    st.integers(-5, 2**40),
    st.sampled_from([2**53 - 1, 2**53, 10**400, 10**4299, 9 * 10**4299, -(10**4299)]),  # 4,300 digits are the maximum
    st.floats(),  # and those that are none
    st.booleans(),
    st.none(),
    st.just("7"),
)
steps = st.one_of(
    st.tuples(st.just("say"), texts, texts),
    st.tuples(st.just("say"), texts, st.just("")),
    st.tuples(st.just("pause"), st.sampled_from([0, 0, 0.001, 0.01])),
    st.tuples(st.just("many"), st.sampled_from([1, 300, 1000])),
    st.tuples(st.just("usage"), counts, counts),
    st.tuples(st.just("finish"), texts, st.sampled_from(sorted(REASONS))),
    st.tuples(st.just("wrong"), st.integers(0, 4)),
    st.tuples(st.just("raise"), st.sampled_from(sorted(RAISES))),
)
scripts = st.fixed_dictionaries(
    {
        "steps": st.lists(steps, max_size=12),
        "swallows": st.booleans(),
        "clean_up": st.sampled_from(["quick", "pause", "raise"]),
    }
)
Script = dict[str, Any]
Said = list[tuple[str, str]]


def _expected(script: Script) -> tuple[Said, str, Any]:
    """What the client must receive: text by kind, the last event's name, and its code or its data."""
    said: Said = []
    finish: str | None = None
    total = 0
    for what, *given_ in script["steps"]:
        if what == "usage":
            total = min(sum(min(n, LARGEST) for n in given_ if type(n) is int and n > 0), LARGEST)
        elif what == "raise" or (what == "wrong" and _notices(given_[0], finish)):
            break
        if finish is None:
            said += _said(what, given_)
            if what == "wrong":
                break
            if what == "finish":
                finish = REASONS[given_[1]]
    else:
        what = "end"
    if finish is not None:
        return _mended(said), "done", {"totalTokens": total, "finishReason": finish}
    if script["clean_up"] == "raise":  # it replaces the exception raised before
        return _mended(said), "error", "llm_error"
    if what == "end":
        return _mended(said), "error", "interrupted" if said else "bad_response"
    code = RAISES[given_[0]] if what == "raise" else "llm_error"
    return _mended(said), "error", "interrupted" if said and code == "unavailable" else code


def _notices(wrong: int, finish: str | None) -> bool:
    """Whether the stream ends at this wrong value at once: after a finish reason, text is ignored but usage is read."""
    return wrong < 2 or (wrong < 4) == (finish is None)


def _said(what: str, given_: list[Any]) -> Said:
    text, reasoning = {
        "say": lambda: (given_[0], given_[1]),
        "finish": lambda: (given_[0], ""),
        "many": lambda: ("m" * given_[0], ""),
        "wrong": lambda: ("a" if given_[0] == 4 else "", ""),
    }.get(what, lambda: ("", ""))()
    return [(kind, words) for kind, words in (("reasoning", reasoning), ("token", text)) if words]


def _mended(said: Said) -> Said:
    joined = [(kind, "".join(text for _, text in run)) for kind, run in groupby(said, key=lambda part: part[0])]
    return [(kind, text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")) for kind, text in joined]


def _told(heard: list[SseEvent]) -> Said:
    return _mended([(event.name, event.data["content"]) for event in heard[:-1]])


BLOCK = re.compile(rb'(: ok|: ping|event: (token|reasoning|done|error)\ndata: \{"[^\n\r]*\})\n\n')


def _ask(aura: AuraServer, script: Script, size: int | None) -> bytes:
    """Read this many bytes of the response body, or all of it, and disconnect."""
    connection = http.client.HTTPConnection("127.0.0.1", aura.port, timeout=30)
    with closing(connection):
        body = json.dumps({"prompt": json.dumps(script)})
        connection.request(
            "POST", "/api/agents/it/chat/stream", body, {"content-type": "application/json", "connection": "close"}
        )
        return b"" if size == 0 else connection.getresponse().read(size)


def _wait(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.001)


def test_no_plugin_and_no_client_breaks_the_promise(tmp_path: Path, fake_plugin: Callable[..., None]) -> None:
    fake_plugin("it", PLUGIN)
    toml = "[server]\nretries = 0\nheartbeat = 0.005"
    with AuraServer(tmp_path, {"it.md": "---\nprovider: it\n---\n"}, toml) as aura:
        plugin = sys.modules["fake_aura_it_it"]
        rest = LeakCheck(aura)

        @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
        @given(scripts, st.none() | st.integers(0, 900))
        def holds(script: Script, leaves_after: int | None) -> None:
            note(f"{script} {leaves_after}")
            body = _ask(aura, script, leaves_after)
            if leaves_after is None:
                assert body.startswith(b": ok\n\n")
                assert BLOCK.sub(b"", body) == b""
                heard = events(body)
                said, last, data = _expected(script)
                assert all(event.data["content"] for event in heard[:-1])
                assert {event.name for event in heard[:-1]} <= {"token", "reasoning"}
                assert (_told(heard), heard[-1].name) == (said, last)
                assert (heard[-1].data if last == "done" else heard[-1].data["code"]) == data
            _wait(lambda: not aura.runtime.relays, "its slot is still taken")
            _wait(lambda: plugin.begun == plugin.cleaned, "its clean-up did not run")

        holds()
        rest.check()
        assert not aura.runtime.abandonments
