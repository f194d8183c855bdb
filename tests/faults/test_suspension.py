"""Time limits apply to others, and do not count a suspension of this process (SIGSTOP, a suspended laptop)."""

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aura_process import serve

from aura_core import Token, deadline
from aura_core.answer.candidates import Candidate
from aura_core.answer.events import Values
from aura_core.answer.relay import Limits, Relay
from aura_core.limits import TIMER_LATE
from aura_core.testing import Reply, Upstream, events

TOKEN = b'{"message":{"content":"x"}}\n'
END = b'{"message":{"content":"!"},"done":true,"done_reason":"stop","prompt_eval_count":3,"eval_count":2}\n'
AGENT = {"it.md": "---\nprovider: ollama\nmodel: m\n---\n"}


def _stop_for(pid: int, seconds: float) -> None:
    os.kill(pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(pid, signal.SIGCONT)


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs a system with SIGSTOP")
@pytest.mark.parametrize("limit", ["IDLE_TIMEOUT", "FIRST_TOKEN_TIMEOUT"])
def test_data_that_arrived_during_a_suspension_is_read_first(tmp_path: Path, limit: str) -> None:
    go = threading.Event()
    parts = [go, TOKEN, END] if limit == "FIRST_TOKEN_TIMEOUT" else [TOKEN, go, TOKEN, END]
    with Upstream(Reply(parts, headers={"content-type": "application/x-ndjson"})) as upstream:
        environ = {
            "AURA_PLUGINS": "ollama",
            "AURA_PROVIDERS__OLLAMA__BASE_URL": upstream.url,
            f"AURA_SERVER__{limit}": "2",
            "AURA_SERVER__RETRIES": "0",
        }
        with serve(tmp_path, AGENT, **environ) as aura, httpx.Client(timeout=60, trust_env=False) as client:
            ask = {"url": f"{aura.url}/api/agents/it/chat/stream", "json": {"prompt": "a"}}
            upstream.queue(Reply([END]))
            while not upstream.requests:  # until the plugin's SDK is imported
                client.post(**ask)
            with client.stream("POST", **ask) as response:
                upstream.wait_requests(2, 30)
                pieces = response.iter_raw()
                body = next(pieces)
                while limit == "IDLE_TIMEOUT" and b"token" not in body:
                    body += next(pieces)
                # The provider answers in time, while this process cannot read it.
                threading.Timer(1, go.set).start()
                _stop_for(aura.popen.pid, 4)
                body += b"".join(pieces)
    assert events(body)[-1].name == "done", body


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs a system with SIGSTOP")
def test_a_request_that_arrived_during_a_suspension_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text("import aura_core.limits\naura_core.limits.REQUEST_TIMEOUT = 2\n")
    monkeypatch.setenv("PYTHONPATH", str(site))
    with serve(tmp_path, {}) as aura:
        address = ("127.0.0.1", int(aura.url.rsplit(":", 1)[1]))
        with socket.create_connection(address, timeout=30) as sock:
            sock.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
            time.sleep(0.5)
            threading.Timer(0.5, lambda: sock.sendall(b"\r\n")).start()
            _stop_for(aura.popen.pid, 4)
            assert sock.recv(100).startswith(b"HTTP/1.1 200")


def test_limits_hold_while_every_timer_fires_late() -> None:
    """On a busy loop each timer looks as if this process had been suspended."""

    async def silent() -> AsyncIterator[Token]:
        yield Token("a")
        await asyncio.sleep(30)

    async def start() -> AsyncIterator[Token]:
        return silent()

    async def run() -> list[Any]:
        loop = asyncio.get_running_loop()
        relay = Relay(Candidate(start, "it"), Limits(0, 0.2, 0, 0, 15, 0), Values())

        def step() -> None:
            time.sleep(3 * TIMER_LATE)
            if not relay.drained:
                loop.call_soon(step)

        step()
        seen = []
        while not relay.drained:
            seen += await asyncio.wait_for(relay.take(), 10)
        relay.close()
        await relay.wait_closed()
        return seen

    assert "idle_timeout" in asyncio.run(run())[-1].message


def test_a_timeout_reads_sockets_after_a_suspension() -> None:
    async def run(ready_after: float) -> str:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            reader, writer = await asyncio.open_connection(sock=ours)
            loop = asyncio.get_running_loop()
            loop.call_later(0.05, time.sleep, 0.5)  # the process is suspended for longer than the limit
            answer = threading.Timer(ready_after, theirs.sendall, [b"answer"])
            answer.start()
            try:
                async with deadline.timeout(0.2):
                    return (await reader.read(6)).decode()
            finally:
                answer.cancel()
                writer.close()

    assert asyncio.run(run(0.1)) == "answer"
    with pytest.raises(TimeoutError):
        asyncio.run(run(3))
