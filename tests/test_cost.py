"""Limits for the cost of a token and of a request, in calls (which a busy machine does not change), and for imports."""

import asyncio
import http.client
import json
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from encoders import Sse

from aura_core import Token
from aura_core.answer.candidates import Candidate
from aura_core.answer.relay import Relay
from aura_core.config.settings import ServerSettings
from aura_core.server.uvicorn_protocol import Protocol
from aura_core.testing import AuraServer, Reply, Upstream

TOKENS = 2000
HEAVY = [
    "pydantic",
    "openai",
    "anthropic",
    "httpx2",
    "aiohttp",
    "httpx_aiohttp",
    "azure",
    "prometheus_client",
    "opentelemetry",
    "google",
    "requests",
    "rich",
    "polyfactory",
    "packaging",
]
OLLAMA_BODY = (
    b'{"model":"m","message":{"role":"assistant","content":"Hi"},"done":false}\n'
    b'{"model":"m","message":{"content":""},"done":true,"done_reason":"stop","prompt_eval_count":4,"eval_count":1}\n'
)
OPENAI_BODY = (
    b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}\n\n'
    b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)
ANSWERS = {
    "/api/chat": OLLAMA_BODY,
    "/v1/messages": b"""
event: message_start
data: {"type": "message_start", "message": {"role": "assistant", "content": [], "usage": {"input_tokens": 1}}}

event: content_block_delta
data: {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}}

event: message_delta
data: {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}}

event: message_stop
data: {"type": "message_stop"}

""",
}
# A runtime keeps stdout for the command.
OWN_STDOUT = "import os, sys\nown = os.fdopen(os.dup(1), 'w')\n"


def _modules(code: str) -> list[str]:
    shown = f"{OWN_STDOUT}{code}\nprint(*sys.modules, file=own)"
    out = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True).stdout
    return [name.split(".")[0] for name in out.split()]


def test_the_plugin_api_imports_next_to_nothing() -> None:
    ours = set(_modules("import aura_core")) - set(_modules("import msgspec, pluggy, inspect"))
    assert ours == {"aura_core"}


def test_the_server_imports_no_sdk_before_it_is_needed() -> None:
    code = """
# As where the extras are not installed; Litestar imports OpenTelemetry wherever it is.
sys.modules["prometheus_client"] = sys.modules["opentelemetry"] = None
from aura_core.cli.options import open_runtime
import aura_core.cli.serve, aura_core.server.serve
runtime = open_runtime(None, None)
aura_core.server.serve.DrainingServer(runtime)
del sys.modules["prometheus_client"], sys.modules["opentelemetry"]
"""
    modules = set(_modules(code))
    assert {"litestar", "aura_openai", "aura_anthropic"} <= modules
    assert not modules & set(HEAVY)


@pytest.mark.parametrize("names", [["anthropic", "azure", "ollama"], ["openai"]])  # azure imports aura_openai
def test_the_first_answer_imports_nothing(names: list[str], tmp_path: Path) -> None:
    """What it needs was imported while its client was opened, which happens before it is asked."""
    code = f"""
import asyncio
from pathlib import Path
from aura_core import ChatRequest, Message
from aura_core.cli.options import open_runtime

async def main():
    runtime = open_runtime(Path("aura.toml"), None)
    await asyncio.to_thread(runtime.agents.reload)  # as the server does each second
    for name in {names}:
        instance = runtime.providers.instances[name]
        await runtime.providers.open({{name}})
        client, before = await instance.client(), set(sys.modules)
        request = ChatRequest([Message("user", "Hello")], "m")
        answer = instance.hooks.stream_chat(request=request, settings=instance.settings, client=client)
        text = "".join([token.content async for token in answer])
        print(name, text, sorted(set(sys.modules) - before), file=own)
    await runtime.close()
asyncio.run(main())
"""
    with Upstream(Reply([OPENAI_BODY], headers={"content-type": "text/event-stream"})) as upstream:
        for path, body in ANSWERS.items():
            kind = "application/x-ndjson" if path == "/api/chat" else "text/event-stream"
            upstream.on(path, Reply([body], headers={"content-type": kind}))
        tables = [
            f'[providers.{name}]\n{"endpoint" if name == "azure" else "base_url"} = "{upstream.url}"' for name in names
        ]
        (tmp_path / "aura.toml").write_text("\n".join(tables))
        keys = {f"{name}_API_KEY": "k" for name in ("ANTHROPIC", "AZURE_OPENAI", "OPENAI")}
        out = subprocess.run(
            [sys.executable, "-c", OWN_STDOUT + code],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=os.environ | keys,
        )
    assert out.stdout.splitlines() == [f"{name} Hi []" for name in names], out.stderr


