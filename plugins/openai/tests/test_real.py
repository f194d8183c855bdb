"""Real inference: llama-cpp-python's server on tiny models, asked directly and through LiteLLM's proxy.

`sh tests/real/setup.sh FOLDER` makes what it needs.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import httpx
import pytest

from aura_core.testing import AuraServer, SseEvent, events

FOLDER = Path(os.environ.get("AURA_REAL") or "no-such-folder").absolute()
AGENT = {"it.md": "---\nprovider: llama\nmodel: tiny\noptions: {seed: 7}\n---\n"}

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        not (FOLDER / "plain.gguf").exists(), reason="AURA_REAL names no folder made by tests/real/setup.sh"
    ),
]


class RealServer:
    """A server that somebody else wrote, in a process of its own."""

    environment: ClassVar[dict[str, str]] = {}

    def __init__(self, log: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                self.command(), stdout=output, stderr=subprocess.STDOUT, env=os.environ | self.environment
            )
        try:
            self.wait_ready()
        except BaseException:
            self.kill()
            raise

    def command(self) -> list[str]:
        raise NotImplementedError

    def wait_ready(self) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                httpx.get(f"{self.base_url}/models", timeout=5, trust_env=False)
                return
            except httpx.TransportError:
                time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def toml(self) -> str:
        return f'[server]\nretries = 0\n[providers.llama]\nplugin = "openai"\nbase_url = "{self.base_url}"'

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Llama(RealServer):
    """A llama-cpp-python server."""

    def __init__(self, model: str, log: Path) -> None:
        self.model = model
        super().__init__(log)

    def command(self) -> list[str]:
        options = {"model": f"{FOLDER}/{self.model}.gguf", "port": self.port, "n_ctx": 16384, "n_threads": 1}
        command = [f"{FOLDER}/venv/bin/python", "-m", "llama_cpp.server"]
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        return command

    def stops_generating(self) -> None:
        """Assert that it notices at once that its client has left, and computes no more."""
        left = time.monotonic()
        while "Disconnected from client" not in self.log.read_text():
            assert time.monotonic() - left < 2, "the server did not see the hang-up"
            time.sleep(0.01)
        time.sleep(0.3)
        before = self.cpu_seconds()
        time.sleep(1)
        assert self.cpu_seconds() - before < 0.2, "it still generates"


class LiteLlm(RealServer):
    """LiteLLM's proxy in front of a llama-cpp-python server."""

    environment: ClassVar[dict[str, str]] = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # it would be downloaded
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
    }

    def __init__(self, upstream: Llama, folder: Path) -> None:
        self.config = folder / "litellm.yaml"
        self.config.write_text(
            "model_list:\n- model_name: tiny\n  litellm_params:\n    model: openai/tiny\n"
            f"    api_base: {upstream.base_url}\n    api_key: none\nrouter_settings:\n  num_retries: 0\n"
        )
        super().__init__(folder / "litellm.log")

    def command(self) -> list[str]:
        proxy = f"{FOLDER}/litellm/bin/litellm"
        return [proxy, "--config", str(self.config), "--host", "127.0.0.1", "--port", str(self.port)]


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


def ask_and(aura: AuraServer, then: Callable[[], None]) -> list[SseEvent]:
    """Ask, do something after some tokens, and read the rest."""
    body = ""
    url = f"{aura.url}/api/agents/it/chat/stream"
    with httpx.stream("POST", url, json={"prompt": "Hello"}, timeout=30, trust_env=False) as response:
        done = False
        for text in response.iter_text():
            body += text
            if not done and body.count("event: token") >= 20:
                done = True
                then()
    return events(body)


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
