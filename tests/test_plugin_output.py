"""A plugin may print anything and start threads: the command's own output stays clean, and it exits."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LOUD = """
import contextlib, os, subprocess, sys, threading
print("loud at import")
os.system("echo loud by a child at import")
from aura_core import Token, hookimpl

def shout(where):
    print("loud in", where, flush=True)
    os.write(1, b"loud at the descriptor\\n")
    os.system("echo loud by a child")

@hookimpl
def open_client(settings):
    shout("open_client")
    @contextlib.asynccontextmanager
    async def opened():
        shout("the client")
        yield 1
    return opened()

@hookimpl
async def default_model(client):
    shout("default_model")
    return "m"

@hookimpl
async def stream_chat(request, client):
    shout("stream_chat")
    yield Token("Hello", finish_reason="stop")
"""
LINGERS = """
import threading
from aura_core import Token, hookimpl
threading.Thread(target=threading.Event().wait, name="mine").start()

@hookimpl
async def stream_chat(request):
    yield Token("Hello", finish_reason="stop")
"""


def _aura(folder: Path, source: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    site = folder / "site"
    info = site / "fake_it-1.dist-info"
    info.mkdir(parents=True)
    (site / "fake_it.py").write_text(source)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-it\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[aura]\nit = fake_it\n")
    (folder / "agents").mkdir()
    (folder / "agents" / "it.md").write_text("---\nprovider: it\n---\n")
    environ = os.environ | {"PYTHONPATH": str(site), "AURA_PLUGINS": "it"}
    command = [sys.executable, "-m", "aura_core", *arguments]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("command", ["agents", "plugins", "doctor"])
def test_json_stays_json(tmp_path: Path, command: str) -> None:
    done = _aura(tmp_path, LOUD, command, "--json")
    assert json.loads(done.stdout)
    assert "loud at import" in done.stderr


def test_chat_prints_only_the_answer(tmp_path: Path) -> None:
    done = _aura(tmp_path, LOUD, "chat", "it", "Hi")
    assert done.stdout == "Hello\n"
    assert "loud in stream_chat" in done.stderr
    assert "loud by a child" in done.stderr


@pytest.mark.parametrize("arguments", [["agents"], ["plugins"], ["doctor"], ["chat", "it", "Hi"]], ids=" ".join)
def test_a_plugins_thread_does_not_keep_a_command_running(tmp_path: Path, arguments: list[str]) -> None:
    done = _aura(tmp_path, LINGERS, *arguments)  # it would wait forever
    assert done.returncode == 0, done.stderr
    assert done.stdout
