"""The scenarios of a benchmark, and how each is run once against one contender."""

import json
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

from contenders import Contender
from processes import ServerProcess

CLIENT = Path(__file__).with_name("client.py")
LIMIT = 150  # seconds; anything longer has failed
PATIENCE = 5  # seconds in which an upstream should see a hang-up
STALLED = 5  # seconds that nobody reads

Figures = dict[str, float]


class Failed(Exception):
    """The reason why a contender has no figures."""


class Scenario(NamedTuple):
    """Streams, tokens of each, tokens a second (0: as fast as possible), and how they are read.

    `way`: `read` to the end, `bulk` (checked after the clock stopped), `leave`, `stall` (never read), `crowd` (memory
    while all are open). `spread`: seconds over which the streams begin. `repeats`: how often it is measured in a round.
    A `fresh` scenario gets its own server.
    """

    streams: int
    tokens: int
    rate: int
    way: str = "read"
    spread: float = 0
    how: str = ""
    repeats: int = 1

    @property
    def model(self) -> str:
        return f"{self.tokens}x{self.rate}{self.how}"

    @property
    def fresh(self) -> bool:
        return self.way in ("stall", "crowd")


ENDLESS = 1_000_000_000
WARM = Scenario(10, 5, 50)
SCENARIOS = {
    "paced50": Scenario(50, 200, 50),
    "sat200": Scenario(200, 200, 50, repeats=2),
    "burst50": Scenario(50, 2000, 0),
    "request": Scenario(200, 1, 0, spread=1, repeats=3),
    "first1": Scenario(20, 5, 50, spread=4),  # one after the other
    "first50": Scenario(50, 5, 50),
    "first200": Scenario(200, 5, 50),
    "delay50": Scenario(50, 200, 50, spread=1),
    "bulk50": Scenario(50, 4000, 0, "bulk", how="bulk"),
    "hangup1": Scenario(1, ENDLESS, 10, "leave"),
    "hangup50": Scenario(50, ENDLESS, 10, "leave", repeats=2),
    "hangup50-before": Scenario(50, 1, 0, "leave", how="silent", repeats=2),
    "stalled4": Scenario(4, ENDLESS, 0, "stall"),
    "crowd200": Scenario(200, 25, 5, "crowd"),
    "crowd1000": Scenario(1000, 40, 5, "crowd", spread=2),
    "crowd3000": Scenario(3000, 60, 5, "crowd", spread=6),
}


class LoadClient:
    """client.py in a separate process."""

    def __init__(self, contender: Contender, server: ServerProcess, scenario: Scenario) -> None:
        work = {
            "url": server.url.replace("MODEL", scenario.model),
            "body": contender.body(scenario.model).decode(),
            "streams": scenario.streams,
            "count": scenario.tokens,
            "way": scenario.way,
            "spread": scenario.spread,
        }
        command = [sys.executable, str(CLIENT)]
        options: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self.process = subprocess.Popen(command, text=True, **options)
        self.late = threading.Timer(LIMIT, self.process.kill)
        self.late.start()
        self.tell(json.dumps(work))

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def wait_open(self) -> None:
        """Wait until every stream has its first token."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line != "open\n":
            self.answer(line)

    def answer(self, last: str = "") -> dict[str, Any]:
        """Wait for the end, and check that everything succeeded."""
        assert self.process.stdout is not None
        lines = (last + self.process.stdout.read()).splitlines()
        self.late.cancel()
        code = self.process.wait()
        if code == -9:
            raise Failed(f"not done within {LIMIT} s")
        if code:
            raise Failed(lines[-1] if lines else f"the client ended with {code}")
        found: dict[str, Any] = json.loads(lines[-1])
        if "failed" in found:
            raise Failed(found["failed"])
        return found


def measure(contender: Contender, server: ServerProcess | None, scenario: Scenario, upstream: int) -> Figures:
    """Run a scenario once; without a running server, start one for it."""
    if server is None:
        server = contender.start()
        try:
            for _ in range(2):
                read(contender, server, WARM)
            server.settle()
            found = (stall if scenario.way == "stall" else crowd)(contender, server, scenario, upstream)
        finally:
            server.stop()
        return found | {"started": server.seconds}
    return (
        leave(contender, server, scenario, upstream) if scenario.way == "leave" else read(contender, server, scenario)
    )


def read(contender: Contender, server: ServerProcess, scenario: Scenario) -> Figures:
    """CPU microseconds of a token (requests included), tokens a second, and the client's figures."""
    before = server.cpu()
    found = LoadClient(contender, server, scenario).answer()
    time.sleep(0.05)
    tokens = scenario.streams * scenario.tokens
    return found | {"cpu": (server.cpu() - before) * 1e6 / tokens, "throughput": tokens / found["elapsed"]}


def crowd(contender: Contender, server: ServerProcess, scenario: Scenario, upstream: int) -> Figures:
    """KiB per stream while all of them are open; and the client's figures."""
    idle = server.memory()
    seen(upstream, forget=True)
    client = LoadClient(contender, server, scenario)
    client.wait_open()
    time.sleep(1)
    held, going = server.memory(), seen(upstream)["going"]
    found: Figures = client.answer() | {"open": going}
    if going > 0.95 * scenario.streams:  # otherwise some have ended before others could start
        found["kib"] = (held - idle) / going
    return found


def stall(contender: Contender, server: ServerProcess, scenario: Scenario, upstream: int) -> Figures:
    """MiB by which a server grows while clients never read."""
    idle = most = server.memory()
    client = LoadClient(contender, server, scenario)
    client.wait_open()
    end = time.monotonic() + STALLED
    while time.monotonic() < end:
        time.sleep(0.1)
        most = max(most, server.memory())
    client.tell("")
    client.answer()
    seen(upstream, forget=True)
    return {"growth": (most - idle) / 1024}


def leave(contender: Contender, server: ServerProcess, scenario: Scenario, upstream: int) -> Figures:
    """Milliseconds until the upstream sees that clients hung up: half of them with a close, half with a reset."""
    seen(upstream, forget=True)
    client = LoadClient(contender, server, scenario)
    end = time.monotonic() + 20
    while seen(upstream)["asked"] < scenario.streams and time.monotonic() < end:
        time.sleep(0.02)
    if scenario.how != "silent":
        client.wait_open()
    time.sleep(0.3)
    before = len(seen(upstream)["hangups"])
    client.tell("")
    left = sorted(client.answer()["left"])
    end = time.monotonic() + PATIENCE
    while len(found := seen(upstream)["hangups"][before:]) < len(left) and time.monotonic() < end:
        time.sleep(0.02)
    seen(upstream, forget=True)
    times = [(at - gone) * 1000 for at, gone in zip(sorted(found), left, strict=False)]
    unseen = len(left) - len(times)
    if len(times) <= unseen:
        return {"unseen": unseen}
    return {"hangup_p50": statistics.median(times), "hangup_max": max(times), "unseen": unseen}


def seen(upstream: int, forget: bool = False) -> dict[str, Any]:
    """What the upstream has recorded."""
    path = "forget" if forget else "seen"
    with urllib.request.urlopen(f"http://127.0.0.1:{upstream}/{path}", timeout=10) as response:
        found: dict[str, Any] = json.load(response)
    return found
