"""A server's life cycle from an operator's view: start, drain, workers, log lines."""

import json
import logging
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from aura_process import Process, serve

from aura_core.testing import AuraServer, SseEvent, events

SLOW = "---\nprovider: echo\noptions: {tokens: 1000, tokens_per_second: 20}\n---\n"
SHORT = "---\nprovider: echo\noptions: {tokens: 20, tokens_per_second: 20}\n---\n"


def _ask(url: str, agent: str, answers: list[list[SseEvent]], started: threading.Barrier) -> None:
    with httpx.stream(
        "POST", f"{url}/api/agents/{agent}/chat/stream", json={"prompt": "a"}, timeout=60, trust_env=False
    ) as response:
        body = b""
        waited = False
        for chunk in response.iter_raw():
            body += chunk
            if not waited and b"event: token" in body:
                waited = True
                started.wait(60)
    answers.append(events(body))


def test_sigterm_ends_every_stream_with_an_event(tmp_path: Path) -> None:
    agents = {"slow.md": SLOW, "short.md": SHORT}
    with (
        serve(tmp_path, agents, AURA_SERVER__DRAIN_TIMEOUT="6") as aura,
        httpx.Client(base_url=aura.url, trust_env=False, timeout=60) as client,
    ):
        answers: list[list[SseEvent]] = []
        started = threading.Barrier(51)
        names = ["slow"] * 40 + ["short"] * 10
        threads = [threading.Thread(target=_ask, args=(aura.url, name, answers, started)) for name in names]
        for thread in threads:
            thread.start()
        started.wait(60)
        aura.popen.send_signal(signal.SIGTERM)
        # While answers are running, the server stays up.
        while (ready := client.get("/health/ready")).status_code != 503:
            assert ready.status_code == 200
        refused = client.post("/api/agents/short/chat/stream", json={"prompt": "a"})
        assert (refused.status_code, refused.json()["code"]) == (503, "server_shutdown")
        assert "retry-after" in refused.headers
        assert client.get("/health").status_code == 200
        for thread in threads:
            thread.join(30)
        assert aura.exit() == 0
        assert "Traceback" not in "".join(aura.lines)
    last = [answer[-1] for answer in answers]
    assert [event.name for event in last].count("done") == 10
    assert [event.data.get("code") for event in last].count("server_shutdown") == 40


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs a system with SIGHUP")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_sighup_drains(tmp_path: Path, workers: str) -> None:
    """Regression: it killed the process in the middle of its answers."""
    with serve(tmp_path, {"slow.md": SLOW}, "--workers", workers, AURA_SERVER__DRAIN_TIMEOUT="0.5") as aura:
        answers: list[list[SseEvent]] = []
        started = threading.Barrier(2)
        thread = threading.Thread(target=_ask, args=(aura.url, "slow", answers, started))
        thread.start()
        started.wait(60)
        aura.popen.send_signal(signal.SIGHUP)
        assert aura.exit(60) == 0
        thread.join(30)
    assert answers[0][-1].data.get("code") == "server_shutdown"


def test_the_first_line_waits_for_no_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: the server listened at 0.3 s, but reported it at 8.3 s, after the plugin's client was open."""
    site = tmp_path / "site"
    info = site / "fake_hung-1.dist-info"
    info.mkdir(parents=True)
    (site / "fake_hung.py").write_text(
        "import threading\nfrom aura_core import Token, hookimpl\n\n"
        "@hookimpl\ndef open_client(settings):\n    threading.Event().wait()\n\n"
        "@hookimpl\nasync def stream_chat(request):\n    yield Token('x')\n"
    )
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-hung\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[aura]\nhung = fake_hung\n")
    monkeypatch.setenv("PYTHONPATH", str(site))
    agents = {"it.md": "---\nprovider: hung\n---\n", "plain.md": "Hi."}
    with serve(tmp_path, agents, AURA_PLUGINS="hung") as aura:  # it has logged the first line
        assert httpx.get(f"{aura.url}/health", trust_env=False, timeout=30).status_code == 200
        aura.popen.kill()
        aura.exit()
    assert aura.first.startswith("Aura serves at http://127.0.0.1:")
    assert "  it: hung\n" in aura.lines


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_exits_at_once(tmp_path: Path, first: signal.Signals) -> None:
    count = 40
    with serve(tmp_path, {"slow.md": SLOW}, AURA_SERVER__DRAIN_TIMEOUT="60") as aura:
        answers: list[list[SseEvent]] = []
        started = threading.Barrier(count + 1)
        threads = [threading.Thread(target=_ask, args=(aura.url, "slow", answers, started)) for _ in range(count)]
        for thread in threads:
            thread.start()
        started.wait(60)
        aura.popen.send_signal(first)
        end = time.monotonic() + 30
        while not any("shutting down" in line for line in aura.lines):
            assert time.monotonic() < end
            time.sleep(0.01)
        time.sleep(0.6)  # otherwise it counts as the same signal, forwarded by a wrapper
        assert aura.popen.poll() is None
        aura.popen.send_signal(signal.SIGINT)
        assert aura.exit(30) in (0, 1)
        for thread in threads:
            thread.join(10)
        assert "Traceback" not in "".join(aura.lines)
        assert len(aura.streams()) == count, "each has its line in the log"
    assert {answer[-1].data.get("code") for answer in answers} == {"server_shutdown"}


