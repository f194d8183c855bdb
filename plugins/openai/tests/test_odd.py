"""Fields of odd types cost the answer nothing, what carries text is coerced, and errors in the stream are found."""

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
from aura_openai import wire

from aura_core import Token, Usage
from aura_core.streams import Endpoint, Scrub
from aura_core.testing import AuraServer, Reply, SseEvent, Upstream

SERVER = Endpoint("It", Scrub(""), "check the key", "is base_url right?", "its protocol")
STOP = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'


@pytest.fixture(scope="module")
def aura(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuraServer]:
    toml = f'[server]\nretries = 0\n[providers.local]\nplugin = "openai"\nbase_url = "{upstream.url}/v1"\n'
    agent = "---\nprovider: local\nmodel: tiny\n---\n"
    with AuraServer(tmp_path_factory.mktemp("aura"), {"it.md": agent}, toml) as aura:
        yield aura


def token(choice: Any, **more: Any) -> Token:
    choices = choice if isinstance(choice, list) else [choice]
    return wire.token(json.dumps({"choices": choices, **more}).encode(), SERVER, "tiny")


PLAIN = {"index": 0, "delta": {"content": "One"}, "finish_reason": None}


@pytest.mark.parametrize("odd", [None, False, True, 7, 1.5, "x", [], {}, [1], {"x": 1}, ["x"], [[]], -1, 10**400])
@pytest.mark.parametrize("name", ["usage", "id", "created", "model", "system_fingerprint", "timings", "x_groq"])
def test_a_side_field_of_the_chunk_costs_nothing(name: str, odd: Any) -> None:
    assert token(PLAIN, **{name: odd}) in (Token("One"), Token("One", usage=Usage()))


@pytest.mark.parametrize("odd", [None, False, True, "0", 0.0, "", {}, [], "zero"])
def test_an_index_of_an_odd_type_is_the_first(odd: Any) -> None:
    assert token({**PLAIN, "index": odd}) == Token("One")


@pytest.mark.parametrize("odd", [1, 1.0, "1", 2**70])
def test_another_index_is_not_the_first_answer(odd: Any) -> None:
    assert token([{**PLAIN, "index": odd, "delta": {"content": "no"}}, PLAIN]) == Token("One")
    assert token({**PLAIN, "index": odd}) == Token()


@pytest.mark.parametrize("odd", [None, False, True, [], {}, [None], [7], {"x": []}, -1])
@pytest.mark.parametrize("name", ["role", "refusal", "tool_calls", "audio", "annotations", "reasoning_details"])
def test_a_side_field_of_the_delta_costs_the_text_nothing(name: str, odd: Any) -> None:
    assert token({"index": 0, "delta": {"content": "One", name: odd}}).content.startswith("One")


@pytest.mark.parametrize("odd", [None, False, {}, [], "", [None], {"x": 1}])
@pytest.mark.parametrize("name", ["reasoning", "reasoning_content", "thinking"])
def test_a_reasoning_of_an_odd_type_costs_the_text_nothing(name: str, odd: Any) -> None:
    assert token({"index": 0, "delta": {"content": "One", name: odd}}) == Token("One")


@pytest.mark.parametrize("entry", [None, "x", 7, [], {}])
def test_an_entry_of_the_choices_that_is_none_is_passed_over(entry: Any) -> None:
    found = token([entry, PLAIN])
    assert found == (Token() if entry == {} else Token("One"))


def test_choices_that_are_an_object_count() -> None:
    assert wire.token(json.dumps({"choices": {"0": PLAIN}}).encode(), SERVER, "m") == Token("One")
    assert wire.token(json.dumps({"choices": PLAIN}).encode(), SERVER, "m") == Token("One")


@pytest.mark.parametrize(
    ("content", "text", "thought"),
    [
        (None, "", ""),
        (7, "7", ""),
        (-0.10, "-0.1", ""),
        ([{"type": "text", "text": "One"}, {"type": "text", "text": " two"}], "One two", ""),
        (["One", {"text": " two"}], "One two", ""),
        ({"type": "text", "text": "One"}, "One", ""),
        ({"type": "output_text", "text": "One"}, "One", ""),
        ([{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}, {"text": "One"}], "One", "Hm"),
        ([{"type": "thinking", "thinking": "Hm", "signature": "x"}], "", "Hm"),
        ([{"type": "reasoning", "text": "Hm"}], "", "Hm"),
        ([{"type": "reasoning_content", "content": [{"text": "Hm"}]}], "", "Hm"),
        ([{"type": "reference", "reference_ids": [1]}], "", ""),
        ([{"type": "image_url", "image_url": "x"}, None, 3], "3", ""),
        ([[[[[[[[[[[[["deep"]]]]]]]]]]]]], "", ""),
    ],
)  # fmt: skip
def test_content_is_coerced_to_text_and_thoughts(content: Any, text: str, thought: str) -> None:
    assert token({"index": 0, "delta": {"content": content}}) == Token(text, thought)


