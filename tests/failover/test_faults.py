"""The sixteen faults of failoverbench at the primary, and the results for the client, the log and both providers."""

import asyncio
import json
import logging
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import httpx
import pytest
from scripted import DONE, USAGE, Trio, answer, breaks, refusal, words

from aura_core.testing import AuraServer, Reply, events

PATIENCE = 1.0
"""Seconds for a first token, where a fault is silence; much longer elsewhere, on a machine that may be busy."""


class Seen(NamedTuple):
    """A client's result: the text, and the end (`done`, or the error's code)."""

    text: str
    end: str
    total_tokens: int = 0
    message: str = ""
    model: str = ""


def native(aura: AuraServer) -> Seen:
    found = aura.ask("it")
    last = found[-1]
    text = "".join(event.data["content"] for event in found if event.name == "token")
    assert [event.name for event in found if event.name in ("done", "error")] == [last.name]
    if last.name == "error":
        return Seen(text, last.data["code"], 0, last.data["message"])
    return Seen(text, "done", last.data["totalTokens"])


OPENAI_CODES = {"context_length_exceeded": "context_length", "content_filter": "content_filtered"}


def openai(aura: AuraServer) -> Seen:
    """`/v1/chat/completions`, streamed."""
    body = {"model": "it", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
    body |= {"stream_options": {"include_usage": True}}
    answer = httpx.post(f"{aura.url}/v1/chat/completions", json=body, timeout=60, trust_env=False)
    assert answer.status_code == 200, answer.text
    text, model, total = "", "", 0
    data = [line.removeprefix("data: ") for line in answer.text.split("\n") if line.startswith("data: ")]
    for each in map(json.loads, (line for line in data if line != "[DONE]")):
        if "error" in each:
            assert "[DONE]" not in data
            code = each["error"]["code"]
            return Seen(text, OPENAI_CODES.get(code, code), 0, each["error"]["message"], model)
        model = each["model"]
        for choice in each["choices"]:
            text += choice["delta"].get("content") or ""
        total = (each.get("usage") or {}).get("total_tokens", total)
    assert data[-1] == "[DONE]"
    return Seen(text, "done", total, "", model)


DOORS: dict[str, Callable[[AuraServer], Seen]] = {"native": native, "openai": openai}

PRIMARY, BACKUP = "p0 p1 p2 ", "b0 b1 b2 "
"""The whole answer of each."""


class Fault(NamedTuple):
    """A fault: `at_first` are the primary's replies before those that it `then` gives for ever.

    The client gets `text` and the `end`. `asked` says how often the primary was asked, and the backup.
    """

    at_first: list[Reply]
    then: Reply
    text: str
    end: str
    asked: tuple[int, int]
    patience: float = 60
    server: str = ""


WELL = answer("p")
FAULTS: dict[str, Fault] = {
    "S01 429 with Retry-After: wait at the same provider": Fault(
        [refusal(429, "rate_limit_exceeded", retry_after="2")], WELL, PRIMARY, "done", (2, 0)
    ),
    "S02 429 for ever, without it: fail over, and don't hammer": Fault(
        [], refusal(429, "rate_limit_exceeded"), BACKUP, "done", (1, 1)
    ),
    "S03 500 once: one retry at the same provider": Fault([refusal(500)], WELL, PRIMARY, "done", (2, 0)),
    "S04 503 for ever: fail over after the retry": Fault([], refusal(503), BACKUP, "done", (2, 1)),
    "S05 reset before the headers: retry": Fault([Reply(status=0, ending="reset")], WELL, PRIMARY, "done", (2, 0)),
    "S06 accepts and never answers: fail over, and don't ask again": Fault(
        [], Reply(head_delay=3600), BACKUP, "done", (1, 1), PATIENCE
    ),
    "S07 headers at once and no token: fail over": Fault(
        [], breaks([3600.0], "clean"), BACKUP, "done", (1, 1), PATIENCE
    ),
    "S08 cut in the middle: a part is a part": Fault(
        [], breaks(words("p", 40), "cut"), "".join(f"p{n} " for n in range(40)), "interrupted", (1, 0)
    ),
    "S09 stalls in the middle: a bounded, clean error": Fault(
        [],
        breaks(words("p", 20), "stall"),
        "".join(f"p{n} " for n in range(20)),
        "timeout",
        (1, 0),
        server="idle_timeout = 1",
    ),
    "S10 one malformed chunk in the middle: a clean error": Fault(
        [],
        breaks([*words("p", 2), b'data: {"choices": [{\n\n', *words("p", 2), DONE], "clean"),
        "p0 p1 ",
        "bad_response",
        (1, 0),
    ),
    "S11 whole, without [DONE]: done, with usage": Fault([], answer("p", end=b""), PRIMARY, "done", (1, 0)),
    "S12 the context is too long: another model, never the same again": Fault(
        [], refusal(400, "context_length_exceeded"), BACKUP, "done", (1, 1)
    ),
    "S13 refused content: the reason, nobody else": Fault(
        [], refusal(400, "content_policy_violation"), "", "content_filtered", (1, 0)
    ),
    "S14 cut in the middle, where the backup refuses a prefill": Fault(
        [], breaks(words("p", 4), "cut"), "p0 p1 p2 p3 ", "interrupted", (1, 0)
    ),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_at_the_primary(name: str, door: str, trio: Trio) -> None:
    fault = FAULTS[name]
    trio.primary.queue(*fault.at_first)
    trio.primary.default = fault.then
    if name.startswith("S14"):
        trio.backup.default = refusal(400, message="This model does not support assistant message prefill.")
    with trio.aura(fault.patience, fault.server) as aura:
        begin = time.monotonic()
        seen = DOORS[door](aura)
        took = time.monotonic() - begin
        assert (seen.text, seen.end) == (fault.text, fault.end), seen
        assert (len(trio.primary.requests), len(trio.backup.requests)) == fault.asked
        if seen.end == "done":
            assert seen.total_tokens == USAGE["total_tokens"]
        if name.startswith("S01"):
            assert took >= 2, "Retry-After was not waited for"
        if seen.end != "done" or fault.patience == PATIENCE:
            trio.primary.wait_closed()
        trio.primary.default = answer("p")
        trio.clock.now += 100
        seen = DOORS[door](aura)
        assert (seen.text, seen.end) == (PRIMARY, "done"), "it is not alive afterwards"


def test_s15_an_outage_costs_few_probes_and_the_primary_comes_back(trio: Trio) -> None:
    trio.primary.default = refusal(503)
    with trio.aura() as aura:
        for trio.clock.now in range(0, 60, 4):
            assert native(aura).text == BACKUP
        assert len(trio.primary.requests) <= 2 + 60 / 8, "it is asked twice, then once after each rest"
        trio.primary.default = answer("p")
        while native(aura).text != PRIMARY:
            trio.clock.now += 4
        assert trio.clock.now <= 60 + 30


@pytest.mark.parametrize("door", DOORS)
def test_s16_caller_log_and_metrics_say_who_answered(door: str, trio: Trio, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "aura")
    trio.primary.default = refusal(503)
    with trio.aura() as aura:
        seen = DOORS[door](aura)
        metrics = httpx.get(f"{aura.url}/metrics", trust_env=False).text
    assert (seen.text, seen.total_tokens) == (BACKUP, 8)
    if door == "openai":
        assert seen.model == "second"
    [record] = trio.records
    assert (record.provider, record.model, record.outcome) == ("backup", "second", "done")
    assert (record.prompt_tokens, record.completion_tokens) == (5, 3)
    attempts = [(each.provider, each.model, each.outcome, each.code) for each in record.attempts]
    failed = ("primary", "first", "error", "unavailable")
    assert attempts == [failed, failed, ("backup", "second", "done", "stop")]
    duration = "gen_ai_client_operation_duration_seconds_count"
    counted = {
        (operation, provider, model, error): float(value)
        for error, operation, model, provider, value in re.findall(
            duration + r'\{error_type="(.*?)",gen_ai_operation_name="(.*?)",gen_ai_provider_name="openai",'
            r'gen_ai_request_model="(.*?)",provider="(.*?)"\} (\S+)',
            metrics,
        )
    }
    assert counted == {
        ("invoke_agent", "backup", "second", ""): 1,
        ("chat", "primary", "first", "unavailable"): 2,
        ("chat", "backup", "second", ""): 1,
    }
    plugin = {"openai": "openai_api"}.get(door, door)
    assert f'code="stop",door="{plugin}",model="second",outcome="done",provider="backup"}} 1.0' in metrics
    assert "aura_resting_candidates 1.0" in metrics
    assert "primary (first) is not asked for 5 s while others can be: unavailable" in caplog.text


def test_two_hundred_requests_after_a_rest_make_one_probe(trio: Trio) -> None:
    trio.primary.default = refusal(503)
    with trio.aura() as aura:
        native(aura)
        trio.primary.default = Reply(head_delay=3600)  # the probe hangs until all others are answered
        before = len(trio.primary.requests)
        trio.clock.now = 6

        async def ask_all() -> list[str]:
            limits = httpx.Limits(max_connections=None)
            async with httpx.AsyncClient(base_url=aura.url, timeout=60, trust_env=False, limits=limits) as client:

                async def ask() -> str:
                    answer = await client.post("/api/agents/it/chat/stream", json={"prompt": "Hello"})
                    return "".join(each.data["content"] for each in events(answer.content) if each.name == "token")

                asking = [asyncio.create_task(ask()) for _ in range(200)]
                done = set[Any]()
                while len(done) < 199:
                    done, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED, timeout=60)
                    done = {task for task in asking if task.done()}
                    await asyncio.sleep(0.01)
                for task in asking:
                    task.cancel()
                return [task.result() for task in done]

        assert asyncio.run(ask_all()) == [BACKUP] * 199
        assert len(trio.primary.requests) == before + 1


def test_when_all_fail_the_first_one_is_reported_and_how_many_others_failed(trio: Trio) -> None:
    trio.primary.default = refusal(401)
    trio.backup.default = refusal(503)
    with trio.aura() as aura:
        seen = native(aura)
        whole = aura.post("it", route="chat").json()
    assert seen.end == "auth"
    assert seen.message.endswith("1 other provider failed, too."), seen
    assert (whole["code"], whole["detail"]) == ("auth", seen.message)
    assert [record.provider for record in trio.records] == ["primary", "primary"]


def test_a_backup_that_refuses_the_content_reports_itself(trio: Trio) -> None:
    trio.primary.default = refusal(401)
    trio.backup.default = refusal(400, "content_policy_violation")
    with trio.aura() as aura:
        seen = native(aura)
    assert seen.end == "content_filtered"
    assert "failed, too" not in seen.message
    assert trio.records[0].provider == "backup"


def test_the_stream_says_who_is_asked_now(trio: Trio) -> None:
    trio.primary.default = refusal(503)
    with trio.aura() as aura:
        first = aura.post("it").text
        assert first.startswith(": ok\n\n: asking backup\n\nevent: token\n"), first
        second = aura.post("it").text
        assert second.startswith(": ok\n\n: asking backup\n\nevent: token\n"), "the primary rests"
        assert len(trio.primary.requests) == 2
        trio.primary.default = answer("p")
        trio.clock.now = 6
        assert ": asking" not in aura.post("it").text


def test_all_candidates_together_get_the_servers_time(trio: Trio) -> None:
    silent = Reply(head_delay=3600)
    trio.primary.default = trio.backup.default = silent
    with trio.aura(0.3, "first_token_timeout = 1") as aura:
        begin = time.monotonic()
        seen = native(aura)
        took = time.monotonic() - begin
    assert (seen.end, took < 30) == ("timeout", True)
    assert (
        seen.message == "No token arrived within 0.3 s (the agent's first_token_timeout). 1 other provider failed, too."
    )


def test_an_only_provider_gets_the_agents_time(trio: Trio) -> None:
    trio.primary.default = Reply(head_delay=3600)
    agent = "---\nprovider: primary\nmodel: first\nfirst_token_timeout: {patience}\n---\n"
    with trio.aura(0.3, agent=agent) as aura:
        seen = native(aura)
    assert (seen.end, seen.message) == (
        "timeout",
        "No token arrived within 0.3 s (the agent's first_token_timeout).",
    )


def test_where_the_agent_names_no_time_the_servers_holds(trio: Trio) -> None:
    trio.primary.default = Reply(head_delay=3600)
    agent = "---\nprovider: primary\nmodel: first\nfallback: [{{provider: backup, model: second}}]\n---\n"
    with trio.aura(agent=agent, server="fallback_after = 0.3") as aura:
        assert native(aura).text == BACKUP
    assert trio.records[0].attempts[0].code == "timeout"


def test_a_silent_ones_connection_is_closed_before_the_next_is_asked(trio: Trio) -> None:
    trio.primary.default = Reply(head_delay=3600)
    with trio.aura(0.3) as aura:
        assert native(aura).text == BACKUP
        assert trio.primary.wait_hangup() > 0
        assert trio.primary.open == 0


def test_a_client_that_leaves_frees_the_probe(trio: Trio) -> None:
    trio.primary.default = refusal(503)
    with trio.aura() as aura:
        native(aura)
        trio.clock.now = 6
        trio.primary.default = Reply(head_delay=3600)
        with httpx.stream(
            "POST", f"{aura.url}/api/agents/it/chat/stream", json={"prompt": "Hello"}, trust_env=False, timeout=30
        ):
            trio.primary.wait_requests(3)
        trio.primary.wait_hangup()
        trio.primary.default = answer("p")
        assert native(aura).text == PRIMARY


def test_an_agent_that_streams_falls_back_to_one_that_cannot(trio: Trio) -> None:
    trio.primary.default = refusal(503)
    agent = (
        "---\nprovider: primary\nmodel: first\nfallback:\n"
        "  - {{provider: echo, options: {{streaming: false, text: in one piece}}}}\n---\n"
    )
    with trio.aura(agent=agent) as aura:
        found = aura.ask("it")
    assert [event.data.get("content") for event in found] == ["in one piece", None]