def test_two_simultaneous_signals_count_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrapper such as `uv run` forwards a signal that the terminal has already sent."""
    monkeypatch.setattr(logging.getLogger("uvicorn.error"), "disabled", False)
    with AuraServer(tmp_path) as aura:
        server = aura._server
        for within, leaves in ((60, False), (60, False), (0, True)):
            monkeypatch.setattr("aura_core.server.serve.SAME_SIGNAL", within)
            server.handle_exit(signal.SIGINT, None)
            assert server.force_exit is leaves


def _wait_for_both(aura: Process) -> None:
    end = time.monotonic() + 60
    while "\naura_workers 2.0\n" not in httpx.get(f"{aura.url}/metrics", trust_env=False, timeout=60).text:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_workers_share_an_address_and_drain_together(tmp_path: Path) -> None:
    with serve(tmp_path, {"slow.md": SLOW, "short.md": SHORT}, "--workers", "2") as aura:
        _wait_for_both(aura)
        answers: list[list[SseEvent]] = []
        started = threading.Barrier(11)
        names = ["short"] * 10
        threads = [threading.Thread(target=_ask, args=(aura.url, name, answers, started)) for name in names]
        for thread in threads:
            thread.start()
        started.wait(60)
        aura.popen.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(30)
        assert aura.exit() == 0
        assert "Traceback" not in "".join(aura.lines)
    assert [answer[-1].name for answer in answers] == ["done"] * 10


def test_simultaneous_connections_are_distributed_among_the_workers(tmp_path: Path) -> None:
    with serve(tmp_path, {"slow.md": SLOW}, "--workers", "2") as aura:
        _wait_for_both(aura)
        port = int(aura.url.rpartition(":")[2])
        workers = Path(f"/proc/{aura.popen.pid}/task/{aura.popen.pid}/children").read_text().split()
        for pid in workers:
            os.kill(int(pid), signal.SIGSTOP)
        clients = [socket.create_connection(("127.0.0.1", port), 30) for _ in range(100)]
        for client in clients:
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        os.kill(int(workers[0]), signal.SIGCONT)
        waiting, patience = set(clients), 30.0
        while answered := select.select(waiting, [], [], patience)[0]:
            waiting -= set(answered)
            patience = 2.0
        os.kill(int(workers[1]), signal.SIGCONT)
        taken = len(clients) - len(waiting)
        while waiting:
            waiting -= set(select.select(waiting, [], [], 30)[0] or pytest.fail("somebody gets no answer"))
        for client in clients:
            client.close()
    assert 15 < taken < 85  # by the kernel's hash: 50, give or take 5


def test_a_worker_that_crashes_is_replaced(tmp_path: Path) -> None:
    with serve(tmp_path, {}, "--workers", "2") as aura:
        children = Path(f"/proc/{aura.popen.pid}/task/{aura.popen.pid}/children")
        _wait_for_both(aura)
        end = time.monotonic() + 30
        before = children.read_text().split()
        os.kill(int(before[0]), signal.SIGKILL)
        while len(set(children.read_text().split()) - set(before)) != 1:
            assert time.monotonic() < end
            time.sleep(0.05)
        aura.popen.terminate()
        assert aura.exit() == 0
    assert any("starting another" in line for line in aura.lines)


@pytest.mark.parametrize("edited", ["", "[server"])
def test_a_worker_that_is_replaced_has_the_settings_of_the_start(edited: str, tmp_path: Path) -> None:
    """Not the file's current settings, which may be invalid or require no token."""
    settings = tmp_path / "aura.toml"
    settings.write_text("[server]\ntoken_env = 'MINE'\n")
    with serve(tmp_path, {}, "--workers", "2", MINE="correct horse") as aura:
        children = Path(f"/proc/{aura.popen.pid}/task/{aura.popen.pid}/children")
        assert httpx.get(f"{aura.url}/api/agents", trust_env=False, timeout=30).status_code == 401
        settings.write_text(edited)
        before = children.read_text().split()
        for pid in before:
            os.kill(int(pid), signal.SIGKILL)
        while any(_alive(pid) for pid in before):
            time.sleep(0.01)
        assert httpx.get(f"{aura.url}/api/agents", trust_env=False, timeout=30).status_code == 401


