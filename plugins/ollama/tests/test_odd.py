"""Fields of odd types cost the answer nothing, what carries text is coerced, and errors are found where they stand."""

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aura_ollama import api

from aura_core import Token, Usage
from aura_core.streams import Endpoint, Scrub
from aura_core.testing import AuraServer, Reply, Upstream

SERVER = Endpoint("It", Scrub(""), "check the key", "is base_url right?", "its protocol")
HELLO = b'{"message":{"content":"One"},"done":false}\n'
END = b'{"message":{"content":""},"done":true,"done_reason":"stop"}\n'


@pytest.fixture(scope="module")
def aura(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuraServer]:
    toml = f'[server]\nretries = 0\n[providers.ollama]\nbase_url = "{upstream.url}"\n'
    agent = "---\nprovider: ollama\nmodel: tiny\n---\n"
    with AuraServer(tmp_path_factory.mktemp("aura"), {"it.md": agent}, toml) as aura:
        yield aura


def token(**line: Any) -> Token:
    return api.token(json.dumps(line).encode(), "tiny", SERVER)


@pytest.mark.parametrize("odd", [None, False, True, 7, 1.5, "x", [], {}, [1], {"x": 1}, -1, 10**400])
@pytest.mark.parametrize("name", ["model", "created_at", "total_duration", "eval_count", "done_reason", "context"])
def test_a_side_field_of_a_line_costs_nothing(name: str, odd: Any) -> None:
    assert token(**{"message": {"content": "One"}, "done": False, name: odd}) == Token("One")


@pytest.mark.parametrize("odd", [None, False, [], {}, [None], {"x": 1}])
@pytest.mark.parametrize("name", ["thinking", "tool_calls", "images", "role"])
def test_a_side_field_of_the_message_costs_nothing(name: str, odd: Any) -> None:
    assert token(message={"content": "One", name: odd}, done=False) == Token("One")


@pytest.mark.parametrize(
    ("odd", "done"), [(None, False), ("false", False), (0, False), ("true", True), (1, True), ([], False)]
)
def test_done_of_an_odd_type_is_read(odd: Any, done: bool) -> None:
    assert token(message={"content": "One"}, done=odd) == Token("One", finish_reason="stop" if done else None)


@pytest.mark.parametrize(
    ("content", "text", "thought"),
    [
        (None, "", ""),
        (7, "7", ""),
        ([{"type": "text", "text": "One"}, {"type": "text", "text": " two"}], "One two", ""),
        ([{"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": "One"}], "One", "Hm"),
        ({"text": "One"}, "One", ""),
    ],
)
def test_content_is_coerced(content: Any, text: str, thought: str) -> None:
    assert token(message={"content": content}, done=False) == Token(text, thought)


def test_thinking_in_parts_is_reasoning() -> None:
    assert token(message={"content": "", "thinking": [{"text": "H"}, {"text": "m"}]}) == Token("", "Hm")


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        ({"prompt_eval_count": "9", "eval_count": "2"}, Usage(9, 2)),
        ({"prompt_eval_count": 9.0, "eval_count": None}, Usage(9, 0)),
        ({"prompt_eval_count": 9, "eval_count": 10**400}, Usage(9, 2**53 - 1)),
        ({"prompt_eval_count": [], "eval_count": {}}, None),
    ],
)
def test_counts_of_an_odd_type_count_where_they_can(counts: dict[str, Any], usage: Usage | None) -> None:
    assert token(message={"content": ""}, done=True, **counts) == Token(finish_reason="stop", usage=usage)


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ({"error": "it broke"}, "llm_error", "it broke"),
        ({"error": {"message": "it broke"}}, "llm_error", "it broke"),
        ({"error": '{"error":{"message":"it broke"}}'}, "llm_error", "it broke"),
        ({"detail": "it broke"}, "llm_error", "it broke"),
        ({"StatusCode": 429, "Status": "429 Too Many Requests", "error": "you have reached your session usage limit"},
         "quota_exceeded", "session usage limit"),
        ({"error": "unauthorized"}, "auth", "unauthorized"),
        ({"error": "model 'tiny' not found"}, "model_not_found", "ollama pull tiny"),
        ({"error": "the input length exceeds the context length"}, "context_length", "num_ctx"),
    ],
)  # fmt: skip
def test_an_error_in_the_stream_is_told(line: Any, code: str, words: str, upstream: Upstream, aura: AuraServer) -> None:
    upstream.queue(Reply([HELLO + json.dumps(line).encode() + b"\n"]))
    *_, last = aura.ask("it")
    assert (last.name, last.data["code"]) == ("error", code)
    assert words in last.data["message"]


