"""Through a collector that we did not write (rotel, in Rust): `just collector` installs and runs it."""

import importlib.util
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest
from aura_process import serve
from collector import Collector
from traced import new_trace

pytestmark = pytest.mark.real


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_real_collector_takes_the_spans_and_passes_them_on(protocol: str, tmp_path: Path) -> None:
    found = importlib.util.find_spec("rotel")
    assert found is not None, "run it with: just collector"
    assert found.origin is not None
    http, grpc, trace = _free_port(), _free_port(), new_trace()
    with Collector() as behind:
        rotel = subprocess.Popen(
            [
                Path(found.origin).with_name("rotel-agent"),
                "start",
                f"--otlp-http-endpoint=127.0.0.1:{http}",
                f"--otlp-grpc-endpoint=127.0.0.1:{grpc}",
                "--exporter=otlp",
                "--otlp-exporter-protocol=http",
                f"--otlp-exporter-endpoint={behind.url}",
            ],
            cwd=tmp_path,
        )
        try:
            _wait_for(http)
            variables = {
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{grpc if protocol == 'grpc' else http}",
                "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            }
            with serve(tmp_path, {"it.md": "---\nprovider: echo\n---\n"}, **variables) as aura:
                headers = {"traceparent": f"00-{trace}-{'1' * 16}-01"}
                url = f"{aura.url}/api/agents/it/chat/stream"
                httpx.post(url, json={"prompt": "Hi"}, headers=headers, trust_env=False).raise_for_status()
                aura.popen.send_signal(signal.SIGTERM)
                assert aura.exit(60) == 0
            tree = behind.answer(trace)
        finally:
            rotel.terminate()
            rotel.wait(30)
    assert tree.agent is not None
    assert [span.name for span in tree.chats] == ["chat"]
    assert tree.chats[0].attributes["gen_ai.provider.name"] == "echo"
    assert "aura.first_token" in tree.chats[0].events


def _wait_for(port: int) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("rotel does not listen")
