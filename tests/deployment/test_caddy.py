"""deploy/caddy and deploy/compose.yaml: Caddy streams, passes hang-ups on, and notices a process that will stop."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from free_port import free_port

from aura_core.config import settings
from aura_core.testing import Reply

ROOT = Path(__file__).parents[2]
CADDYFILE = ROOT / "deploy" / "caddy" / "Caddyfile"
COMPOSE = ROOT / "deploy" / "compose.yaml"
STREAM = "/api/agents/it/chat/stream"


@pytest.fixture(scope="module")
def caddy_program() -> str:
    return shutil.which("caddy") or pytest.skip("needs caddy: apt-get install caddy")


def test_caddy_takes_the_file(caddy_program: str, tmp_path: Path) -> None:
    command = [caddy_program, "validate", "--adapter", "caddyfile", "--config", str(CADDYFILE)]
    done = subprocess.run(command, env=_environ(tmp_path), capture_output=True, text=True, check=False)
    assert "Valid configuration" in done.stdout + done.stderr
    assert done.returncode == 0


def _environ(folder: Path) -> dict[str, str]:
    return os.environ | {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}


@pytest.fixture
def caddy(caddy_program: str, processes: tuple[Any, Any], tmp_path: Path) -> Iterator[httpx.Client]:
    """A client of Caddy, which has the file's configuration but for TLS and its control socket."""
    port = free_port()
    file = tmp_path / "Caddyfile"
    file.write_text("{\n\tadmin off\n\tauto_https off\n}\n" + CADDYFILE.read_text(encoding="utf-8"))
    environ = _environ(tmp_path) | {
        "AURA_SITE": f"http://127.0.0.1:{port}",
        "AURA_UPSTREAMS": " ".join(f"127.0.0.1:{process.port}" for process in processes),
    }
    command = [caddy_program, "run", "--adapter", "caddyfile", "--config", str(file)]
    process = subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True)
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60)
    try:
        end = time.monotonic() + 60
        while True:
            try:
                if client.get("/health/ready").status_code == 200:
                    break
            except httpx.TransportError:
                assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < end
            time.sleep(0.05)
        yield client
    finally:
        client.close()
        process.kill()
        process.communicate()


def test_a_token_comes_while_the_answer_is_held_open_and_a_hang_up_reaches_the_provider(
    caddy: httpx.Client, processes: Any, held: Any
) -> None:
    for process in processes:
        held(process.upstream)
    with caddy.stream("POST", STREAM, json={"prompt": "Hello"}) as answer:
        assert any('{"content": "first"}' in line for line in answer.iter_lines())
        (asked,) = [process.upstream for process in processes if process.upstream.requests]
    asked.wait_hangup(timeout=30)


def test_ids_and_limits_are_aura_s(caddy: httpx.Client) -> None:
    answer = caddy.post(STREAM, json={"prompt": "Hello"}, headers={"x-request-id": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    over = caddy.post(STREAM, json={"prompt": "x" * (4 * 1024 * 1024)})
    assert (over.status_code, over.json()["code"]) == (413, "payload_too_large")


@pytest.mark.parametrize("drain_delay", [5])
def test_no_request_is_refused_while_a_process_stops(caddy: httpx.Client, processes: Any, drain_delay: int) -> None:
    """Caddy asks /health/ready each second: it knows of the stop before the process refuses anything."""
    for process in processes:
        process.upstream.default = Reply([0.1, *process.upstream.default.parts])
    stopping = processes[0]
    stopping.signal()
    stopped = False
    asked = 0
    while not stopped or asked < 50:
        stopped = stopped or stopping.has_ended()
        answer = caddy.post(STREAM, json={"prompt": "Hello"})
        asked += 1
        assert answer.status_code == 200, answer.text
        assert "event: done" in answer.text
    assert asked >= 50


# compose.yaml


def test_compose_takes_the_file(tmp_path: Path) -> None:
    program = shutil.which("docker-compose") or pytest.skip("needs docker-compose: apt-get install docker-compose")
    folder = tmp_path / "deploy"
    folder.mkdir()
    shutil.copyfile(COMPOSE, folder / "compose.yaml")
    (folder / "secrets.env").write_text("AURA_TOKEN=t\n")
    command = [program, "-f", folder / "compose.yaml", "config"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert services["aura-1"] == services["aura-2"]
    assert services["aura-1"]["environment"]["AURA_TOKEN"] == "t"
    assert services["aura-1"]["build"]["context"] == str(tmp_path), "the folder of the Dockerfile"


def test_compose_and_caddyfile_and_image_fit(tmp_path: Path) -> None:
    services = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    aura, caddy = services["aura-1"], services["caddy"]
    text = CADDYFILE.read_text(encoding="utf-8")
    assert all(f"{{${name}:" in text for name in caddy["environment"])
    assert caddy["environment"]["AURA_UPSTREAMS"].split() == [f"{name}:5300" for name in caddy["depends_on"]]
    mounts = {volume.split(":")[0]: volume.split(":")[1] for volume in caddy["volumes"]}
    assert (COMPOSE.parent / "caddy" / "Caddyfile").samefile(CADDYFILE)
    assert mounts["./caddy/Caddyfile"] == "/etc/caddy/Caddyfile"
    assert aura["volumes"] == ["./config:/etc/aura:ro"]
    environ = {
        name: value.replace("${AURA_SITE:-aura.example.com}", "it.example")
        for name, value in aura["environment"].items()
    }
    server = settings.load({}, environ | {"AURA_TOKEN": "t"}).server
    assert server.allowed_hosts == json.loads(environ["AURA_SERVER__ALLOWED_HOSTS"]) == ["it.example"]
    assert aura["stop_grace_period"] == f"{server.drain_delay + server.drain_timeout + 10:.0f}s"
