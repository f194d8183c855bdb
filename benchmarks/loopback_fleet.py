"""A fleet on loopback: processes as systemd runs the units of deploy/systemd, nginx in front, clients that check all.

`benchmarks/fleet.py` measures it, and tests/deployment/test_rolling_restart.py restarts it as the documentation says.
"""

import asyncio
import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
UNIT = ROOT / "deploy" / "systemd" / "aura@.service"
NGINX = ROOT / "deploy" / "nginx" / "aura.conf"
PATIENCE = 120  # seconds; the machine may be busy


def free_port() -> int:
    """A port that nothing listens on, below those that the system gives to connections."""
    while True:
        with (
            contextlib.suppress(OSError),
            socket.create_server(("127.0.0.1", random.randint(12000, 32000))) as sock,
        ):
            return int(sock.getsockname()[1])


class Unit:
    """`aura@NAME.service`, started, watched and restarted as systemd does it: Type=notify, WatchdogSec, Restart."""

    def __init__(self, name: str, folder: Path, watchdog: float | None = None, **environ: str) -> None:
        self.name = name
        self.port = free_port()  # in place of the unit's own, which may be in use
        text = UNIT.read_text(encoding="utf-8")
        (command,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
        program, *arguments = command.split()
        assert program == "/opt/aura/bin/aura"
        assert "Type=notify" in text
        assert "Restart=on-failure" in text
        self._command = [sys.executable, "-m", "aura_core", *(a.replace("%i", str(self.port)) for a in arguments)]
        self._stop_limit, self._watchdog, self._pause = (
            float(re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)[0])
            for key in ("TimeoutStopSec", "WatchdogSec", "RestartSec")
        )
        self._watchdog = watchdog or self._watchdog
        self._folder = folder
        self._news = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = folder / f"notify-{name}"
        self._news.bind(str(address))
        self._environ = os.environ | {
            "NOTIFY_SOCKET": str(address),
            "WATCHDOG_USEC": str(int(self._watchdog * 1_000_000)),
            "AURA_TRUST": str(folder),
            "AURA_PLUGINS": "ollama",
            **environ,
        }
        self._ready = threading.Event()
        self._alive = time.monotonic()
        self._wanted = False
        self._closed = False
        self.restarts = 0
        """How often it was started again because it had failed."""
        threading.Thread(target=self._hear, daemon=True).start()
        threading.Thread(target=self._watch, daemon=True).start()

    def start(self) -> None:
        """As `systemctl start`: return when it serves."""
        self._launch()
        self._wanted = True
        assert self._ready.wait(PATIENCE), f"{self.name} does not become ready:\n{self.log()[-2000:]}"

    def stop(self) -> None:
        """As `systemctl stop`. Raises AssertionError if it has to be killed."""
        self._wanted = False
        self.process.send_signal(signal.SIGTERM)
        try:
            assert self.process.wait(self._stop_limit) == 0
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"{self.name} was killed after {self._stop_limit:g} s") from None

    def restart(self) -> None:
        """As `systemctl restart`."""
        self.stop()
        self.start()

    def log(self) -> str:
        """What it has said."""
        return (self._folder / f"{self.name}.log").read_text()

    def close(self) -> None:
        """End it at once."""
        self._wanted, self._closed = False, True
        self.process.kill()
        self.process.wait()
        self._news.close()

    def _launch(self) -> None:
        self._ready.clear()
        with (self._folder / f"{self.name}.log").open("a") as log:
            self.process = subprocess.Popen(self._command, cwd=self._folder, env=self._environ, stderr=log)

    def _hear(self) -> None:
        with contextlib.suppress(OSError):
            while state := self._news.recv(4096):
                self._alive = time.monotonic()
                if state == b"READY=1":
                    self._ready.set()

    def _watch(self) -> None:
        while not self._closed:
            time.sleep(0.05)
            if not self._wanted:
                continue
            if self._ready.is_set() and time.monotonic() - self._alive > self._watchdog:
                self.process.kill()  # systemd sends SIGABRT first, which a stopped process does not get
                self.process.wait()
            if self.process.poll() is not None:
                time.sleep(self._pause)
                if self._wanted:
                    self.restarts += 1
                    self._launch()


