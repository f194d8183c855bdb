"""What systemd and balancers learn: ready when it serves, still alive, stopping; and the delay before a drain."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from aura_process import Process, serve

from aura_core.server.systemd import Systemd
from aura_core.testing import events

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")

WORKERS = pytest.mark.parametrize("workers", ["1", "2"])
SLOW = "---\nprovider: echo\noptions: {tokens: 1000, tokens_per_second: 20}\n---\n"
AGENTS = {"it.md": "---\nprovider: echo\n---\n", "slow.md": SLOW}


class Manager:
    """A service manager's side of NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(address.replace("@", "\0", 1))
        self._sock.settimeout(60)
        self.address = address

    def hear(self) -> str:
        """The next message."""
        return self._sock.recv(4096).decode()

    def wait_for(self, state: str) -> None:
        """Drop messages up to this one."""
        while self.hear() != state:
            pass

    def silent_for(self, seconds: float) -> bool:
        """Whether nothing comes in this time, after what has already come."""
        self._sock.setblocking(False)
        try:
            while True:
                self.hear()
        except BlockingIOError:
            pass
        self._sock.settimeout(seconds)
        try:
            self.hear()
        except TimeoutError:
            return True
        finally:
            self._sock.settimeout(60)
        return False

    def close(self) -> None:
        self._sock.close()


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "notify") if request.param == "path" else f"@aura-{os.getpid()}-{tmp_path.name}"


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "notify"))
    yield made
    made.close()


def _status(aura: Process, path: str = "/health/ready") -> int:
    return httpx.get(f"{aura.url}{path}", trust_env=False, timeout=60).status_code


def _ask(aura: Process) -> str:
    answer = httpx.post(f"{aura.url}/api/agents/it/chat/stream", json={"prompt": "hi"}, trust_env=False, timeout=60)
    return events(answer.content)[-1].name if answer.status_code == 200 else answer.json()["code"]


@WORKERS
def test_systemd_learns_that_it_serves_and_that_it_stops(tmp_path: Path, address: str, workers: str) -> None:
    manager = Manager(address)
    with serve(tmp_path, AGENTS, "--workers", workers, NOTIFY_SOCKET=address) as aura:
        assert manager.hear() == "READY=1"
        assert _status(aura) == 200
        aura.popen.terminate()
        assert manager.hear() == "STOPPING=1"
        assert aura.exit() == 0
    manager.close()


def test_it_is_ready_only_when_every_worker_serves(manager: Manager) -> None:
    code = """
import os, sys, time
from aura_core.server import workers
from aura_core.server.systemd import Systemd
def work(number, parent):
    if number == 1:
        sys.stdin.read(1)
    parent.ready()
    time.sleep(60)
workers.supervise(2, work, Systemd(os.environ))
"""
    environ = os.environ | {"NOTIFY_SOCKET": manager.address}
    process = subprocess.Popen([sys.executable, "-c", code], env=environ, stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert manager.silent_for(1)
    process.stdin.close()
    assert manager.hear() == "READY=1"
    process.terminate()
    assert process.wait(30) == 0


def test_the_watchdog_is_fed_while_the_event_loop_runs(tmp_path: Path, manager: Manager) -> None:
    variables = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "2000000"}
    with serve(tmp_path, AGENTS, **variables) as aura:
        manager.wait_for("READY=1")
        for _ in range(3):
            manager.wait_for("WATCHDOG=1")
        aura.popen.send_signal(signal.SIGSTOP)
        assert manager.silent_for(2)
        aura.popen.send_signal(signal.SIGCONT)
        manager.wait_for("WATCHDOG=1")
        aura.popen.terminate()
        manager.wait_for("STOPPING=1")
        assert aura.exit() == 0


def test_a_worker_that_stands_still_is_replaced_and_the_others_go_on(tmp_path: Path, manager: Manager) -> None:
    """The parent gives no sign of life while a worker is silent, and kills that worker alone before the watchdog ends
    the whole service."""
    variables = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "10000000"}
    with serve(tmp_path, AGENTS, "--workers", "2", **variables) as aura:
        manager.wait_for("READY=1")
        children = Path(f"/proc/{aura.popen.pid}/task/{aura.popen.pid}/children")
        frozen, other = children.read_text().split()
        os.kill(int(frozen), signal.SIGSTOP)
        end = time.monotonic() + 60
        while len(now := children.read_text().split()) < 2 or frozen in now:
            assert time.monotonic() < end, aura.lines
            time.sleep(0.05)
        assert other in now
        manager.wait_for("WATCHDOG=1")
        told = "has given no sign of life for 5 s; killing it"
        while not any(told in line for line in aura.lines):
            assert time.monotonic() < end, aura.lines
            time.sleep(0.05)
        while (
            "aura_worker_restarts_total 1.0" not in httpx.get(f"{aura.url}/metrics", trust_env=False, timeout=60).text
        ):
            assert time.monotonic() < end
            time.sleep(0.2)


def test_plugins_cannot_speak_for_the_server_and_other_processes_watchdogs_are_not_ours() -> None:
    environ = {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}
    systemd = Systemd(environ)
    assert (environ, systemd.sign_every) == ({}, None)
    systemd.ready()  # nobody listens there; that costs nothing
    assert Systemd({"WATCHDOG_USEC": "8000000", "WATCHDOG_PID": str(os.getpid())}).sign_every == 2


def test_before_it_drains_it_goes_on_accepting_while_balancers_are_told(tmp_path: Path) -> None:
    with serve(tmp_path, AGENTS, AURA_SERVER__DRAIN_DELAY="600") as aura:
        aura.popen.terminate()
        end = time.monotonic() + 60
        while _status(aura) == 200:
            assert time.monotonic() < end
        assert _status(aura) == 503
        assert _status(aura, "/health") == 200
        assert [_ask(aura) for _ in range(3)] == ["done"] * 3  # on connections of their own


def test_after_the_delay_it_refuses_while_an_answer_goes_on(tmp_path: Path) -> None:
    limits = {"AURA_SERVER__DRAIN_DELAY": "1", "AURA_SERVER__DRAIN_TIMEOUT": "600"}
    slow = httpx.Client(trust_env=False, timeout=60)
    with (
        serve(tmp_path, AGENTS, **limits) as aura,
        slow,
        slow.stream("POST", f"{aura.url}/api/agents/slow/chat/stream", json={"prompt": "a"}) as answer,
    ):
        lines = answer.iter_lines()  # kept: httpx closes the connection with it
        assert "event: token" in lines
        begin = time.monotonic()
        aura.popen.terminate()
        while (outcome := _ask(aura)) == "done":
            assert time.monotonic() < begin + 40  # the answer takes 50 s
        assert outcome == "server_shutdown"
        assert time.monotonic() - begin >= 1
        aura.popen.kill()


def test_a_server_without_answers_waits_for_the_delay_too(tmp_path: Path) -> None:
    """Balancers look at it every few seconds, however idle it is."""
    with serve(tmp_path, AGENTS, AURA_SERVER__DRAIN_DELAY="2") as aura:
        begin = time.monotonic()
        aura.popen.terminate()
        assert aura.exit(60) == 0
        assert time.monotonic() - begin >= 2
