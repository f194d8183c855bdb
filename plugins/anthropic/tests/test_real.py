"""LiteLLM's proxy, which speaks the Messages API, in front of real inference on tiny models.

`sh tests/real/setup.sh FOLDER` makes what it needs.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from real_servers import MARKS, LiteLlm, Llama, ask_and

from aura_core.testing import AuraServer

pytestmark = MARKS

Start = Callable[[str], tuple[Llama, str]]
VLLM = "hosted_vllm"  # with `openai` it would ask for the model server's Responses API, which this one does not have


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start both servers; gives the model's server, and the settings for the proxy."""
    running: list[Llama | LiteLlm] = []

    def start(model: str) -> tuple[Llama, str]:
        upstream = Llama(model, tmp_path / "llama.log")
        running.append(upstream)
        proxy = LiteLlm(upstream, tmp_path, VLLM)
        running.append(proxy)
        toml = f'[server]\nretries = 0\n[providers.llama]\nplugin = "anthropic"\nbase_url = "{proxy.base_url}"\n'
        return upstream, toml

    yield start
    for server in running:
        server.kill()


def agent(front: str = "", model: str = "tiny") -> dict[str, str]:
    return {"it.md": f"---\nprovider: llama\nmodel: {model}\n{front}\n---\n"}


def test_the_models_answer_its_usage_and_its_limit(start: Start, tmp_path: Path) -> None:
    _, toml = start("plain")
    with AuraServer(tmp_path, agent("temperature: 0"), toml) as aura:
        *said, last = aura.ask("it")
    assert last.name == "done", last
    assert "".join(event.data["content"] for event in said).endswith(".")
    assert last.data["finishReason"] == "stop"
    assert last.data["totalTokens"] > len(said) > 1
    with AuraServer(tmp_path, agent("max_tokens: 3"), toml) as aura:
        assert aura.ask("it")[-1].data["finishReason"] == "length"
    with AuraServer(tmp_path, agent(model="huge"), toml) as aura:
        (event,) = aura.ask("it")
    assert (event.name, event.data["code"]) == ("error", "model_not_found")
    assert "huge" in event.data["message"]


def test_closing_stops_the_inference(start: Start, tmp_path: Path) -> None:
    upstream, toml = start("loop")
    with AuraServer(tmp_path, agent(), toml) as aura:
        url = f"{aura.url}/api/agents/it/chat/stream"
        with httpx.stream("POST", url, json={"prompt": "Hello"}, timeout=30, trust_env=False) as response:
            next(text for text in response.iter_text() if "event: token" in text)
        upstream.stops_generating()


def test_a_model_that_dies_is_an_error(start: Start, tmp_path: Path) -> None:
    upstream, toml = start("loop")
    with AuraServer(tmp_path, agent(), toml) as aura:
        said = ask_and(aura, upstream.kill)
        (event,) = aura.ask("it")
    assert (said[-1].name, said[-1].data["code"]) == ("error", "llm_error")
    assert (event.name, event.data["code"]) == ("error", "unavailable")
