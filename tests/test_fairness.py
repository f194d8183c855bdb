"""Fairness: no client takes all streams, no provider gets more than it may, and each refusal says when to come back."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from aura_core.testing import AuraServer

NAMES = ("ann", "bob", "cy", "di")
TOKENS = {name.upper(): f"the token of {name}" for name in NAMES}
TOML = "".join(f"[clients.{name}]\ntoken_env = '{name.upper()}'\nmax_streams = 2\n" for name in NAMES)
TOML += "[providers.narrow]\nplugin = 'echo'\nmax_streams = 3\n[providers.one]\nplugin = 'echo'\nmax_streams = 1\n"
STALLS = "---\nprovider: {}\noptions: {{stall_after: 1}}\n{}---\n"
FAILS = "---\nprovider: {}\noptions: {{fail_after: 0, code: auth}}\nfallback: [{{{}}}]\n---\n"
AGENTS = {
    "wide.md": STALLS.format("echo", ""),
    "narrow.md": STALLS.format("narrow", ""),
    "one.md": STALLS.format("one", ""),
    "next.md": STALLS.format("one", "fallback: [{provider: echo}]\n"),
    "both.md": STALLS.format("one", "fallback: [{provider: narrow, options: {stall_after: 1}}]\n"),
    "fails.md": FAILS.format("echo", "provider: one"),
    "itself.md": FAILS.format("one", "provider: one, model: m"),
}
DOORS: dict[str, Callable[[str], tuple[str, Any]]] = {
    "native stream": lambda agent: (f"/api/agents/{agent}/chat/stream", {"prompt": "hi ho"}),
    "native whole": lambda agent: (f"/api/agents/{agent}/chat", {"prompt": "hi ho"}),
    "chat completions": lambda agent: (
        "/v1/chat/completions",
        {"model": agent, "stream": True, "messages": [{"role": "user", "content": "hi ho"}]},
    ),
    "responses": lambda agent: ("/v1/responses", {"model": agent, "stream": True, "input": "hi ho"}),
}


@pytest.fixture(scope="module")
def aura(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuraServer]:
    with AuraServer(tmp_path_factory.mktemp("aura"), AGENTS, TOML, os.environ | TOKENS) as server:
        yield server


@pytest.fixture(autouse=True)
def everything_is_free_again(aura: AuraServer) -> Iterator[None]:
    yield
    instances = aura.runtime.providers.instances.values()
    _until(lambda: not aura.runtime.relays and not any(instance.places for instance in instances))


def _until(done: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)


class Crowd:
    """Requests of which each stays open until it is closed."""

    def __init__(self, aura: AuraServer, http: httpx.AsyncClient) -> None:
        self._url, self._http = aura.url, http
        self.open: list[tuple[str, AsyncExitStack]] = []
        self._texts: list[Any] = []  # an iterator that is forgotten closes its response

    async def ask(self, client: str, agent: str, door: str = "native stream") -> httpx.Response:
        """Ask; the answer's text has begun, or the refusal is read."""
        path, body = DOORS[door](agent)
        headers = {"authorization": f"Bearer {TOKENS[client.upper()]}"}
        stack = AsyncExitStack()
        reply = await stack.enter_async_context(self._http.stream("POST", self._url + path, json=body, headers=headers))
        if reply.status_code != 200:
            await reply.aread()
            await stack.aclose()
            return reply
        self.open.append((client, stack))
        self._texts.append(texts := reply.aiter_text())
        async for text in texts:
            if "hi" in text:
                break
        return reply

    async def close(self, client: str) -> None:
        """Let one answer of this client go."""
        found = next(each for each in self.open if each[0] == client)
        self.open.remove(found)
        await found[1].aclose()


def _crowd(aura: AuraServer, play: Callable[[Crowd], Any]) -> Any:
    async def run() -> Any:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(trust_env=False, timeout=60, limits=limits) as http:
            crowd = Crowd(aura, http)
            try:
                return await play(crowd)
            finally:
                for _, stack in crowd.open:
                    await stack.aclose()

    return asyncio.run(run())


def _refused(reply: httpx.Response, status: int, code: str) -> None:
    assert (reply.status_code, reply.headers["retry-after"]) == (status, "1"), reply.text
    body = reply.json()
    assert (body["error"]["code"] if "error" in body else body["code"]) == code


