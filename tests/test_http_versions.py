"""Old HTTP versions, and ASGI servers and clients other than ours."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from aura_core.config import settings
from aura_core.runtime import Runtime
from aura_core.server.app import create_app
from aura_core.testing import AuraServer, events

AGENTS = {"e.md": "---\nprovider: echo\n---\n", "slow.md": "---\nprovider: echo\noptions: {delay: 60}\n---\n"}
BODY = json.dumps({"prompt": "Hello world"}).encode()


def _ask(port: int, version: str, route: str) -> tuple[bytes, bytes]:
    """Head and body of the response, read until the connection is closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.sendall(
            f"POST /api/agents/e/{route} HTTP/{version}\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(BODY)}\r\nConnection: close\r\n\r\n".encode()
            + BODY
        )
        got = b""
        while piece := sock.recv(65536):
            got += piece
    head, _, body = got.partition(b"\r\n\r\n")
    return head.lower(), body


def test_http_1_0_gets_a_body_that_ends_with_the_connection(tmp_path: Path) -> None:
    """RFC 9112, 6.1: a server must not send Transfer-Encoding to a client of HTTP/1.0."""
    with AuraServer(tmp_path, AGENTS) as aura:
        head, body = _ask(aura.port, "1.0", "chat/stream")
        assert b"transfer-encoding" not in head
        assert b"content-length" not in head
        assert b"connection: close" in head
        assert [event.name for event in events(body)] == ["token", "token", "done"]
        assert body.startswith(b": ok\n\nevent: token\n")
        head, body = _ask(aura.port, "1.0", "chat")
        assert b"transfer-encoding" not in head
        assert json.loads(body)["content"] == "Hello world"
        head, body = _ask(aura.port, "1.1", "chat/stream")
        assert b"transfer-encoding: chunked" in head


@pytest.mark.parametrize("route", ["chat/stream", "chat"])
def test_a_client_that_calls_the_application_is_answered(tmp_path: Path, route: str) -> None:
    (tmp_path / "agents").mkdir()
    for name, text in AGENTS.items():
        (tmp_path / "agents" / name).write_text(text)

    async def ask() -> httpx.Response:
        environ = {"AURA_PLUGINS": "echo"}
        loaded = settings.load({"agents.directory": str(tmp_path / "agents")}, environ)
        runtime = Runtime(loaded, environ)
        transport = httpx.ASGITransport(create_app(runtime))
        try:
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await client.post(f"/api/agents/e/{route}", json={"prompt": "Hello world"})
        finally:
            await runtime.close()

    response = asyncio.run(ask())
    assert response.status_code == 200, response.text
    if route == "chat":
        assert response.json()["content"] == "Hello world"
    else:
        assert response.text.endswith('event: done\ndata: {"totalTokens": 4, "finishReason": "stop"}\n\n')


APPLICATION = """
import os
from aura_core.config import settings
from aura_core.runtime import Runtime
from aura_core.server.app import create_app
app = create_app(Runtime(settings.load({}, os.environ), os.environ))
"""


def test_another_asgi_server_streams_and_cancels(tmp_path: Path) -> None:
    """Hypercorn, which does not have our connection class."""
    (tmp_path / "agents").mkdir()
    for name, text in AGENTS.items():
        (tmp_path / "agents" / name).write_text(text)
    (tmp_path / "application.py").write_text(APPLICATION)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "hypercorn", "--bind", f"127.0.0.1:{port}", "application:app"]
    environ = os.environ | {"AURA_PLUGINS": "echo", "AURA_SERVER__MAX_STREAMS": "1"}
    with (
        ExitStack() as stack,
        subprocess.Popen(command, cwd=tmp_path, env=environ, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as server,
    ):
        try:
            url = f"http://127.0.0.1:{port}/api/agents"
            client = stack.enter_context(httpx.Client(trust_env=False, timeout=30))
            end = time.monotonic() + 60
            while True:
                try:
                    answer = client.post(f"{url}/e/chat/stream", json={"prompt": "Hello world"})
                    break
                except httpx.ConnectError:
                    assert time.monotonic() < end
                    time.sleep(0.1)
            assert [event.name for event in events(answer.content)] == ["token", "token", "done"]
            with client.stream("POST", f"{url}/slow/chat/stream", json={"prompt": "a"}) as response:
                assert response.status_code == 200
                assert client.post(f"{url}/e/chat", json={"prompt": "a"}).json()["code"] == "too_many_streams"
            # Its client has disconnected: the slot is free again.
            while client.post(f"{url}/e/chat", json={"prompt": "a"}).status_code != 200:
                assert time.monotonic() < end
                time.sleep(0.05)
        finally:
            server.terminate()
            server.communicate(timeout=60)
