"""Two real Aura processes, each with its own provider, behind a real nginx configured by deploy/nginx/aura.conf."""

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import httpx
import pytest

from aura_core.testing import Reply, Upstream

NAME = "aura.example.com"
CONFIGURATION = Path(__file__).parents[2] / "deploy" / "nginx" / "aura.conf"
SETTINGS = f"""
[server]
allowed_hosts = ["{NAME}"]
heartbeat = 1
drain_timeout = 120
drain_delay = DELAY
retries = 0

[providers.ollama]
base_url = "URL"
"""


def line(content: str, done: bool = False) -> bytes:
    """A line of an Ollama answer."""
    end = ',"done_reason":"stop"' if done else ""
    return b'{"message":{"content":"%b"},"done":%b%b}\n' % (content.encode(), str(done).lower().encode(), end.encode())


class Held:
    """An answer that sends `first`, waits for `go`, and then sends `last`."""

    def __init__(self, upstream: Upstream) -> None:
        self.go = threading.Event()
        upstream.queue(Reply([line("first"), self.go, line("last", done=True)]))


class Process:
    """`aura serve` with a provider that no other process uses."""

    def __init__(self, folder: Path, drain_delay: int = 0) -> None:
        folder.mkdir()
        self.folder = folder
        self.upstream = Upstream(Reply([line("hello", done=True)]))
        self.upstream.__enter__()
        (folder / "aura.toml").write_text(SETTINGS.replace("URL", self.upstream.url).replace("DELAY", str(drain_delay)))
        (folder / "agents").mkdir()
        (folder / "agents" / "it.md").write_text("---\nprovider: ollama\nmodel: tiny\n---\n")
        self.port = 0
        self.start()

    def start(self) -> None:
        """Start the process, on the same port as before."""
        self.said = ""
        command = [sys.executable, "-m", "aura_core", "serve", "--port", str(self.port)]
        environ = os.environ | {"AURA_TRUST": str(self.folder)}
        self._process = subprocess.Popen(command, cwd=self.folder, env=environ, stderr=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, args=[self._process.stderr], daemon=True)
        self._reader.start()

    def ready(self) -> None:
        """Wait until it listens."""
        self.port = int(self.wait_for(r"Aura serves at http://127\.0\.0\.1:(\d+)")[1])

    def terminate(self) -> None:
        """Make it drain, and wait until it does."""
        self._process.send_signal(signal.SIGTERM)
        self.wait_for("answers under way: 1")

    def signal(self) -> None:
        """Make it drain."""
        self._process.send_signal(signal.SIGTERM)

    def has_ended(self) -> bool:
        """Whether it has exited."""
        return self._process.poll() is not None

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()
        self.wait()

    def wait(self) -> None:
        """Wait until it exits."""
        self._process.wait(60)
        self._reader.join(30)

    def close(self) -> None:
        """Stop it and its provider."""
        self.kill()
        self.upstream.__exit__()

    def _read(self, stream: TextIO) -> None:
        with stream:
            for text in stream:
                self.said += text

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait until its output contains the text."""
        end = time.monotonic() + 60
        while (match := re.search(pattern, self.said)) is None:
            assert time.monotonic() < end, f"no {pattern!r} in:\n{self.said}"
            time.sleep(0.02)
        return match


@pytest.fixture
def drain_delay() -> int:
    """Seconds; a test may set another."""
    return 0


@pytest.fixture
def processes(tmp_path: Path, drain_delay: int) -> Iterator[tuple[Process, Process]]:
    """Two Aura processes."""
    both = Process(tmp_path / "a", drain_delay), Process(tmp_path / "b", drain_delay)
    for process in both:
        process.ready()
    yield both
    for process in both:
        process.close()


@pytest.fixture
def held() -> Iterator[Callable[[Upstream], Held]]:
    """Make held answers; release them all at the end of the test."""
    made: list[Held] = []

    def make(upstream: Upstream) -> Held:
        made.append(Held(upstream))
        return made[-1]

    yield make
    for each in made:
        each.go.set()


@pytest.fixture
def read_timeout() -> int:
    """nginx's read timeout in seconds; a test may set a shorter one."""
    return 60


@pytest.fixture
def client(processes: tuple[Process, Process], tmp_path: Path, read_timeout: int) -> Iterator[httpx.Client]:
    """A TLS client of nginx under the name aura.example.com."""
    nginx = _tool("nginx")
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    certificate, key = _certificate(tmp_path)
    text = CONFIGURATION.read_text(encoding="utf-8")
    for old, new in [
        ("127.0.0.1:5301", f"127.0.0.1:{processes[0].port}"),
        ("127.0.0.1:5302", f"127.0.0.1:{processes[1].port}"),
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("/etc/ssl/aura.example.com.pem", str(certificate)),
        ("/etc/ssl/aura.example.com.key", str(key)),
        ("proxy_read_timeout 60s", f"proxy_read_timeout {read_timeout}s"),
    ]:
        assert text.count(old) == 1, f"{CONFIGURATION} should hold {old!r} once"
        text = text.replace(old, new)
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(_MAIN % ("user root;" if os.geteuid() == 0 else "", text))
    command = [nginx, "-p", str(tmp_path), "-c", str(configuration), "-e", "stderr"]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    # While the port is ours, it says that too.
    assert "syntax is ok" in checked.stderr, checked.stderr
    # As in an upgrade, nginx inherits the open socket, so that no other process can take its port.
    environ = os.environ | {"NGINX": f"{listener.fileno()};"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environ, pass_fds=[listener.fileno()])
    listener.close()
    try:
        _wait_until_it_listens(port, process)
        with httpx.Client(
            base_url=f"https://127.0.0.1:{port}",
            headers={"host": NAME},
            verify=ssl.create_default_context(cafile=str(certificate)),
            trust_env=False,
            timeout=30,
        ) as client:
            client.event_hooks["request"] = [lambda request: request.extensions.update(sni_hostname=NAME)]
            yield client
    finally:
        process.terminate()
        process.communicate(timeout=30)


_MAIN = """
%s
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
%s
}
"""


def _tool(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
    return found or pytest.skip(f"needs {name}")


def _certificate(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "it.pem", folder / "it.key"
    command = [_tool("openssl"), "req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"]
    command += ["-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    return certificate, key


def _wait_until_it_listens(port: int, process: "subprocess.Popen[str]") -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(0.02)
    process.kill()
    raise AssertionError(f"nginx did not start:\n{process.communicate()[1]}")
