"""Servers that somebody else wrote, each in a process of its own, on tiny models: for the tests marked `real`.

`sh tests/real/setup.sh FOLDER` makes what they need; AURA_REAL names that folder.
"""

import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import httpx
import pytest

from aura_core.testing import AuraServer, SseEvent, events

FOLDER = Path(os.environ.get("AURA_REAL") or "no-such-folder").absolute()
MARKS = [
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

    def __init__(self, upstream: Llama, folder: Path, kind: str = "openai") -> None:
        """`kind` is LiteLLM's name for what the model's server speaks."""
        self.kind = kind
        self.config = folder / "litellm.yaml"
        self.config.write_text(
            f"model_list:\n- model_name: tiny\n  litellm_params:\n    model: {self.kind}/tiny\n"
            f"    api_base: {upstream.base_url}\n    api_key: none\nrouter_settings:\n  num_retries: 0\n"
        )
        super().__init__(folder / "litellm.log")

    def command(self) -> list[str]:
        proxy = f"{FOLDER}/litellm/bin/litellm"
        return [proxy, "--config", str(self.config), "--host", "127.0.0.1", "--port", str(self.port)]


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