def test_a_number_is_told_as_it_was_written() -> None:
    for number in ("7", "-0", "0.10", "1e5", "12345678901234567890123", "9" * 5000):
        data = b'{"choices":[{"delta":{"content":%b}}]}' % number.encode()
        assert wire.token(data, SERVER, "m") == Token(number)


@pytest.mark.parametrize(
    ("delta", "thought"),
    [
        ({"reasoning_details": [{"type": "reasoning.text", "text": "Hm"}]}, "Hm"),
        ({"reasoning_details": [{"type": "reasoning.summary", "summary": "Hm"}]}, "Hm"),
        ({"reasoning_details": [{"type": "reasoning.encrypted", "data": "xxx"}]}, ""),
        ({"reasoning": "Hm", "reasoning_details": [{"type": "reasoning.text", "text": "Hm"}]}, "Hm"),
        ({"reasoning_content": "Hm", "reasoning": "Hm"}, "Hm"),
        ({"reasoning": {"content": "Hm"}}, "Hm"),
        ({"reasoning": [{"text": "H"}, {"text": "m"}]}, "Hm"),
        ({"content": [{"type": "thinking", "thinking": "Hm"}], "reasoning": "Hm"}, "Hm"),
        ({"content": [{"type": "text", "text": ""}], "thinking": "Hm"}, "Hm"),
    ],
)
def test_reasoning_is_told_once(delta: dict[str, Any], thought: str) -> None:
    assert token({"index": 0, "delta": delta}) == Token("", thought)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}, Usage(9, 2)),
        ({"prompt_tokens": "9", "completion_tokens": "2"}, Usage(9, 2)),
        ({"prompt_tokens": 9.0, "completion_tokens": 2.7}, Usage(9, 2)),
        ({"input_tokens": 9, "output_tokens": 2}, Usage(9, 2)),
        ({"total_tokens": 11}, Usage(0, 11)),
        ({"total_tokens": "11", "prompt_tokens": None}, Usage(0, 11)),
        ({"prompt_tokens": 9, "total_tokens": 11}, Usage(9, 2)),
        ({"prompt_tokens": 9, "completion_tokens": 10**400}, Usage(9, 2**53 - 1)),
        ({"prompt_tokens": -9, "completion_tokens": 2, "total_tokens": True}, Usage(0, 2)),
    ],
)
def test_usage_counts_wherever_and_however_it_stands(usage: dict[str, Any], expected: Usage) -> None:
    end = {"index": 0, "delta": {}, "finish_reason": "stop"}
    for found in (token(end, usage=usage), token({**end, "usage": usage}), token(end, x_groq={"usage": usage})):
        assert found.finish_reason == "stop"
        assert found.usage is not None
        assert (max(0, found.usage.prompt), found.usage.completion) == (expected.prompt, expected.completion)


@pytest.mark.parametrize(
    ("odd", "word"),
    [({"type": "stop"}, "stop"), (["length"], "length"), (7, "7"), (False, None), ([], None), ({}, None)],
)
def test_a_finish_reason_of_an_odd_type_is_read_where_it_can_be(odd: Any, word: str | None) -> None:
    assert token({"index": 0, "delta": {"content": "One"}, "finish_reason": odd}) == Token("One", finish_reason=word)


def ask(aura: AuraServer, upstream: Upstream, *bodies: bytes, **reply: Any) -> list[SseEvent]:
    upstream.queue(Reply(list(bodies), **reply))
    return aura.ask("it")