def test_the_end_of_a_process_that_is_not_a_worker_is_ignored() -> None:
    """Like the first process of a container, which inherits orphans; or `sh -c 'sleep 4 & exec aura serve'`."""
    said = _python("""
import os, signal, time
from contextlib import suppress
from aura_core.server import workers
stranger = os.fork()
if not stranger:
    os._exit(3)
def work(number, parent):
    with suppress(ProcessLookupError):
        while True:  # until the parent has seen its end
            os.kill(stranger, 0)
            time.sleep(0.01)
    os.kill(os.getppid(), signal.SIGTERM)
    time.sleep(60)
workers.supervise(1, work)
""")
    assert said == ""


def _alive(pid: str) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_workers_end_when_their_parent_was_killed(tmp_path: Path) -> None:
    with serve(tmp_path, {}, "--workers", "2") as aura:
        _wait_for_both(aura)
        workers = Path(f"/proc/{aura.popen.pid}/task/{aura.popen.pid}/children").read_text().split()
        assert len(workers) == 2
        aura.popen.kill()
        assert aura.exit() == -signal.SIGKILL
    end = time.monotonic() + 30
    while any(_alive(pid) for pid in workers):
        assert time.monotonic() < end, "a worker lives on, and holds the port"
        time.sleep(0.05)


def test_no_worker_misses_a_signal_that_comes_while_it_starts() -> None:
    code = """
import os, signal, time
from aura_core.server import workers
fork = os.fork
def interrupted():
    pid = fork()
    os.kill(os.getpid(), signal.SIGTERM)  # the parent and the child, as early as it can come
    return pid
os.fork = interrupted
workers.supervise(2, lambda number, parent: time.sleep(60))
"""
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    try:
        assert process.wait(20) == 0
    finally:
        process.kill()


def _python(code: str) -> str:
    """A program's stderr until it exits."""
    result = subprocess.run(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, timeout=60, start_new_session=True, check=True
    )
    return result.stderr


def test_why_a_worker_failed_is_logged() -> None:
    said = _python("""
import os, signal
from aura_core.telemetry import logs
from aura_core.server import workers
def next_attempt(self):
    if self._due:
        os.kill(os.getpid(), signal.SIGTERM)
workers._Supervisor._start_due = next_attempt
def work(number, parent):
    logs.configure(list, background=True)
    raise RuntimeError("it has no model")
workers.supervise(1, work)
""")
    assert "worker 0 failed" in said
    assert "RuntimeError: it has no model" in said
    assert "starting another" in said


def test_a_faulty_log_call_does_not_stop_the_log() -> None:
    said = _python("""
import logging
from aura_core.telemetry import logs
logs.configure(list, background=True)
logging.getLogger("lib").warning("%d", "x")
logging.getLogger("aura").info("life goes on")
""")
    assert [json.loads(line)["message"] for line in said.splitlines()] == [
        "a log line of lib could not be written",
        "life goes on",
    ]


def test_an_idle_server_exits_at_once(tmp_path: Path) -> None:
    with serve(tmp_path, {}) as aura:
        aura.popen.send_signal(signal.SIGINT)
        assert aura.exit(30) == 0