def test_forty_requests_of_four_clients_at_once(aura: AuraServer) -> None:
    async def play(crowd: Crowd) -> None:
        for agent, held in (("wide", dict.fromkeys(NAMES, 2)), ("narrow", None)):
            replies = await asyncio.gather(*(crowd.ask(name, agent) for name in NAMES for _ in range(10)))
            answered = [reply for reply in replies if reply.status_code == 200]
            running = Counter(name for name, _ in crowd.open)
            assert len(answered) == len(crowd.open) == (8 if held else 3)
            assert max(running.values()) <= 2
            assert held is None or running == held
            for reply in replies:
                if reply.status_code == 429:
                    _refused(reply, 429, "client_limit")
                    assert "All 2 of your streams are in use" in reply.json()["detail"]
                elif reply.status_code != 200:
                    _refused(reply, 503, "too_many_streams")
                    assert "provider 'narrow' has 3 answers under way" in reply.json()["detail"]
            assert held is None or {reply.status_code for reply in replies} == {200, 429}
            name = crowd.open[0][0]
            await crowd.close(name)
            freed = await _again(crowd, name, agent)
            assert freed.status_code == 200, "who leaves frees the place"
            while crowd.open:
                await crowd.close(crowd.open[0][0])
            await asyncio.to_thread(_until, lambda: not aura.runtime.relays)

    _crowd(aura, play)


async def _again(crowd: Crowd, client: str, agent: str) -> httpx.Response:
    """Ask until it is not refused: the server sees soon that somebody has left, but not before the next request."""
    end = time.monotonic() + 30
    while (reply := await crowd.ask(client, agent)).status_code != 200:
        assert time.monotonic() < end
    return reply


@pytest.mark.parametrize("door", DOORS)
def test_every_door_refuses_with_the_time_to_come_back(door: str, aura: AuraServer) -> None:
    openai = not door.startswith("native")

    async def play(crowd: Crowd) -> None:
        assert (await crowd.ask("ann", "one")).status_code == 200
        _refused(await crowd.ask("bob", "one", door), 503, "too_many_streams")
        assert (await crowd.ask("ann", "wide")).status_code == 200
        _refused(await crowd.ask("ann", "wide", door), 429, "rate_limit_exceeded" if openai else "client_limit")
        _refused(await crowd.ask("ann", "one", door), 429, "rate_limit_exceeded" if openai else "client_limit")
        missing = await crowd.ask("ann", "nobody", door)
        assert missing.status_code == 404, "as in DESIGN's order: before the limits"

    _crowd(aura, play)


def test_a_full_provider_is_skipped_for_the_next_one(aura: AuraServer) -> None:
    records = list[Any]()
    aura.tell()  # of the answers before

    def note(record: Any, _ended: float) -> None:
        records.append(record)

    aura.runtime.observers.append(note)

    async def play(crowd: Crowd) -> None:
        assert (await crowd.ask("ann", "one")).status_code == 200
        reply = await crowd.ask("bob", "next")
        assert reply.status_code == 200
        await asyncio.to_thread(_until, lambda: records)
        assert [attempt.provider for attempt in records[0].attempts] == ["echo"]
        assert (records[0].provider, records[0].client) == ("echo", "bob")
        for name in ("bob", "cy", "di"):
            assert (await crowd.ask(name, "both")).status_code == 200
        full = await crowd.ask("di", "both")
        _refused(full, 503, "too_many_streams")
        assert "The providers one, narrow have as many answers under way as they may" in full.json()["detail"]

    try:
        _crowd(aura, play)
    finally:
        aura.runtime.observers.remove(note)


def test_a_failure_before_a_full_provider_is_the_one_that_is_told(aura: AuraServer) -> None:
    async def play(crowd: Crowd) -> str:
        assert (await crowd.ask("ann", "one")).status_code == 200
        path, body = DOORS["native whole"]("fails")
        reply = await crowd._http.post(aura.url + path, json=body, headers={"authorization": f"Bearer {TOKENS['BOB']}"})
        assert reply.json()["code"] == "auth"
        assert "other provider" not in reply.json()["detail"], "nobody else was asked"
        return "played"

    assert _crowd(aura, play) == "played"


def test_the_next_candidate_of_the_same_instance_gets_the_place_of_the_one_that_failed(aura: AuraServer) -> None:
    path, body = DOORS["native whole"]("itself")
    headers = {"authorization": f"Bearer {TOKENS['ANN']}"}
    for _ in range(3):
        reply = httpx.post(aura.url + path, json=body, headers=headers, trust_env=False, timeout=60)
        assert (reply.status_code, reply.json().get("content")) == (200, "hi ho"), reply.text


def test_a_limit_of_a_provider_is_checked(tmp_path: Any) -> None:
    with AuraServer(tmp_path, {"a.md": "---\nprovider: echo\n---\n"}, "[providers.echo]\nmax_streams = -1") as aura:
        refused = aura.post("a")
    assert refused.status_code == 503
    assert "aura.toml:2: max_streams: expected a whole number >= 0" in refused.json()["detail"]