def event(said: Any) -> bytes:
    return b"data: " + json.dumps(said).encode() + b"\n\n"


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        (event({"choices": None, "error_type": "BadRequest", "error_message": "it broke"}), "bad_request", "it broke"),
        (event({"choices": [], "error_type": "x", "error_message": "it broke"}), "llm_error", "it broke"),
        (event({"detail": "it broke"}), "llm_error", "it broke"),
        (event({"error": {"message": {"detail": "it broke"}}}), "llm_error", "it broke"),
        (event([{"error": {"message": "it broke", "code": 400}}]), "bad_request", "it broke"),
        (event({"error": {"message": "x", "metadata": {"raw": '{"error":"it broke"}'}}}), "llm_error", "it broke"),
        (event({"choices": [{"delta": {}, "error": {"code": 429, "message": "it broke"}}]}), "rate_limited", "it"),
        (event({"x_groq": {"id": "x", "error": "it broke"}, "choices": []}), "llm_error", "it broke"),
        (event({"base_resp": {"status_code": 1008, "status_msg": "it broke"}}), "quota_exceeded", "it broke"),
        (event({"errors": [{"message": "it broke", "code": 5007}], "success": False}), "model_not_found", "it broke"),
        (b"event: error\ndata: it broke\n\n", "llm_error", "it broke"),
        (b"event: error\ndata: no healthy upstream\n\n", "unavailable", "no healthy"),
        (b'event: error\ndata: {"message":"it broke"}\n\n', "llm_error", "it broke"),
        (b"data: upstream said it broke\n\n", "bad_response", "it broke"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("first", [b"", event({"choices": [PLAIN]})], ids=["first", "later"])
def test_an_error_in_the_stream_is_told_in_the_servers_words(
    first: bytes, said: bytes, code: str, words: str, upstream: Upstream, aura: AuraServer
) -> None:
    *_, last = ask(aura, upstream, first, said)
    assert last.name == "error"
    assert last.data["code"] == code
    assert words in last.data["message"]


@pytest.mark.parametrize(
    "sign",
    [
        {"choices": [], "prompt_filter_results": [{"content_filter_results": {"error": {"message": "x"}}}]},
        {"choices": [], "base_resp": {"status_code": 0, "status_msg": "success"}},
        {"choices": [], "error": None, "message": ""},
        {"choices": [], "error": {}, "detail": None},
        {"x_groq": {"id": "x"}, "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]},
        {"type": "ping"},
        {},
    ],
)
def test_a_sign_of_life_is_no_error(sign: dict[str, Any], upstream: Upstream, aura: AuraServer) -> None:
    events = ask(aura, upstream, event(sign), event({"choices": [PLAIN]}), STOP)
    assert [e.name for e in events] == ["token", "done"]


def test_the_address_is_blamed_only_while_no_chunk_has_come(upstream: Upstream, aura: AuraServer) -> None:
    page, nonsense = b"<html>x</html>\n\n", b'data: {"choices\n\n'
    for odd in (page, nonsense):
        assert "base_url" in ask(aura, upstream, odd)[-1].data["message"]
        last = ask(aura, upstream, event({"choices": [PLAIN]}), odd)[-1]
        assert (last.data["code"], "base_url" in last.data["message"]) == ("bad_response", False)


@pytest.mark.parametrize("status", [200, 429])
def test_a_coded_body_is_read(status: int, upstream: Upstream, aura: AuraServer) -> None:
    headers = {"content-encoding": "gzip"}
    if status == 200:
        body = gzip.compress(event({"choices": [PLAIN]}) + STOP)
        assert [e.name for e in ask(aura, upstream, body, headers=headers)] == ["token", "done"]
    else:
        body = gzip.compress(b'{"error":{"message":"no credit","code":"insufficient_quota"}}')
        assert ask(aura, upstream, body, status=429, headers=headers)[0].data["code"] == "quota_exceeded"


@pytest.mark.parametrize(("status", "code"), [(200, "bad_response"), (503, "unavailable")])
def test_a_coding_that_cannot_be_read_is_named(status: int, code: str, upstream: Upstream, aura: AuraServer) -> None:
    reply = {"status": status, "headers": {"content-encoding": "compress"}}
    (last,) = ask(aura, upstream, b"\x1f\x9d\x90", **reply)
    assert (last.data["code"], "'compress'" in last.data["message"]) == (code, True)


def test_a_bomb_is_a_bad_response(upstream: Upstream, aura: AuraServer) -> None:
    (last,) = ask(aura, upstream, gzip.compress(b"\n" * (80 * 2**20)), headers={"content-encoding": "gzip"})
    assert last.data["code"] == "bad_response"
    (last,) = ask(aura, upstream, gzip.compress(b"x" * (80 * 2**20)), status=500, headers={"content-encoding": "gzip"})
    assert last.data["code"] == "unavailable"


@pytest.mark.parametrize("message", ["Extra inputs are not permitted", "Unsupported", "unknown field"])
def test_the_remedy_for_refused_usage_is_named(message: str, upstream: Upstream, aura: AuraServer) -> None:
    for said in (
        {"detail": [{"loc": ["body", "stream_options", "include_usage"], "msg": message}]},
        {"error": {"message": f"stream_options: {message}"}},
        {"error": {"message": message, "param": "stream_options"}},
    ):
        (last,) = ask(aura, upstream, json.dumps(said).encode(), status=422)
        assert "include_usage = false" in last.data["message"]