def test_each_stream_has_one_log_line_without_its_text(tmp_path: Path) -> None:
    fails = "---\nprovider: echo\noptions: {text: partial answer, fail_after: 1, code: auth}\n---\n"
    with serve(tmp_path, {"ok.md": "---\nprovider: echo\n---\nbe secretive\n", "fails.md": fails}) as aura:
        for agent in ("ok", "fails"):
            httpx.post(
                f"{aura.url}/api/agents/{agent}/chat/stream",
                json={"prompt": "confidential"},
                headers={"x-request-id": f"id-{agent}"},
                trust_env=False,
                timeout=60,
            )
        aura.popen.terminate()
        aura.exit()
        good, bad = aura.streams()
        text = "".join(aura.lines)
    assert (good["request_id"], good["client"]) == ("id-ok", "default")
    assert (good["agent"], good["provider"]) == ("ok", "echo")
    assert (good["outcome"], good["code"]) == ("done", "stop")
    assert (bad["outcome"], bad["code"]) == ("error", "auth")
    assert {"first_token_ms", "duration_ms", "prompt_tokens", "completion_tokens", "model"} <= good.keys()
    for word in ("confidential", "secretive", "partial"):
        assert word not in text


def test_a_log_that_nobody_reads_stops_no_answer(tmp_path: Path) -> None:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "e.md").write_text("---\nprovider: echo\n---\n")
    command = [sys.executable, "-m", "aura_core", "serve", "--port", "0"]
    environ = os.environ | {"AURA_PLUGINS": "echo"}
    with subprocess.Popen(command, cwd=tmp_path, env=environ, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        address = re.search(r"http://\S+", process.stderr.readline())
        assert address is not None
        with httpx.Client(base_url=address[0], trust_env=False, timeout=60) as client:
            for _ in range(400):  # some 100 KiB of log, more than a pipe holds
                assert client.post("/api/agents/e/chat", json={"prompt": "a"}).status_code == 200
            process.stderr.close()  # and then it leaves
            assert client.post("/api/agents/e/chat", json={"prompt": "a"}).status_code == 200
        process.terminate()
        assert process.wait(30) == 0


def test_a_plugins_exception_is_logged_with_its_name_and_without_the_key(tmp_path: Path) -> None:
    site = tmp_path / "site"
    info = site / "aura_leaky-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: aura-leaky\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[aura]\nleaky = aura_leaky\n")
    (site / "aura_leaky.py").write_text(
        "import os, msgspec\nfrom aura_core import ProviderError, Token, hookimpl\n"
        "class S(msgspec.Struct):\n    api_key_env: str = 'LEAKY_KEY'\n"
        "@hookimpl\ndef provider_settings():\n    return S\n"
        "@hookimpl\nasync def stream_chat(request):\n"
        "    if 'say' in request.messages[-1].content:\n"
        "        raise ProviderError('wrong key ' + os.environ['LEAKY_KEY'].strip(), 'auth')\n"
        "    raise ValueError('Bearer ' + os.environ['LEAKY_KEY'].strip())\n    yield\n"
    )
    # With the line break of a secret file; the key is sent without it.
    environ = {"AURA_PLUGINS": "leaky", "PYTHONPATH": str(site), "LEAKY_KEY": "sk-very-secret\n"}
    with serve(tmp_path, {"a.md": "---\nprovider: leaky\n---\n"}, **environ) as aura:
        url = f"{aura.url}/api/agents/a/chat/stream"
        answers = [httpx.post(url, json={"prompt": p}, trust_env=False, timeout=60).text for p in ("say", "raise")]
        aura.popen.terminate()
        aura.exit()
    text = "".join(aura.lines)
    assert "wrong key ***" in answers[0]
    assert "plugin 'leaky' failed" in text
    assert "ValueError: Bearer ***" in text
    for shown in (text, *answers):
        assert "very-secret" not in shown


def test_a_forced_exit_loses_no_line_of_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("aura_core.runtime.TELL_DELAY", 600)
    caplog.set_level(logging.INFO, "aura")
    with AuraServer(tmp_path, {"short.md": "---\nprovider: echo\n---\n"}) as aura:
        for _ in range(3):
            assert aura.ask("short")[-1].name == "done"
        aura._server.force_exit = True
    assert [record.getMessage() for record in caplog.records if record.name == "aura"].count("stream") == 3


def test_neither_figures_nor_a_log_that_fail_end_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = threading.Semaphore(0)

    def fail(_: object) -> bool:
        looked.release()
        raise OSError("no space left on device")

    monkeypatch.setattr("aura_core.server.serve.TICK", 0.05)
    logger = logging.getLogger("aura.server")
    with AuraServer(tmp_path) as aura:
        aura.runtime.looks.append(fail)
        logger.addFilter(fail)
        try:
            for _ in range(3):
                assert looked.acquire(timeout=30)
            assert httpx.get(f"{aura.url}/health", trust_env=False).status_code == 200
        finally:
            logger.removeFilter(fail)
