"""For any counts of a plugin and any exception around its answer, one terminal event ends the stream; never a 500."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from encoders import Sse

from aura_core import End, Failure, Token
from aura_core.answer.candidates import Candidate
from aura_core.answer.relay import Relay
from aura_core.answer.stream_record import Asked
from aura_core.config.settings import ServerSettings
from aura_core.testing import AuraServer, Reply, Upstream, events

LARGEST = 2**53 - 1
AGENT = {"it.md": "---\nprovider: it\n---\n"}
PLUGIN = """
from aura_core import ProviderError, Token, Usage, hookimpl

class Unspeakable(Exception):
    def __str__(self):
        raise KeyError

class Exits(TypeError):
    def __str__(self):
        raise SystemExit(3)

class Mistyped(TypeError):
    __str__ = Unspeakable.__str__

@hookimpl
async def stream_chat(request):
    for token in eval(request.messages[-1].content):
        if isinstance(token, BaseException):
            raise token
        yield token
"""


@pytest.fixture
def aura(tmp_path: Path, fake_plugin: Callable[..., None]) -> Iterator[AuraServer]:
    fake_plugin("it", PLUGIN)
    with AuraServer(tmp_path, AGENT, "[server]\nretries = 0") as server:
        yield server


COUNTS = {
    "10**4299": LARGEST,  # 4,300 digits: Python formats no longer integer, and the sum has one digit more
    "9 * 10**4299": LARGEST,
    "10**400": LARGEST,  # not convertible to float, which Prometheus needs
    "10**25": LARGEST,
    "2**53": LARGEST,
    "2**53 - 1": LARGEST,
    "7": 7,
    "0": 0,
    "-(10**4299)": 0,
    "-1": 0,
    "1.5": 0,
    "float('inf')": 0,
    "float('nan')": 0,
    "True": 0,
    "None": 0,
    "'7'": 0,
}


@pytest.mark.parametrize("count", COUNTS)
def test_a_count_of(count: str, aura: AuraServer) -> None:
    said = f"[Token('a'), Token(finish_reason='stop', usage=Usage({count}, {count}))]"
    total = min(2 * COUNTS[count], LARGEST)
    [text, last] = aura.ask("it", said)
    assert (text.data, last.name) == ({"content": "a"}, "done")
    assert last.data == {"totalTokens": total, "finishReason": "stop"}
    whole = aura.post("it", said, route="chat")
    assert (whole.status_code, whole.json()["totalTokens"]) == (200, total)
    figures = httpx.get(f"{aura.url}/metrics", trust_env=False, timeout=30).text
    assert figures.count("\naura_streams_total{") == 1
    assert 'code="stop",door="native",model="",outcome="done",provider="it"} 2.0\n' in figures
    assert 'gen_ai_token_type="input",model="",provider="it"} ' + str(float(2 * COUNTS[count])) in figures


WAITS = {"10**400": LARGEST, "1e300": LARGEST, "-1": None, "True": None, "float('nan')": None, "'soon'": None, "2": 2}


@pytest.mark.parametrize("wait", WAITS)
def test_a_time_to_come_back_of(wait: str, aura: AuraServer) -> None:
    said = f"[ProviderError('x', 'rate_limited', {wait})]"
    assert aura.ask("it", said)[-1].data.get("retryAfter") == WAITS[wait]
    whole = aura.post("it", said, route="chat")
    assert whole.status_code == 429
    assert whole.headers.get("retry-after") == (None if WAITS[wait] is None else str(WAITS[wait]))


FAULTS = ["Unspeakable()", "Mistyped()", "Exits()", "ProviderError(Unspeakable())", "ProviderError('x', [])"]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(("before", "last"), [("", "error"), ("Token('a', finish_reason='stop'), ", "done")])
def test_a_fault_that_cannot_be_formatted(fault: str, before: str, last: str, aura: AuraServer) -> None:
    said = f"[{before}{fault}]"
    assert aura.ask("it", said)[-1].name == last
    assert aura.post("it", said, route="chat").status_code == (200 if last == "done" else 502)
    assert aura.ask("it", "[Token('b', finish_reason='stop')]")[-1].name == "done", "the server goes on"


UPSTREAM_COUNTS = ["1" * 5000, "9" * 4300, "9" * 400, "-1", "1.5", "true", '"7"', "1e400", "-1e400"]


@pytest.mark.parametrize("count", UPSTREAM_COUNTS)
@pytest.mark.parametrize("plugin", ["ollama", "openai"])
def test_an_upstream_that_counts(plugin: str, count: str, tmp_path: Path) -> None:
    if plugin == "ollama":
        body = (
            '{"message":{"content":"a"}}\n'
            f'{{"done":true,"done_reason":"stop","prompt_eval_count":{count},"eval_count":{count}}}\n'
        )
    else:
        usage = f'"usage":{{"prompt_tokens":{count},"completion_tokens":{count}}}'
        body = (
            'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
            f'data: {{"choices":[{{"delta":{{}},"finish_reason":"stop"}}],{usage}}}\n\ndata: [DONE]\n\n'
        )
    with Upstream(Reply([body.encode()])) as upstream:
        toml = f'[server]\nretries = 0\n[providers.it]\nplugin = "{plugin}"\nbase_url = "{upstream.url}"'
        with AuraServer(tmp_path, {"it.md": "---\nprovider: it\nmodel: m\n---\n"}, toml) as aura:
            answer = aura.ask("it")
    assert [event.name for event in answer] == ["token", "done"]
    assert 0 <= answer[-1].data["totalTokens"] <= LARGEST


class _Unframed(Sse):
    """A framing that fails to encode the end of an answer."""

    @staticmethod
    def done(end: End) -> bytes:
        raise RuntimeError(end)


class _Speechless(_Unframed):
    """A framing that also fails to encode an error."""

    @staticmethod
    def error(failure: Failure) -> bytes:
        raise RuntimeError(failure)


def _piped(framing: Sse, *tokens: Token) -> tuple[bytes, Relay]:
    async def answer() -> AsyncIterator[Token]:
        for token in tokens:
            yield token

    async def start() -> AsyncIterator[Token]:
        return answer()

    async def run() -> tuple[bytes, Relay]:
        relay = Relay(Candidate(start, "it"), ServerSettings(), framing)
        taken: list[bytes] = []
        async with asyncio.timeout(30):
            while not relay.drained:
                taken += await relay.take()
        relay.close()
        return b"".join(taken), relay

    return asyncio.run(run())


def test_an_end_that_cannot_be_encoded_is_an_error() -> None:
    said, relay = _piped(_Unframed(), Token("a", finish_reason="stop"))
    assert [event.name for event in events(b": ok\n\n" + said)] == ["token", "error"]
    assert (relay.succeeded, relay.record("-", Asked()).outcome) == (False, "error")


@pytest.mark.parametrize("tokens", [[Token("a", finish_reason="stop")], [Token("a")], []])
def test_an_answer_whose_end_and_error_cannot_be_encoded_is_cut_off(tokens: list[Token]) -> None:
    said, _ = _piped(_Speechless(), *tokens)
    assert b"done" not in said
    assert b"error" not in said


class _Raises(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        raise RuntimeError("no room left on the device")


def _raise(_record: Any, _ended: float) -> None:
    raise RuntimeError("no such label")


@pytest.mark.parametrize(
    ("said", "last"),
    [
        ("[Token('a', finish_reason='stop')]", "done"),
        ("[Token('a')]", "error"),
        ("[ValueError()]", "error"),
        ("[ConnectionError()]", "error"),
        ("[Token('a', finish_reason='stop'), ValueError()]", "done"),
    ],
)
@pytest.mark.parametrize("broken", ["metrics", "log", "both"])
def test_failing_metrics_do_not_affect_the_client(broken: str, said: str, last: str, aura: AuraServer) -> None:
    loggers = [logging.getLogger(name) for name in ("aura", "aura.relay")] if broken != "metrics" else []
    fails = _Raises()
    for logger in loggers:
        logger.addFilter(fails)
    if broken != "log":
        aura.runtime.observers.insert(0, _raise)
    try:
        assert aura.ask("it", said)[-1].name == last
        whole = aura.post("it", said, route="chat")
        assert whole.status_code in ((200,) if last == "done" else (502, 503)), json.dumps(whole.json())
    finally:
        for logger in loggers:
            logger.removeFilter(fails)
    assert not aura.runtime.relays
