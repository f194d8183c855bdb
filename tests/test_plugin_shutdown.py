"""Tasks and threads that a plugin starts neither stop the server nor prevent it from stopping."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from aura_core.testing import AuraServer, SseEvent

AGENTS = {
    "it.md": "---\nprovider: it\n---\n",
    "slow.md": "---\nprovider: echo\noptions: {text: a b c d, tokens: 40, tokens_per_second: 40}\n---\n",
}
HEAD = """
import asyncio, contextlib, sys, threading, time
from aura_core import Token, hookimpl

kept = []

async def exits(seconds=0):
    await asyncio.sleep(seconds)
    sys.exit(3)

async def interrupts():
    raise KeyboardInterrupt

async def stays():
    while True:
        try:
            await asyncio.sleep(3600)
        except BaseException:
            pass

async def stays_when_cancelled():
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass

async def leaves_badly():
    try:
        await asyncio.sleep(3600)
    finally:
        sys.exit(4)

async def endless():
    try:
        yield
    finally:
        await stays()
"""
ANSWER = """
@hookimpl
async def stream_chat(request):
    loop = asyncio.get_running_loop()
    {}
    yield Token("a")
    await asyncio.sleep(0.05)
    yield Token("b", finish_reason="stop")
"""
CLIENT = """
@hookimpl
@contextlib.asynccontextmanager
async def open_client(settings):
    kept.append(asyncio.ensure_future(exits()))
    await asyncio.sleep(0.05)
    yield 5
"""

ENDS: dict[str, str] = {
    "a task that exits": ANSWER.format("kept.append(loop.create_task(exits()))"),
    "a task that exits when nobody waits": ANSWER.format("kept.append(loop.create_task(exits(0.08)))"),
    "a task that is interrupted": ANSWER.format("kept.append(loop.create_task(interrupts()))"),
    "a callback that exits": ANSWER.format("loop.call_soon(sys.exit, 3)"),
    "a timer that exits": ANSWER.format("loop.call_later(0.02, sys.exit, 3)"),
    "a task whose end exits": ANSWER.format(
        "loop.create_task(asyncio.sleep(0)).add_done_callback(lambda task: sys.exit(3))"
    ),
    "many of them at once": ANSWER.format("kept.extend(loop.create_task(exits()) for _ in range(20))"),
    "a loop that is stopped": ANSWER.format("loop.stop()"),
    "a client's task that exits": CLIENT + ANSWER.format("pass"),
}


@pytest.mark.parametrize("what", ENDS)
def test_the_server_continues_after(
    what: str, tmp_path: Path, fake_plugin: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    fake_plugin("it", HEAD + ENDS[what])
    with AuraServer(tmp_path, AGENTS) as aura:
        others: list[SseEvent] = []
        other = threading.Thread(target=lambda: others.extend(aura.ask("slow")))
        other.start()
        for _ in range(2):
            answer = aura.ask("it")
            assert [event.name for event in answer] == ["token", "token", "done"]
        other.join(30)
        assert [event.name for event in others] == ["token"] * 40 + ["done"], "a running answer is not disturbed"
        assert httpx.get(f"{aura.url}/health", trust_env=False, timeout=30).status_code == 200
    assert "would have ended the server" in caplog.text
    for task in sys.modules["fake_aura_it_it"].kept:
        task.exception()  # otherwise asyncio reports it at the end of the tests


def test_a_task_group_whose_task_exits_is_the_plugins_fault(tmp_path: Path, fake_plugin: Callable[..., None]) -> None:
    group = "async with asyncio.TaskGroup() as group:\n        group.create_task(exits())"
    fake_plugin("it", HEAD + ANSWER.format(group))
    with AuraServer(tmp_path, AGENTS, "[server]\nretries = 0") as aura:
        assert aura.ask("it")[-1].data["code"] == "llm_error"
        assert aura.ask("slow")[-1].name == "done"


CLEAN_UP = """
@hookimpl
async def stream_chat(request):
    try:
        yield Token("a")
        await asyncio.sleep(3600)
    finally:
        {}
"""
STAYS = {
    "a clean-up that ignores everything": CLEAN_UP.format("await stays()"),
    "a clean-up that ignores its cancellation": CLEAN_UP.format("await stays_when_cancelled()"),
    "a task": CLEAN_UP.format("kept.append(asyncio.create_task(stays()))"),
    "a task that exits at the end": CLEAN_UP.format("kept.append(asyncio.create_task(leaves_badly()))"),
    "a thread of the pool": CLEAN_UP.format("asyncio.get_running_loop().run_in_executor(None, time.sleep, 3600)"),
    "a thread": CLEAN_UP.format("threading.Thread(target=time.sleep, args=[3600]).start()"),
    "a generator": CLEAN_UP.format("kept.append(endless()); await anext(kept[-1])"),
}


@pytest.mark.parametrize(("what", "workers"), [(what, 1) for what in STAYS] + [(next(iter(STAYS)), 2)])
def test_sigterm_ends_a_server_in_spite_of(what: str, workers: int, tmp_path: Path) -> None:
    site = tmp_path / "site"
    info = site / "aura_it-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: aura-it\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[aura]\nit = aura_it\n")
    (site / "aura_it.py").write_text(HEAD + STAYS[what])
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "it.md").write_text(AGENTS["it.md"])
    environ = os.environ | {"AURA_PLUGINS": "it", "PYTHONPATH": os.pathsep.join([str(site), *sys.path])}
    command = [sys.executable, "-m", "aura_core", "serve", "--port", "0", "--workers", str(workers)]
    with subprocess.Popen(command, cwd=tmp_path, env=environ, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            address = re.search(r"127\.0\.0\.1:(\d+)", process.stderr.readline())
            assert address is not None
            for _ in range(4):
                with socket.create_connection(("127.0.0.1", int(address[1])), timeout=30) as sock:
                    sock.sendall(
                        b"POST /api/agents/it/chat/stream HTTP/1.1\r\nHost: localhost\r\n"
                        b'Content-Type: application/json\r\nContent-Length: 14\r\n\r\n{"prompt":"a"}'
                    )
                    got = b""
                    while b"event: token" not in got:
                        got += sock.recv(65536) or pytest.fail(got.decode())
            time.sleep(0.2)  # until the server has noticed the disconnects; the assertion also holds if it has not
            process.send_signal(signal.SIGTERM)
            assert process.wait(45) == 0
            assert "Traceback" not in process.stderr.read() or "exits" in what
        finally:
            process.kill()