@pytest.mark.parametrize(
    "line", [b"{}", b'{"model":"tiny"}', b'{"message":null,"error":null}', b'{"status":"success"}']
)
def test_a_sign_of_life_is_no_error(line: bytes, upstream: Upstream, aura: AuraServer) -> None:
    upstream.queue(Reply([line + b"\n" + HELLO + END]))
    assert [event.name for event in aura.ask("it")] == ["token", "done"]


def test_the_address_is_blamed_only_while_no_line_has_come(upstream: Upstream, aura: AuraServer) -> None:
    upstream.queue(Reply([b"<html>\n"]), Reply([HELLO + b"<html>\n"]))
    first, second = aura.ask("it")[-1].data, aura.ask("it")[-1].data
    assert (first["code"], "base_url" in first["message"]) == ("bad_response", True)
    assert (second["code"], "base_url" in second["message"]) == ("bad_response", False)


@pytest.mark.parametrize(
    ("status", "said", "code"),
    [
        (500, "unable to load model: /models/x", "llm_error"),
        (500, "llama runner process has terminated: signal: killed", "llm_error"),
        (500, "model requires more system memory (9.0 GiB) than is available (4.0 GiB)", "llm_error"),
        (500, "error loading model: missing tensor 'x'", "llm_error"),
        (500, "Internal Server Error (ref: 1234)", "unavailable"),
        (503, "server busy, please try again.  maximum pending requests exceeded", "unavailable"),
        (429, "you've reached your hourly usage limit", "quota_exceeded"),
        (402, "payment required", "quota_exceeded"),
        (429, "too many requests", "rate_limited"),
        (403, "this model requires a subscription, upgrade for access", "auth"),
        (404, "model 'tiny' not found", "model_not_found"),
        (400, '"tiny" does not support thinking', "bad_request"),
    ],
)
def test_a_status_with_words_has_its_code(
    status: int, said: str, code: str, upstream: Upstream, aura: AuraServer
) -> None:
    upstream.queue(Reply([json.dumps({"error": said}).encode()], status))
    (last,) = aura.ask("it")
    assert last.data["code"] == code
    assert said.split(",")[0][:20] in last.data["message"]


def test_retry_after_as_a_date_and_in_words(upstream: Upstream, aura: AuraServer) -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    upstream.queue(
        Reply([b"{}"], 429, {"retry-after": when}),
        Reply([b'{"error":"try again in 1m"}'], 429),
        Reply([b"{}"], 429, {"retry-after": "999999"}),
    )
    first, second, third = (aura.ask("it")[-1].data for _ in range(3))
    assert 50 < first["retryAfter"] <= 60
    assert second["retryAfter"] == 60
    assert "retryAfter" not in third


def test_a_coded_body_is_read_or_named(upstream: Upstream, aura: AuraServer) -> None:
    upstream.queue(
        Reply([gzip.compress(HELLO + END)], headers={"content-encoding": "gzip"}),
        Reply([gzip.compress(b'{"error":"model not found"}')], 404, {"content-encoding": "gzip"}),
        Reply([b"\x1f\x9d"], headers={"content-encoding": "compress"}),
    )
    assert [event.name for event in aura.ask("it")] == ["token", "done"]
    assert aura.ask("it")[-1].data["code"] == "model_not_found"
    named = aura.ask("it")[-1].data
    assert (named["code"], "'compress'" in named["message"]) == ("bad_response", True)