@contextlib.contextmanager
def units(folder: Path, names: list[str], **options: Any) -> Iterator[dict[str, Unit]]:
    """Started units."""
    made = {name: Unit(name, folder, **options) for name in names}
    try:
        for unit in made.values():
            unit.start()
        yield made
    finally:
        for unit in made.values():
            with contextlib.suppress(AttributeError):  # it was never started
                unit.close()


SYSTEMCTL = """#!%s -S
import socket, sys
with socket.socket(socket.AF_UNIX) as sock:
    sock.connect(%r)
    sock.sendall(" ".join(sys.argv[1:]).encode() + b"\\n")
    answer = sock.makefile().read()
sys.exit(answer or 0)
"""


@contextlib.contextmanager
def systemctl(folder: Path, made: dict[str, Unit]) -> Iterator[Path]:
    """A folder with a `systemctl` for these units: `systemctl restart aura@NAME`."""
    path = folder / "systemctl.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def obey() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    verb, _, rest = connection.makefile().readline().strip().partition(" ")
                    try:
                        for name in rest.split():
                            getattr(made[name.removeprefix("aura@")], {"restart": "restart"}[verb])()
                    except (AssertionError, KeyError) as exc:
                        connection.sendall(f"{type(exc).__name__}: {exc}".encode())

    threading.Thread(target=obey, daemon=True).start()
    programs = folder / "bin"
    programs.mkdir()
    script = programs / "systemctl"
    script.write_text(SYSTEMCTL % (sys.executable, str(path)))
    script.chmod(0o755)
    try:
        yield programs
    finally:
        listener.close()


MAIN = """
%s
daemon off;
worker_processes 1;
pid nginx.pid;
error_log error.log error;
worker_rlimit_nofile 65536;
events { worker_connections 16384; }
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    add_header X-Upstream $upstream_addr always;
%s
}
"""


@contextlib.contextmanager
def nginx(folder: Path, ports: list[int], edit: Callable[[str], str] = str) -> Iterator[int]:
    """deploy/nginx/aura.conf in front of these ports, without TLS, changed by `edit`. Returns nginx's port."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
    assert program, "needs nginx"
    text = re.sub(r"^ *ssl_certificate.*\n", "", NGINX.read_text(encoding="utf-8"), flags=re.MULTILINE)
    servers = "".join(f"    server 127.0.0.1:{port} max_fails=0;\n" for port in ports)
    text = re.sub(r"(^ *server 127\.0\.0\.1:\d+ max_fails=0;\n)+", servers, text, flags=re.MULTILINE)
    # It inherits the listening socket: whoever connects waits until it has started.
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    port = int(listener.getsockname()[1])
    text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{port} backlog=4096;")
    place = folder / "nginx"
    place.mkdir(exist_ok=True)
    (place / "nginx.conf").write_text(MAIN % ("user root;" if os.geteuid() == 0 else "", edit(text)))
    process = subprocess.Popen(
        [program, "-p", str(place), "-c", str(place / "nginx.conf"), "-e", "error.log"],
        env=os.environ | {"NGINX": f"{listener.fileno()};"},
        pass_fds=[listener.fileno()],
    )
    listener.close()
    try:
        yield port
    finally:
        process.terminate()
        process.wait(30)


# Clients

TOKEN = re.compile(rb'event: token\ndata: \{"content": " ?t(\d+)"\}\n\n')


class Outcome:
    """How a stream ended: `done`, an error's code, `refused` (no 200), `cut` (no end), `wrong` (other tokens)."""

    def __init__(self, how: str, detail: str = "", upstream: str = "") -> None:
        self.how, self.detail, self.upstream = how, detail, upstream


