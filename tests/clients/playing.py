"""Two real servers, and drivers of clients that play scenarios against them."""

import json
import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from aura_process import Process
from cutting_proxy import CuttingProxy
from environments import Client
from scenarios import Played

from aura_core.testing import Reply, Upstream

LIMIT = 120  # seconds for one scenario; a client's imports are in the first
LIMITED = "---\nprovider: echo\noptions: {fail_after: 0, code: rate_limited, retry_after: 1}\n---\n"
ENDLESS = "---\nprovider: ollama\nmodel: m\n---\n"
WORD = b'{"message":{"role":"assistant","content":"word "},"done":false}\n'
DRIVER_ENVIRON = {"PYTHONPATH": "", "NO_PROXY": "*", "DO_NOT_TRACK": "1", "PYTHONDONTWRITEBYTECODE": "1"}


class Servers:
    """`aura serve --demo`, a server with agents of our own, and a proxy in front of the first that cuts streams."""

    def __init__(self, folder: Path, command: list[str] | None = None) -> None:
        self.upstream = Upstream(Reply([WORD, 60.0, WORD], headers={"content-type": "application/x-ndjson"}))
        self._folder, self._command = folder, command

    @contextmanager
    def running(self) -> Iterator["Servers"]:
        """Start and stop them."""
        (self._folder / "agents").mkdir()
        (self._folder / "agents" / "limited.md").write_text(LIMITED)
        (self._folder / "agents" / "endless.md").write_text(ENDLESS)
        with ExitStack() as stack:
            stack.enter_context(self.upstream)
            environ = {
                "AURA_PLUGINS": "echo,openai_api,ollama",
                "OLLAMA_HOST": self.upstream.url,
                "AURA_SERVER__RETRIES": "0",
            }
            self.demo = self._start(stack, "--demo", **environ)
            self.own = self._start(stack, **environ)
            port = int(self.demo.url.rpartition(":")[2])
            self.cut = stack.enter_context(CuttingProxy(port))
            yield self

    def _start(self, stack: ExitStack, *arguments: str, **environ: str) -> Process:
        process = Process(self._folder, *arguments, command=self._command, **environ)
        stack.callback(process.exit)
        stack.callback(process.popen.kill)
        return process

    @property
    def addresses(self) -> dict[str, str]:
        """The addresses for a driver."""
        return {"demo": self.demo.url, "own": self.own.url, "cut": self.cut.url}

    def answers(self, agent: str) -> int:
        """How many requests an agent got, from the servers' logs."""
        return sum(line["agent"] == agent for line in [*self.demo.streams(), *self.own.streams()])


AGENTS = {"error before": "fails-at-once", "error before, whole": "fails-at-once", "rate limit": "limited"}
"""Whose requests are counted."""


class Driver:
    """A client that plays scenarios, all in one process."""

    def __init__(self, client: Client, servers: Servers) -> None:
        self.client, self.servers = client, servers
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "PYTHON"))}
        self.process = subprocess.Popen(
            [*client.command, json.dumps(servers.addresses)],
            env=environ | DRIVER_ENVIRON,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._output: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._output.append(line)
            if line.startswith("@"):
                self._lines.put(line[1:])
        self._lines.put(None)

    def play(self, scenario: str) -> Played:
        """Play one, and wait for the client's result."""
        agent = AGENTS.get(scenario, "")
        before = self.servers.answers(agent)
        hangups = len(self.servers.upstream.hangups)
        assert self.process.stdin is not None
        self.process.stdin.write(f"{scenario}\n")
        self.process.stdin.flush()
        line = self._lines.get(timeout=LIMIT)
        if line is None:
            raise RuntimeError(f"{self.client.name} ended:\n{''.join(self._output[-40:])}")
        said: dict[str, Any] = json.loads(line)
        assert said.pop("scenario") == scenario
        if scenario == "cancel":
            self.servers.upstream.wait_hangup(hangups + 1)
        return Played(said, self._settled(agent) - before if agent else 0, self.client.name)

    def _settled(self, agent: str) -> int:
        """The count after the log line has arrived, which is written a moment after the answer."""
        seen, since = self.servers.answers(agent), time.monotonic()
        while time.monotonic() < since + 0.5:
            time.sleep(0.05)
            if (now := self.servers.answers(agent)) != seen:
                seen, since = now, time.monotonic()
        return seen

    def stop(self) -> None:
        """Stop it."""
        assert self.process.stdin is not None
        self.process.kill()
        self.process.wait(10)
        self._reader.join(10)
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            with suppress(BrokenPipeError):
                stream.close()


def scenarios_of(client: Client) -> list[str]:
    """The scenarios that a client's driver supports, in the order of CHECKS."""
    from scenarios import CHECKS

    source = Path(client.command[-1])
    text = source.read_text(encoding="utf-8")
    if "playAll" in text:
        text = source.with_name("ai_sdk.mjs").read_text(encoding="utf-8")
    played = text[text.rindex("play(") :]
    return [name for name in CHECKS if re.search(rf'^ +"?{re.escape(name)}"?[:,(]', played, re.MULTILINE)]


def broken_command(name: str) -> list[str]:
    """The command `aura` whose door has this break."""
    return [sys.executable, str(Path(__file__).with_name("broken_door.py")), name]
