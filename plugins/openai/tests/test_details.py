"""What a stream tells beside its text: the parts of the cost, why it ended, and the id of the request."""

import asyncio
import json
from typing import Any

import aura_openai
import pytest
from aura_openai import wire
from aura_openai.settings import OpenAISettings

from aura_core import ChatRequest, Message, Token, Usage
from aura_core.streams import Endpoint, Scrub
from aura_core.testing import SSE, Reply, Upstream

SERVER = Endpoint("It", Scrub("sk-secret-0123456789"), "check the key", "is base_url right?", "its protocol")


def token(**fields: Any) -> Token:
    return wire.token(json.dumps(fields).encode(), SERVER, "m")


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 2}, Usage(9, 2)),
        (
            {
                "prompt_tokens": 2006,
                "completion_tokens": 300,
                "total_tokens": 2306,
                "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 256, "accepted_prediction_tokens": 0},
            },
            Usage(2006, 300, cache_read=1920, reasoning=256),
        ),
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 80},
                "completion_tokens_details": {},
            },
            Usage(100, 5, 10, 80),
        ),
        (
            {"prompt_tokens": 100, "completion_tokens": 5, "prompt_cache_hit_tokens": 64},
            Usage(100, 5, cache_read=64),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": None},
            Usage(9, 2),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": "4"}},
            Usage(9, 2, cache_read=4),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": [7], "completion_tokens_details": 7},
            Usage(9, 2),
        ),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 2,
                "prompt_tokens_details": {"cached_tokens": -4},
                "completion_tokens_details": {"reasoning_tokens": None},
            },
            Usage(9, 2),
        ),
    ],
)
def test_the_parts_of_the_cost_are_told_whatever_their_type(usage: dict[str, Any], expected: Usage) -> None:
    assert token(choices=[], usage=usage).usage == expected


FILTERED = {
    "hate": {"filtered": True, "severity": "high"},
    "violence": {"filtered": False},
    "jailbreak": {"filtered": True},
}


@pytest.mark.parametrize(
    ("choice", "detail"),
    [
        ({"finish_reason": "stop"}, ""),
        ({"finish_reason": "stop", "native_finish_reason": "end_turn"}, "end_turn"),
        ({"finish_reason": "stop", "native_finish_reason": "stop"}, ""),
        ({"finish_reason": None, "native_finish_reason": None}, ""),
        ({"finish_reason": "content_filter", "content_filter_results": FILTERED}, "hate (high), jailbreak"),
        ({"finish_reason": "content_filter", "content_filter_results": [7]}, ""),
        ({"finish_reason": "content_filter", "content_filter_results": None}, ""),
        ({"finish_reason": "stop", "content_filter_results": FILTERED}, ""),
    ],
)
@pytest.mark.parametrize("delta", [{}, None])
def test_the_end_says_what_the_server_says_of_it(choice: dict[str, Any], detail: str, delta: Any) -> None:
    said = token(choices=[{"index": 0, "delta": delta, **choice}])
    assert (said.finish_reason, said.detail) == (choice["finish_reason"], detail)


def test_the_servers_id_of_the_request_is_told_before_the_text() -> None:
    body = SSE.body({"choices": [{"delta": {"content": "Hi"}}]}, {"choices": [{"delta": {}, "finish_reason": "stop"}]})

    async def tokens(url: str) -> list[Token]:
        settings = OpenAISettings(base_url=url)
        async with aura_openai.open_client(settings) as client:
            request = ChatRequest([Message("user", "Hello")], "m")
            return [token async for token in aura_openai.stream_chat(request, settings, client)]

    with Upstream(Reply([body], headers={"x-request-id": "req_7"})) as upstream:
        assert asyncio.run(tokens(upstream.url))[:2] == [Token(upstream_id="req_7"), Token("Hi")]
        upstream.default = Reply([body])
        assert asyncio.run(tokens(upstream.url))[0] == Token("Hi")