async def stream(
    port: int,
    agent: str,
    tokens: int | None = None,
    started: Callable[[str], None] = lambda upstream: None,
    piece_came: Callable[[bytes], None] = lambda piece: None,
) -> Outcome:
    """Ask over a connection of its own, and check every token. `started` gets the upstream when the head is there."""
    body = b'{"prompt": "go"}'
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError as exc:
        return Outcome("refused", str(exc))
    answer, upstream = b"", ""
    try:
        writer.write(
            b"POST /api/agents/%b/chat/stream HTTP/1.1\r\nHost: aura.example.com\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (agent.encode(), len(body), body)
        )
        head = await reader.readuntil(b"\r\n\r\n")
        found = re.search(rb"(?i)x-upstream: ([^\r]*)", head)
        upstream = found[1].decode() if found else ""
        if b" 200 " not in head[:20]:
            return Outcome("refused", (head[:15] + await reader.read(500)).decode(errors="replace"), upstream)
        started(upstream)
        while piece := await reader.read(65536):
            answer += piece
            piece_came(piece)
    except (OSError, asyncio.IncompleteReadError) as exc:
        return Outcome("cut" if answer else "refused", repr(exc), upstream)
    finally:
        writer.transport.abort()
    return _judged(answer, tokens, upstream)


def _judged(answer: bytes, tokens: int | None, upstream: str) -> Outcome:
    text = _unchunked(answer)
    if text is None:
        return Outcome("cut", repr(answer[-80:]), upstream)
    if found := re.search(rb"event: error\ndata: (\{.*\})\n\n$", text):
        return Outcome(json.loads(found[1])["code"], "", upstream)
    if not re.search(rb"event: done\ndata: \{.*\}\n\n$", text):
        return Outcome("cut", repr(text[-80:]), upstream)
    got = [int(number) for number in TOKEN.findall(text)]
    if tokens is not None and got != list(range(tokens)):
        return Outcome("wrong", f"{len(got)} of {tokens} tokens", upstream)
    return Outcome("done", "", upstream)


def _unchunked(body: bytes) -> bytes | None:
    """The contents of a chunked body; None if it is not complete."""
    parts, place = [], 0
    while True:
        end = body.find(b"\r\n", place)
        if end < 0:
            return None
        size = int(body[place:end], 16)
        place = end + 2 + size + 2
        if len(body) < place:
            return None
        if not size:
            return b"".join(parts)
        parts.append(body[end + 2 : end + 2 + size])


class Crowd:
    """Clients that ask again and again until `over`: `streams` long answers at once, and one for short answers."""

    def __init__(self, port: int, streams: int, tokens: int) -> None:
        self._port, self._streams, self._tokens = port, streams, tokens
        self.over = asyncio.Event()
        self.open = 0
        self.ended = Counter[str]()
        self.faults: list[str] = []

    async def run(self) -> None:
        """Ask, and return when the last answer that was begun is over."""
        await asyncio.gather(self._ask_often(), *(self._hold(number) for number in range(self._streams)))

    async def _hold(self, number: int) -> None:
        await asyncio.sleep(number / self._streams)
        while not self.over.is_set():
            self.open += 1
            self._note("long", await stream(self._port, "long", self._tokens))
            self.open -= 1

    async def _ask_often(self) -> None:
        while not self.over.is_set():
            self._note("short", await stream(self._port, "short", 3))
            await asyncio.sleep(0.02)

    def _note(self, kind: str, outcome: Outcome) -> None:
        self.ended[f"{kind} {outcome.how}"] += 1
        if outcome.how != "done":
            self.faults.append(f"{kind} {outcome.how}: {outcome.detail}")


def write_agents(folder: Path, tokens: int, rate: float) -> None:
    """The agents `long`, which takes tokens/rate seconds, and `short`; both number their tokens."""
    (folder / "agents").mkdir(exist_ok=True)
    for name, count, pace in (("long", tokens, rate), ("short", 3, 0)):
        text = " ".join(f"t{number}" for number in range(count))
        options = json.dumps({"text": text, "tokens": count, "tokens_per_second": pace})
        (folder / "agents" / f"{name}.md").write_text(f"---\nprovider: echo\noptions: {options}\n---\n")


def write_settings(folder: Path, text: str) -> None:
    """aura.toml for the units, from the text of deploy/systemd/aura.toml."""
    (folder / "aura.toml").write_text(text)
