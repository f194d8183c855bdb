"""Real inference: llama-cpp-python's server on tiny models, asked directly and through LiteLLM's proxy.

`sh tests/real/setup.sh FOLDER` makes what it needs.
"""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from real_servers import MARKS, LiteLlm, Llama, RealServer, ask_and

from aura_core.testing import AuraServer

AGENT = {"it.md": "---\nprovider: llama\nmodel: tiny\noptions: {seed: 7}\n---\n"}

pytestmark = MARKS


@pytest.fixture
def llama(tmp_path: Path) -> Iterator[Callable[[str], Llama]]:
    running = []

    def start(model: str) -> Llama:
        running.append(Llama(model, tmp_path / "llama.log"))
        return running[-1]

    yield start
    for server in running:
        server.kill()


@pytest.fixture
def litellm(llama: Callable[[str], Llama], tmp_path: Path) -> Iterator[Callable[[str], tuple[Llama, LiteLlm]]]:
    running = []

    def start(model: str) -> tuple[Llama, LiteLlm]:
        upstream = llama(model)
        running.append(LiteLlm(upstream, tmp_path))
        return upstream, running[-1]

    yield start
    for server in running:
        server.kill()


def ask_directly(server: RealServer) -> str:
    """The whole answer, as the server gives it to anybody."""
    answer = httpx.post(
        f"{server.base_url}/chat/completions",
        json={"model": "tiny", "messages": [{"role": "user", "content": "Hello"}], "seed": 7},
        trust_env=False,
        timeout=30,
    ).json()
    text: str = answer["choices"][0]["message"]["content"]
    return text


def test_tokens_and_the_end_are_the_models(llama: Callable[[str], Llama], tmp_path: Path) -> None:
    server = llama("plain")
    with AuraServer(tmp_path, AGENT, server.toml) as aura:
        said = aura.ask("it", "Hello")
    text = "".join(event.data["content"] for event in said[:-1])
    assert text == ask_directly(server)
    assert text.endswith(".")
    assert said[-1] == ("done", {"totalTokens": 0, "finishReason": "stop"}), "it reports no usage in a stream"


def test_a_limit_is_a_length_finish(llama: Callable[[str], Llama], tmp_path: Path) -> None:
    agent = {"it.md": AGENT["it.md"].replace("options", "max_tokens: 5\noptions")}
    with AuraServer(tmp_path, agent, llama("loop").toml) as aura:
        said = aura.ask("it", "Hello")
    assert said[-1] == ("done", {"totalTokens": 0, "finishReason": "length"})
    assert 1 <= len(said) - 1 <= 5


def test_closing_stops_the_inference(llama: Callable[[str], Llama], tmp_path: Path) -> None:
    server = llama("loop")
    with AuraServer(tmp_path, AGENT, server.toml) as aura:
        url = f"{aura.url}/api/agents/it/chat/stream"
        with httpx.stream("POST", url, json={"prompt": "Hello"}, timeout=30, trust_env=False) as response:
            body = ""
            for text in response.iter_text():
                body += text
                if body.count("event: token") >= 20:
                    break
        server.stops_generating()


def test_a_server_that_dies_is_an_interruption_and_then_unavailable(
    llama: Callable[[str], Llama], tmp_path: Path
) -> None:
    server = llama("loop")
    with AuraServer(tmp_path, AGENT, server.toml) as aura:
        said = ask_and(aura, server.kill)
        assert said[-1].name == "error"
        assert said[-1].data["code"] == "interrupted"
        (event,) = aura.ask("it")
    assert event.data["code"] == "unavailable"


def test_a_server_that_stops_is_a_timeout_and_then_answers_again(llama: Callable[[str], Llama], tmp_path: Path) -> None:
    server = llama("loop")
    limits = {"server.idle_timeout": 1, "server.first_token_timeout": 2}
    with AuraServer(tmp_path, AGENT, server.toml, flags=limits) as aura:
        said = ask_and(aura, lambda: server.process.send_signal(signal.SIGSTOP))
        assert said[-1].data["code"] == "timeout"
        assert "idle_timeout" in said[-1].data["message"]
        (event,) = aura.ask("it")
        assert event.data["code"] == "timeout"
        assert "first_token_timeout" in event.data["message"]
        server.process.send_signal(signal.SIGCONT)
        server.wait_ready()
        assert ask_and(aura, server.kill)[-1].data["code"] == "interrupted"


def test_litellm_hands_on_the_models_answer(litellm: Callable[[str], tuple[Llama, LiteLlm]], tmp_path: Path) -> None:
    upstream, proxy = litellm("plain")
    with AuraServer(tmp_path, AGENT, proxy.toml) as aura:
        said = aura.ask("it", "Hello")
    assert "".join(event.data["content"] for event in said[:-1]) == ask_directly(upstream)
    assert said[-1].name == "done"
    assert said[-1].data["finishReason"] == "stop"
    assert said[-1].data["totalTokens"] > 0, "LiteLLM counts for a server that does not"


def test_litellm_knows_no_such_model(litellm: Callable[[str], tuple[Llama, LiteLlm]], tmp_path: Path) -> None:
    _upstream, proxy = litellm("plain")
    with AuraServer(tmp_path, {"it.md": AGENT["it.md"].replace("tiny", "huge")}, proxy.toml) as aura:
        (event,) = aura.ask("it", "Hello")
    assert (event.name, event.data["code"]) == ("error", "model_not_found")
    assert "huge" in event.data["message"]


def test_closing_stops_the_inference_behind_litellm(
    litellm: Callable[[str], tuple[Llama, LiteLlm]], tmp_path: Path
) -> None:
    upstream, proxy = litellm("loop")
    with AuraServer(tmp_path, AGENT, proxy.toml) as aura:
        url = f"{aura.url}/api/agents/it/chat/stream"
        with httpx.stream("POST", url, json={"prompt": "Hello"}, timeout=30, trust_env=False) as response:
            next(text for text in response.iter_text() if "event: token" in text)
        upstream.stops_generating()


def test_a_model_that_dies_behind_litellm_is_an_error(
    litellm: Callable[[str], tuple[Llama, LiteLlm]], tmp_path: Path
) -> None:
    upstream, proxy = litellm("loop")
    with AuraServer(tmp_path, AGENT, proxy.toml) as aura:
        said = ask_and(aura, upstream.kill)
        (event,) = aura.ask("it")
    assert said[-1].name == "error", "a proxy whose upstream breaks has no whole answer"
    assert event.name == "error"
