"""What becomes of answers and of the process while the collector is missing, slow or broken, and with workers."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from aura_process import Process, serve
from collector import Collector

from aura_core.telemetry.otel_variables import Wanted, problem, secrets, wanted
from aura_core.telemetry.tracing import open_traces

AGENTS = {"it.md": "---\nprovider: echo\n---\n"}
PATIENT = """
import aura_core.limits
aura_core.limits.TRACES_FLUSH = aura_core.limits.COLLECTOR_TIME = 60  # however busy this machine is
from aura_core.cli import main
main()
"""
COMMAND = [sys.executable, "-c", PATIENT]
HOUR = "3600000"
"""Milliseconds until the exporter sends by itself: what comes earlier was sent at the end."""


def _ask(aura: Process, times: int = 1) -> None:
    for _ in range(times):
        url = f"{aura.url}/api/agents/it/chat"
        httpx.post(url, json={"prompt": "Hi"}, trust_env=False, timeout=60).raise_for_status()


def _traces(aura: Process) -> list[str]:
    """The messages about traces in the log."""
    lines = [json.loads(line) for line in aura.lines if line.startswith("{")]
    return [
        line["message"]
        for line in lines
        if "traces" in line["message"] or line["logger"].startswith(("aura.traces", "opentelemetry"))
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a system that can fork")
def test_each_worker_sends_what_is_left_when_it_ends(tmp_path: Path) -> None:
    with (
        Collector() as collector,
        serve(
            tmp_path,
            AGENTS,
            "--workers",
            "2",
            command=COMMAND,
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_BSP_SCHEDULE_DELAY=HOUR,
            OTEL_SERVICE_NAME="the service",
            OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20the-collectors-key",
            OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
        ) as aura,
    ):
        _ask(aura, 40)  # the kernel gives each connection to either of the two
        assert collector.spans == []
        aura.popen.send_signal(signal.SIGTERM)
        assert aura.exit(60) == 0
        assert _traces(aura) == []
        assert len(collector.spans) == 3 * 40
        assert len({span.resource["service.instance.id"] for span in collector.spans}) == 2
        assert {span.resource["service.name"] for span in collector.spans} == {"the service"}
        assert collector.headers["authorization"] == "Bearer the-collectors-key"
        assert not [line for line in aura.lines if "the-collectors-key" in line]


def test_a_collector_that_is_not_there_costs_no_answer_and_is_logged_once(tmp_path: Path) -> None:
    with Collector() as gone:
        address = gone.url
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_BSP_SCHEDULE_DELAY": "10"}
    with serve(tmp_path, AGENTS, **variables, OTEL_EXPORTER_OTLP_TIMEOUT="2") as aura:
        _ask(aura, 3)
        end = time.monotonic() + 60
        while not _traces(aura) and time.monotonic() < end:
            _ask(aura)
        _ask(aura, 3)
        aura.popen.send_signal(signal.SIGTERM)
        assert aura.exit(60) == 0
    (said,) = _traces(aura)
    assert said.startswith("the collector takes no traces, which are lost until it does: ")


def test_a_collector_that_does_not_answer_holds_neither_answers_nor_the_end(tmp_path: Path) -> None:
    with Collector() as collector:
        collector.gate.clear()
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "10"}
        with serve(tmp_path, AGENTS, **variables, OTEL_EXPORTER_OTLP_TIMEOUT="600") as aura:
            _ask(aura)
            collector.wait_until(lambda: collector.bodies, "no request of the exporter")
            _ask(aura, 3)
            aura.popen.send_signal(signal.SIGTERM)
            assert aura.exit(60) == 0, "the exporter would wait ten minutes"
        (said,) = _traces(aura)
        assert said.startswith("the collector did not take the last traces within 2 s")


def test_a_collector_that_recovers_is_told_once(tmp_path: Path) -> None:
    with Collector(status=400) as collector:
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "10"}
        with serve(tmp_path, AGENTS, command=COMMAND, **variables) as aura:
            _ask(aura)
            collector.wait_until(lambda: collector.bodies, "no request of the exporter")
            _ask(aura)
            collector.wait_until(lambda: len(collector.bodies) > 1, "no second request of the exporter")
            collector.status = 200
            _ask(aura)
            collector.wait_until(lambda: collector.spans, "no spans")
            aura.popen.send_signal(signal.SIGTERM)
            assert aura.exit(60) == 0
    first, second = _traces(aura)
    assert first.startswith("the collector takes no traces, which are lost until it does: ")
    assert "400" in first
    assert second.startswith("the collector takes traces again; lost: ")


WITHOUT = """
import sys
import importlib.util
find = importlib.util.find_spec  # as where the extra is not installed
importlib.util.find_spec = lambda name, package=None: None if name.startswith("opentelemetry") else find(name, package)
from aura_core.cli import main
main()
"""


def test_without_the_extra_the_server_says_so_and_serves(tmp_path: Path) -> None:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "it.md").write_text(AGENTS["it.md"])
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    aura = Process(tmp_path, command=[sys.executable, "-c", WITHOUT], **variables)
    try:
        _ask(aura)
    finally:
        aura.popen.send_signal(signal.SIGTERM)
        aura.exit(60)
    (warning,) = _traces(aura)
    assert warning.startswith("there are no traces: OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9 asks")
    assert "its extra otel" in warning


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"OTEL_TRACES_EXPORTER": "zipkin"},
            "OTEL_TRACES_EXPORTER=zipkin needs an exporter that is not installed; set otlp with http/protobuf",
        ),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
            "OTEL_EXPORTER_OTLP_PROTOCOL=http/json is not supported; set http/protobuf",
        ),
    ],
    ids=str,
)
def test_an_exporter_that_is_not_there_is_told_with_its_remedy(variables: dict[str, str], said: str) -> None:
    told = problem(variables)
    assert told is not None
    assert told.startswith("there are no traces: ")
    assert said in told
    assert open_traces(variables, str) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("OTEL_BSP_MAX_QUEUE_SIZE", "1"), ("OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER", "nobody")],
)
def test_a_variable_that_the_exporter_refuses_costs_only_the_traces(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(name, value)
    assert open_traces({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, str) is None
    assert "there are no traces: " in caplog.text


@pytest.mark.parametrize(
    ("environ", "result"),
    [
        ({}, None),
        ({"OTEL_SERVICE_NAME": "aura", "OTEL_TRACES_SAMPLER": "always_on"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "True"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, None),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c:4318"}, None),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"},
            Wanted("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318", "otlp_proto_http", "http://c:4318"),
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://u:p@ss@t/v1"},
            Wanted("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t/v1", "otlp_proto_http", "http://t/v1"),
        ),
        ({"OTEL_TRACES_EXPORTER": "console"}, Wanted("OTEL_TRACES_EXPORTER", "console", "console")),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            Wanted("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "otlp_proto_grpc", "the collector on this machine"),
        ),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"},
            Wanted("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "", "the collector on this machine"),
        ),
    ],
    ids=str,
)
def test_the_standard_variables_switch_traces_on(environ: dict[str, str], result: Wanted | None) -> None:
    assert wanted(environ) == result


def test_what_the_variables_hide_is_a_secret() -> None:
    environ = {
        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=abc%20def, authorization=Bearer token-1",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://user:pass%40word@host/v1/traces",
    }
    assert set(secrets(environ)) == {"abc def", "def", "Bearer token-1", "token-1", "pass@word"}
    assert secrets({}) == secrets({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://host:4318"}) == []


def _doctor(folder: Path, **environ: str) -> list[dict[str, str]]:
    """What `aura doctor` says of traces."""
    command = [*COMMAND, "doctor", "--json"]
    env = os.environ | {"AURA_PLUGINS": "echo"} | environ
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr
    return [check for check in json.loads(done.stdout)["checks"] if check["name"] == "traces"]


def test_doctor_says_where_traces_go_and_whether_the_collector_takes_them(tmp_path: Path) -> None:
    with Collector() as collector:
        (check,) = _doctor(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
        assert check["status"] == "ok"
        assert check["detail"] == f"go to {collector.url} (OTEL_EXPORTER_OTLP_ENDPOINT)"
        assert len(collector.bodies) == 1
        collector.status = 401
        header = "OTEL_EXPORTER_OTLP_HEADERS"
        first, second = _doctor(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **{header: "x=the-key-of-it"})
        assert (first["status"], second["status"]) == ("ok", "warning")
        assert "401" in second["detail"]
    (check,) = _doctor(tmp_path)
    assert (check["status"], check["detail"]) == ("note", "off: no variable OTEL_… asks for them")
