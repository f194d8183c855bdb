"""Streams as vendors document them, each with what is peculiar to it; docs/providers.md names this file."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from aura_core.testing import SSE, AuraServer, Reply, Upstream

USED = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
TIMED = USED | {"queue_time": 0.01, "prompt_time": 0.02, "total_time": 0.5}
DETAILED = USED | {"prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 1}}


def chunk(delta: Any, finish: str | None = None, choice: Any = None, **more: Any) -> dict[str, Any]:
    """A chunk; `choice` is what else stands in its choice."""
    said = {"index": 0, "delta": delta, "finish_reason": finish, **(choice or {})}
    return {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [said], **more}


def usage(counts: Any) -> dict[str, Any]:
    """A last chunk without choices."""
    return {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [], "usage": counts}


STOP = b"[DONE]"
HI = [{"role": "assistant", "content": "Hi"}, {"content": " there"}]

# vendor: (what it streams, the reasoning)
STREAMS: dict[str, tuple[list[Any], str]] = {
    "Anthropic": ([*map(chunk, HI), chunk({}, "stop", usage=USED), STOP], ""),
    "Cerebras": ([*map(chunk, HI), chunk({}, "stop", time_info={"total_time": 0.1}, usage=USED), STOP], ""),
    "Cohere": ([*map(chunk, HI), chunk({}, "COMPLETE"), usage(USED), STOP], ""),
    "DashScope": ([*(chunk(d, usage=None, system_fingerprint=None) for d in HI), chunk({}, "stop"), usage(USED)], ""),
    "DeepSeek": (
        [
            chunk({"role": "assistant", "content": None, "reasoning_content": "Hm"}, usage=None),
            *(chunk(d | {"reasoning_content": None}, usage=None) for d in HI),
            chunk({"content": "", "reasoning_content": None}, "stop", usage=USED | {"prompt_cache_hit_tokens": 0}),
            STOP,
        ],
        "Hm",
    ),
    "Fireworks": ([*map(chunk, HI), chunk({}, "stop", usage=USED, perf_metrics={"server-ttft": "0.1"}), STOP], ""),
    "Gemini": ([*map(chunk, HI), chunk({"role": "assistant"}, "stop", usage=USED), STOP], ""),
    "GitHub Models": (
        [
            {"choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]},
            *(chunk(d, choice={"content_filter_results": {}}) for d in HI),
            chunk({}, "stop"),
            usage(USED),
            STOP,
        ],
        "",
    ),
    "Groq": ([*map(chunk, HI), chunk({}, "stop", x_groq={"id": "r", "usage": TIMED}), usage(TIMED), STOP], ""),
    "LM Studio": ([*map(chunk, HI), chunk({}, "stop", stats={}), usage(USED), STOP], ""),
    "LiteLLM": ([*map(chunk, HI), chunk({}, "stop", citations=None), usage(DETAILED), STOP], ""),
    "Mistral": ([*map(chunk, HI), chunk({"content": "", "tool_calls": None}, "stop", usage=USED, p="abcd"), STOP], ""),
    "NVIDIA NIM": ([*map(chunk, HI), chunk({}, "stop", choice={"stop_reason": None}), usage(USED), STOP], ""),
    "Perplexity": (
        [
            *(chunk(d, choice={"message": {"role": "assistant", "content": "Hi there"}}, usage=USED) for d in HI),
            chunk({}, "stop", usage=USED, search_results=[]),
        ],
        "",
    ),
    "SGLang": ([*map(chunk, HI), chunk({"content": None}, "stop", choice={"matched_stop": 2}), usage(USED), STOP], ""),
    "Together": (
        [
            *(chunk(d | {"token_id": 12}, choice={"text": d["content"], "seed": None}, usage=None) for d in HI),
            chunk({"content": ""}, "eos", choice={"text": "", "seed": 7}, usage=USED),
            STOP,
        ],
        "",
    ),
    "vLLM": (
        [
            chunk({"role": "assistant", "content": ""}, choice={"logprobs": None}),
            chunk({"reasoning": "Hm"}, choice={"logprobs": None, "token_ids": None}),
            *(chunk(d, choice={"logprobs": None, "token_ids": None}) for d in HI),
            chunk({}, "stop", choice={"stop_reason": None}),
            usage(USED),
            STOP,
        ],
        "Hm",
    ),
    "xAI": (
        [
            chunk({"reasoning_content": "Hm"}, usage=DETAILED),
            *(chunk(d, usage=DETAILED) for d in HI),
            chunk({}, "stop", usage=DETAILED),
            STOP,
        ],
        "Hm",
    ),
}


@pytest.fixture(scope="module")
def aura(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuraServer]:
    toml = f'[server]\nretries = 0\n[providers.local]\nplugin = "openai"\nbase_url = "{upstream.url}/v1"\n'
    agent = "---\nprovider: local\nmodel: tiny\n---\n"
    with AuraServer(tmp_path_factory.mktemp("aura"), {"it.md": agent}, toml) as aura:
        yield aura


@pytest.mark.parametrize("vendor", STREAMS)
def test_a_stream_as_the_vendor_documents_it(vendor: str, upstream: Upstream, aura: AuraServer) -> None:
    said, reasoning = STREAMS[vendor]
    upstream.queue(Reply([SSE.body(*said)], headers={"content-type": "text/event-stream"}))
    events = aura.ask("it")
    assert [event.data["content"] for event in events if event.name == "token"] == ["Hi", " there"]
    assert "".join(event.data["content"] for event in events if event.name == "reasoning") == reasoning
    assert (events[-1].name, events[-1].data) == ("done", {"totalTokens": 11, "finishReason": "stop"}), json.dumps(said)
