"""The contenders of a benchmark: the upstream itself, a bare relay, Aura with each provider, and the peers."""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import peers
from processes import Missing, ServerProcess

RAW = [sys.executable, str(Path(__file__).with_name("raw.py"))]
DOOR = "+v1"
"""Marks the Aura that is asked through the OpenAI API."""
DIRECT = "no server"
RELAY = "bare relay"
PLUGINS = "ollama,ollama+v1,openai,anthropic,ollama*2,openai*2"


class Contender(NamedTuple):
    """A server under test: how to start it, and the requests to send."""

    name: str
    start: Callable[[], ServerProcess]
    body: Callable[[str], bytes]


def raw(part: str, *arguments: str) -> tuple[ServerProcess, int]:
    """The upstream or the relay, and its port."""
    begin = time.perf_counter()
    process = subprocess.Popen([*RAW, part, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    port = int(process.stdout.readline())
    return ServerProcess(process, f"http://127.0.0.1:{port}/api/chat", time.perf_counter() - begin), port


def native(model: str) -> bytes:
    """A request for Ollama."""
    return json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}]}).encode()


def openai(model: str, prefix: str = "") -> bytes:
    """A request for OpenAI."""
    messages = [{"role": "user", "content": "hi"}]
    return json.dumps({"model": prefix + model, "messages": messages, "stream": True}).encode()


def prompt(_: str) -> bytes:
    """A request for Aura; the address contains the model."""
    return b'{"prompt": "hi"}'


def all_of_them(
    folder: Path, upstream: ServerProcess, port: int, models: list[str], given: argparse.Namespace
) -> list[Contender]:
    """All contenders that the options name and that are installed."""

    def place() -> Path:
        return Path(tempfile.mkdtemp(dir=folder))

    def start(name: str) -> ServerProcess:
        return aura(place(), port, given.aura, name, models)

    found = [
        Contender(DIRECT, lambda: upstream, native),
        Contender(RELAY, lambda: raw("relay", str(port))[0], native),
    ]
    plugins = filter(None, given.plugins.split(","))
    found += [Contender(f"aura-{n}", partial(start, n), openai if DOOR in n else prompt) for n in plugins]
    python = given.peers_python
    starts: dict[str, Callable[[], ServerProcess]] = {
        "nginx": lambda: peers.nginx(place(), port),
        "tensorzero": lambda: peers.tensorzero(place(), port, python, models),
        "litellm": lambda: peers.litellm(place(), port, python, models),
    }
    for name in filter(None, given.peers.split(",")):
        prefix = "tensorzero::model_name::" if name == "tensorzero" else ""
        try:
            peers.need(name, python)
        except Missing as why:
            print(f"left out: {name}: {why}", file=sys.stderr)
        else:
            found.append(Contender(name, starts[name], partial(openai, prefix=prefix)))
    return found


def aura(place: Path, upstream: int, command: str, name: str, models: list[str]) -> ServerProcess:
    """Aura with an agent for each model; `ollama*2` is one with two workers, `ollama+v1` is asked as OpenAI is."""
    plugin, _, workers = name.removesuffix(DOOR).partition("*")
    (place / "agents").mkdir()
    for model in models:
        (place / "agents" / f"{model}.md").write_text(f"---\nprovider: {plugin}\nmodel: {model}\n---\n")
    path = "/v1" if plugin == "openai" else ""
    (place / "aura.toml").write_text(
        f'[server]\nmax_streams = 5000\n[providers.{plugin}]\nbase_url = "http://127.0.0.1:{upstream}{path}"\n'
    )
    environ = os.environ | {
        "OPENAI_API_KEY": "benchmark",
        "ANTHROPIC_API_KEY": "benchmark",
        "XDG_CONFIG_HOME": str(place),
        "AURA_TRUST": str(place),
    }
    begin = time.perf_counter()
    process = subprocess.Popen(
        [*command.split(), "serve", "--port", "0", "--workers", workers or "1"],
        cwd=place,
        env=environ,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    address = None
    while "Ctrl-C" not in (line := process.stderr.readline()):
        address = address or re.search(r"http://[^\s]+:\d+", line)
        if not line:
            raise Missing("it did not start")
    assert address is not None
    seconds = time.perf_counter() - begin
    threading.Thread(target=_drain, args=[process.stderr], daemon=True).start()
    path = "/v1/chat/completions" if DOOR in name else "/api/agents/MODEL/chat/stream"
    return ServerProcess(process, f"{address[0]}{path}", seconds)


def _drain(log: Iterable[str]) -> None:
    deque(log, 0)


def add_options(parser: argparse.ArgumentParser) -> None:
    """--aura, --plugins, --peers and --peers-python."""
    parser.add_argument("--aura", default=f"{sys.executable} -m aura_core", help="the command that runs Aura")
    parser.add_argument("--plugins", default=PLUGINS, help="`ollama*2` has two workers, `ollama+v1` the OpenAI API")
    parser.add_argument("--peers", default="nginx,tensorzero,litellm", help="by comma; those installed take part")
    parser.add_argument("--peers-python", default=sys.executable, help="a Python that has litellm and tensorzero")