async def _one_by_one() -> AsyncIterator[Token]:
    for _ in range(TOKENS):
        await asyncio.sleep(0)  # each token in a read of its own
        yield Token("word ")
    yield Token(finish_reason="stop")


async def _together() -> AsyncIterator[Token]:
    for _ in range(TOKENS):
        yield Token("word ")
    yield Token(finish_reason="stop")


class _Connection:
    """A connection that accepts every write."""

    writes = 0

    def write(self, frames: list[bytes]) -> bool:
        b"".join(frames)
        self.writes += 1
        return True

    async def drain(self) -> None:
        raise AssertionError("it has room")

    def unsent(self) -> int:
        raise AssertionError("it has room")


def _calls(source: Callable[[], AsyncIterator[Token]]) -> tuple[float, int]:
    """Python and C calls for each token, and the number of writes."""

    async def start() -> AsyncIterator[Token]:
        return source()

    async def run() -> tuple[int, int]:
        relay = Relay(Candidate(start, "test"), ServerSettings(), Sse())
        calls, connection = 0, _Connection()

        def count(_frame: object, event: str, _argument: object) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        sys.setprofile(count)
        try:
            last = await relay.pipe(connection)
        finally:
            sys.setprofile(None)
            relay.close()
        assert last
        return calls, connection.writes

    calls, writes = asyncio.run(run())
    return calls / TOKENS, writes


@pytest.mark.parametrize(("source", "budget", "most_writes"), [(_one_by_one, 58, TOKENS + 2), (_together, 13, 20)])
def test_calls_for_a_token(source: Callable[[], AsyncIterator[Token]], budget: int, most_writes: int) -> None:
    calls, writes = _calls(source)
    assert calls <= budget
    assert writes <= most_writes


REQUESTS = 10
BODIES = {"ollama": OLLAMA_BODY, "openai": OPENAI_BODY}
NATIVE = "/api/agents/it/chat/stream", {"prompt": "Hi"}
DOOR = "/v1/chat/completions", {"model": "it", "messages": [{"role": "user", "content": "Hi"}], "stream": True}


class _Counting:
    """A transport that counts its writes."""

    writes = 0

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def write(self, data: bytes) -> None:
        _Counting.writes += 1
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def _cost_of_requests(aura: AuraServer, path: str, body: dict[str, Any]) -> tuple[float, float, float]:
    """Calls on the server's thread for a request with one token, calls for its log line and its figures, and writes to
    its client. Let nothing be told meanwhile."""
    calls = 0

    def count(_frame: object, event: str, _what: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    def profile(function: Any) -> None:
        changed = threading.Event()

        def change() -> None:
            sys.setprofile(function)
            changed.set()

        aura.loop.call_soon_threadsafe(change)
        assert changed.wait(30)

    connection = http.client.HTTPConnection("127.0.0.1", aura.port, timeout=30)
    for number in range(2 * REQUESTS):
        if number == REQUESTS:  # what is made only once has been made
            _Counting.writes = 0
            profile(count)
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        response = connection.getresponse()
        said = response.read()
        assert response.status == 200
        assert b"Hi" in said
    asked, calls = calls, 0
    aura.tell()
    profile(None)
    connection.close()
    return asked / REQUESTS, calls / (2 * REQUESTS), _Counting.writes / REQUESTS


@pytest.mark.parametrize("asked", [NATIVE, DOOR], ids=["native", "openai_api"])
@pytest.mark.parametrize(
    ("provider", "budget", "most_writes"),
    # The head with the token, the end; echo's token and end come together.
    [("echo", 415, 1), ("ollama", 600, 2), ("openai", 1170, 2)],
)
def test_the_cost_of_a_request(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    provider: str,
    budget: int,
    most_writes: int,
    asked: tuple[str, dict[str, Any]],
) -> None:
    monkeypatch.setattr("aura_core.server.uvicorn_protocol.FIRST_WRITE", 60)  # however slow this machine is
    monkeypatch.setattr("aura_core.runtime.TELL_DELAY", 600)
    connection_made = Protocol.connection_made
    monkeypatch.setattr(
        Protocol, "connection_made", lambda self, transport: connection_made(self, _Counting(transport))
    )
    with Upstream(Reply([BODIES.get(provider, b"")])) as upstream:
        agent = f"---\nprovider: {provider}\nmodel: m\n---\n"
        toml = "" if provider == "echo" else f'[providers.{provider}]\nbase_url = "{upstream.url}"\n'
        with AuraServer(tmp_path, {"it.md": agent}, toml, {}) as aura:
            calls, told, writes = _cost_of_requests(aura, *asked)
    print(f"{calls} calls, and {told} told")
    assert calls <= budget  # a tenth above what it was
    assert told <= 160  # a tenth, too
    assert writes <= most_writes
