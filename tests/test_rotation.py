"""Tokens and keys in files are changed while the server runs: no answer is cut, and no valid token is refused."""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from aura_core.clients import Client
from aura_core.config.clients import Clients, Holder
from aura_core.testing import AuraServer, Reply, Upstream

OLD, NEW = "the old token", "the new token"
KEY, NEXT_KEY = "sk-the-first-key-0001", "sk-the-second-key-0002"
BEGIN = b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n'
END = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
AGENTS = {"it.md": "---\nprovider: openai\nmodel: m\n---\n", "echo.md": "---\nprovider: echo\n---\n"}
STREAMS = 50


def _until(done: Callable[[], object], why: str) -> None:
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end, why
        time.sleep(0.05)


def _write(path: Path, text: str) -> None:
    """As Kubernetes and careful editors do: the file is whole at any time."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(f"{text}\n")
    fresh.replace(path)


class Server:
    """Aura with one client, whose tokens are in files, in front of a provider whose key is in one."""

    def __init__(self, folder: Path, upstream: Upstream) -> None:
        self.upstream = upstream
        self.key, self.token, self.next_token = folder / "key", folder / "token", folder / "token-next"
        _write(self.key, KEY)
        _write(self.token, OLD)
        toml = "[clients.team]\ntoken_file = ['token', 'token-next']\n"
        toml += f"[providers.openai]\nbase_url = '{upstream.url}'\napi_key_file = 'key'\n"
        self.aura = AuraServer(folder, AGENTS, toml)

    def ask(self, token: str, agent: str = "it") -> httpx.Response:
        body, headers = {"prompt": "hi"}, {"authorization": f"Bearer {token}"}
        url = f"{self.aura.url}/api/agents/{agent}/chat"
        return httpx.post(url, json=body, headers=headers, trust_env=False, timeout=60)

    def takes(self, token: str) -> bool:
        return self.ask(token, "echo").status_code == 200

    def key_in_use(self) -> str:
        assert self.ask(OLD).status_code == 200
        return self.upstream.requests[-1].headers["authorization"].removeprefix("Bearer ")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Upstream(Reply([BEGIN, END])) as upstream:
        server = Server(tmp_path, upstream)
        with server.aura:
            yield server


def test_rotating_a_token_and_a_key_under_fifty_streams(server: Server) -> None:
    begun, gate = threading.Semaphore(0), threading.Event()
    server.upstream.default = Reply([BEGIN, gate, END])

    def stream() -> str:
        url, said = f"{server.aura.url}/api/agents/it/chat/stream", ""
        headers = {"authorization": f"Bearer {OLD}"}
        with httpx.stream("POST", url, json={"prompt": "hi"}, headers=headers, trust_env=False, timeout=120) as reply:
            for text in reply.iter_text():
                if "Hi" in text:
                    begun.release()
                said += text
        return said

    with ThreadPoolExecutor(STREAMS) as pool:
        streams = [pool.submit(stream) for _ in range(STREAMS)]
        try:
            for _ in range(STREAMS):
                assert begun.acquire(timeout=60)
            server.upstream.default = Reply([BEGIN, END])
            assert not server.takes(NEW)
            _write(server.next_token, NEW)
            _until(lambda: server.takes(NEW), "the new token is taken")
            assert server.takes(OLD), "both are valid while clients are changed"
            _write(server.key, NEXT_KEY)
            _until(lambda: server.key_in_use() == NEXT_KEY, "the new key is used")
            server.token.unlink()
            _until(lambda: not server.takes(OLD), "the old token is refused")
            assert server.takes(NEW)
            assert _clients(server) == 2, "the streams use the one before"
        finally:
            gate.set()
        texts = [each.result(timeout=120) for each in streams]
    assert all(text.endswith('data: {"totalTokens": 0, "finishReason": "stop"}\n\n') for text in texts)
    assert {request.headers["authorization"] for request in server.upstream.requests[:STREAMS]} == {f"Bearer {KEY}"}
    _until(lambda: _clients(server) == 1, "the client before is left with its last answer")
    assert {KEY, NEXT_KEY, OLD, NEW} <= set(server.aura.runtime.secrets), "all of them stay hidden"


def _clients(server: Server) -> int:
    """How many clients of the provider are open."""

    async def count() -> int:
        return sum(task.get_name() == "aura-client-openai" for task in asyncio.all_tasks())

    return asyncio.run_coroutine_threadsafe(count(), server.aura.loop).result(60)


def test_a_file_that_breaks_changes_nothing_until_it_is_good(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "aura")
    assert server.key_in_use() == KEY
    _write(server.key, "")
    _write(server.token, "two\nlines")
    _until(lambda: "its new key is not used" in caplog.text, "the key is reported")
    _until(lambda: "keeps the tokens that it had" in caplog.text, "the token is reported")
    assert server.key_in_use() == KEY
    _write(server.key, NEXT_KEY)
    _until(lambda: server.key_in_use() == NEXT_KEY, "the good key is used")
    _write(server.token, NEW)
    _until(lambda: server.takes(NEW), "the good token is taken")
    assert not server.takes(OLD)
    for secret in (KEY, NEXT_KEY, OLD, NEW):
        assert secret not in caplog.text


def test_a_token_that_another_client_has_is_not_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = {name: tmp_path / name for name in ("a", "b")}
    for name, path in paths.items():
        path.write_text(f"token of {name}")
    holders = [Holder(Client(name), (), (path,), f"aura.toml:{name}") for name, path in paths.items()]
    clients = Clients(holders)
    _write(paths["b"], "token of a")
    clients.reload()
    assert "aura.toml:b: the clients 'a' and 'b' have the same token; give each its own" in caplog.text
    assert [_name(clients, f"token of {name}") for name in "ab"] == ["a", "b"]
    _write(paths["a"], "another token of a")
    clients.reload()
    assert [_name(clients, token) for token in ("another token of a", "token of a", "token of b")] == ["a", "b", None]


def _name(clients: Clients, token: str) -> Any:
    client = clients.of(f"Bearer {token}".encode())
    return client.name if client else None


def test_the_token_of_the_server_comes_from_a_file_as_well(tmp_path: Path) -> None:
    _write(tmp_path / "token", OLD)
    environ = os.environ | {"AURA_TOKEN": "of a variable that nobody named"}
    with AuraServer(tmp_path, AGENTS, "[server]\ntoken_file = 'token'\n", environ) as aura:

        def status(token: str) -> int:
            headers = {"authorization": f"Bearer {token}"}
            return httpx.get(f"{aura.url}/api/agents", headers=headers, trust_env=False, timeout=60).status_code

        assert [status(OLD), status(NEW), status(environ["AURA_TOKEN"])] == [200, 401, 401]
        _write(tmp_path / "token", NEW)
        _until(lambda: status(NEW) == 200, "the new token is taken")
        assert status(OLD) == 401
