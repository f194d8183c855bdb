"""Where Aura listens besides an IPv4 address: a Unix socket, a socket that systemd has opened, and `::`."""

import asyncio
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from free_port import free_port
from uvicorn.protocols.utils import get_local_addr, get_remote_addr
from uvicorn.server import ServerState

from aura_core.errors import ConfigError
from aura_core.server.sockets import listen, listening_at_path
from aura_core.server.uvicorn_protocol import Protocol
from aura_core.testing import events

AURA = [sys.executable, "-m", "aura_core", "serve"]
STREAM = "/api/agents/echo/chat/stream"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="has no Unix sockets")


def _tool(name: str) -> str:
    return shutil.which(name) or pytest.skip(f"needs {name}")


@contextmanager
def running(command: list[str], folder: Path, **environ: str) -> Iterator["subprocess.Popen[str]"]:
    """A server that is stopped at the end; its stderr is read by a thread, into `said`."""
    env = os.environ | {"AURA_PLUGINS": "", "AURA_TRUST": str(folder)} | environ
    process = subprocess.Popen(command, cwd=folder, env=env, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=30)


def first_line(process: "subprocess.Popen[str]", wanted: str) -> str:
    """Read the output up to a line with these words."""
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if wanted in line:
            return line
    raise AssertionError("".join(seen))


def curl(path: Path | str, *more: str) -> list[str]:
    """The names of the events that curl gets over a Unix socket."""
    command = [_tool("curl"), "-sN", "--unix-socket", str(path), f"http://localhost{STREAM}", *more]
    command += ["-H", "content-type: application/json", "-d", '{"prompt": "Hello world"}']
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    return [event.name for event in events(done.stdout)]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_curl_streams_over_a_unix_socket_which_is_removed_at_the_end(tmp_path: Path, workers: str) -> None:
    path = tmp_path / "aura.sock"
    with running([*AURA, "--demo", "--uds", "aura.sock", "--workers", workers], tmp_path) as process:
        assert f"unix:{path}" in first_line(process, "Aura serves at")
        status = path.lstat()
        assert (stat.S_ISSOCK(status.st_mode), stat.S_IMODE(status.st_mode)) == (True, 0o660)
        assert curl(path) == ["token", "token", "done"]
        process.terminate()
        first_line(process, "Ctrl-C stops.")
        assert process.wait(30) == 0
    assert not path.exists()


def test_a_unix_socket_needs_no_token_whatever_host_says(tmp_path: Path) -> None:
    (tmp_path / "aura.toml").write_text("[server]\nhost = '0.0.0.0'\n")
    with running([*AURA, "--demo", "--uds", "it"], tmp_path) as process:
        first_line(process, "Ctrl-C stops.")
        assert curl(tmp_path / "it")[-1] == "done"


def test_only_a_dead_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "it"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with listening_at_path(path):
        with (
            pytest.raises(ConfigError, match=r"the socket is in use; is Aura running already\?"),
            listening_at_path(path),
        ):
            pass
        assert path.exists()
    assert not path.exists()
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(str(path))
        busy.listen(0)
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for each in waiting:  # its queue is full: nobody can connect, and it is not dead
            each.setblocking(False)
            each.connect_ex(str(path))
        with pytest.raises(ConfigError, match="in use"), listening_at_path(path):
            pass
        for each in waiting:
            each.close()
    path.unlink()
    path.write_text("precious")
    with pytest.raises(ConfigError, match="another file, which is not a socket"), listening_at_path(path):
        pass
    assert path.read_text() == "precious"


def test_only_our_own_socket_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "it"
    with listening_at_path(path):
        path.unlink()
        successor = socket.socket(socket.AF_UNIX)
        successor.bind(str(path))
    with successor:
        assert path.exists(), "it belongs to the process that came after us"


def test_nobody_else_can_connect_before_the_mode_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The umask is set before the bind, and restored."""
    path, bind = tmp_path / "it", socket.socket.bind
    seen = []

    class Watched(socket.socket):
        def bind(self, address: object) -> None:
            bind(self, address)  # type: ignore[arg-type]
            seen.append(stat.S_IMODE(path.lstat().st_mode))

    before = os.umask(0)
    try:
        monkeypatch.setattr(socket, "socket", Watched)
        with listening_at_path(path):
            mask = os.umask(0)
    finally:
        os.umask(before)
    assert (seen, mask) == ([0o660], 0)


def test_two_that_find_the_same_dead_socket_do_not_both_replace_it(tmp_path: Path) -> None:
    path = tmp_path / "it"
    for _ in range(20):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
        outcomes: list[str] = []
        start, end = threading.Barrier(4), threading.Barrier(4)

        def attempt(
            outcomes: list[str] = outcomes, start: threading.Barrier = start, end: threading.Barrier = end
        ) -> None:
            start.wait(30)
            try:
                with listening_at_path(path):
                    outcomes.append("listens")
                    end.wait(30)
            except ConfigError:
                outcomes.append("refused")
                end.wait(30)

        threads = [threading.Thread(target=attempt) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sorted(outcomes) == ["listens", "refused", "refused", "refused"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--uds", "no/such/folder/it"], "No such file or directory"),
        (["--uds", "x" * 200], "too long"),
        (["--uds", "it", "--port", "1"], "leave out --host and --port"),
        (["--uds", " "], "must not be empty"),
    ],
)
def test_a_path_that_cannot_be_listened_on_is_refused_in_a_line(
    arguments: list[str], told: str, tmp_path: Path
) -> None:
    done = subprocess.run([*AURA, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (1, 2)
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1


def _activated(socket_of: str, *arguments: str) -> list[str]:
    return [_tool("systemd-socket-activate"), "-l", socket_of, "-E", "AURA_PLUGINS", "-E", "PATH", *AURA, *arguments]


def _patiently(what: str, call: Callable[[], object], seconds: float = 60) -> object:
    end = time.monotonic() + seconds
    while True:
        try:
            return call()
        except OSError:
            assert time.monotonic() < end, what
            time.sleep(0.05)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_systemd_socket_activate_streams(tmp_path: Path, workers: str) -> None:
    """The first connection starts Aura, and waits in the socket until it answers."""
    path = tmp_path / "it"
    with running(_activated(str(path), "--demo", "--workers", workers), tmp_path) as process:
        _patiently("the socket does not come", path.lstat)
        assert curl(path) == ["token", "token", "done"]
        assert f"unix:{path}" in first_line(process, "Aura serves at")
        process.terminate()
        process.wait(30)
    assert path.exists(), "it is systemd's, not ours"


def test_a_socket_that_systemd_opened_for_others_needs_a_token(tmp_path: Path) -> None:
    port = free_port()
    with running(_activated(f"0.0.0.0:{port}", "--demo"), tmp_path) as process:
        _patiently("it does not listen", lambda: socket.create_connection(("127.0.0.1", port), 30).close())
        told = first_line(process, "aura:")
        assert "LISTEN_FDS: refusing to listen on 0.0.0.0 without a token; set the variable AURA_TOKEN" in told


def test_a_socket_unit_and_an_address_are_a_usage_error(tmp_path: Path) -> None:
    port = free_port()
    with running(_activated(f"127.0.0.1:{port}", "--port", "0"), tmp_path) as process:
        _patiently("it does not listen", lambda: socket.create_connection(("127.0.0.1", port), 30).close())
        assert "leave out --host, --port and --uds" in first_line(process, "aura:")


def test_descriptors_of_another_process_are_not_ours(tmp_path: Path) -> None:
    """A child inherits the variables, with the number of its parent."""
    with running([*AURA, "--port", "0"], tmp_path, LISTEN_FDS="1", LISTEN_PID="1") as process:
        assert "http://127.0.0.1:" in first_line(process, "Aura serves at")


def test_a_descriptor_that_does_not_listen_is_refused_in_a_line(tmp_path: Path) -> None:
    script = "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid()); os.execv(sys.argv[1], sys.argv[1:])"
    environ = os.environ | {"LISTEN_FDS": "1"}
    near, far = socket.socketpair()
    with near, far:
        # As Accept=yes passes it: descriptor 3 is a connection.
        command = ["bash", "-c", f'exec 3<&{near.fileno()}; exec "$0" "$@"', sys.executable, "-c", script, *AURA]
        done = subprocess.run(
            command, cwd=tmp_path, env=environ, pass_fds=[near.fileno()], capture_output=True, text=True, check=False
        )
    assert done.returncode == 1
    assert "descriptor 3 is not a listening stream socket; use ListenStream= with Accept=no" in done.stderr


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="the system has no IPv6")
def test_at_two_colons_it_serves_ipv4_and_ipv6(tmp_path: Path) -> None:
    with listen("::", 0) as sock:
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 0
    toml = "[server]\nhost = '::'\nport = 0\n"
    (tmp_path / "aura.toml").write_text(toml)
    for arguments in (["--workers", "1"], ["--workers", "2"]):
        with running([*AURA, "--demo", *arguments], tmp_path, AURA_TOKEN="t") as process:
            address = first_line(process, "Aura serves at").split()[3]
            assert address.startswith("http://[::]:")
            port = int(address.rpartition(":")[2])
            for host in ("127.0.0.1", "[::1]"):
                answer = httpx.post(
                    f"http://{host}:{port}{STREAM}",
                    json={"prompt": "hi"},
                    headers={"authorization": "Bearer t"},
                    timeout=30,
                    trust_env=False,
                )
                assert [event.name for event in events(answer.content)] == ["token", "done"]
    with running(AURA, tmp_path) as process:
        assert "refusing to listen on :: without a token" in first_line(process, "aura:")


def test_the_signal_that_ends_a_server_with_a_unix_socket_twice_removes_it(tmp_path: Path) -> None:
    """Also a second signal, which ends answers at once, leaves no socket behind."""
    with running([*AURA, "--demo", "--uds", "it"], tmp_path, AURA_SERVER__DRAIN_DELAY="60") as process:
        first_line(process, "Ctrl-C stops.")
        process.send_signal(signal.SIGTERM)
        first_line(process, "new requests are taken for 60 s")
        time.sleep(0.6)  # otherwise it counts as the same signal
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    assert not (tmp_path / "it").exists()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "a Unix socket"])
def test_a_connection_knows_its_ends_as_uvicorn_does(host: str, loop: str, tmp_path: Path) -> None:
    told: list[tuple[object, ...]] = []

    class Told(Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            told.append((self._server, self._client, get_local_addr(transport), get_remote_addr(transport)))
            transport.close()

    async def connect() -> None:
        config = uvicorn.Config(lambda: None, ws="none", log_config=None)
        config.load()
        running, state = asyncio.get_running_loop(), ServerState()
        if host == "a Unix socket":
            server = await running.create_unix_server(lambda: Told(config, state, {}), tmp_path / "it")
            reader, writer = await asyncio.open_unix_connection(tmp_path / "it")
        else:
            server = await running.create_server(lambda: Told(config, state, {}), host, 0)
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        server.close()

    factory = asyncio.new_event_loop if loop == "asyncio" else pytest.importorskip("uvloop").new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(connect())
    [(server, client, server_of_uvicorn, client_of_uvicorn)] = told
    assert (server, client) == (server_of_uvicorn, client_of_uvicorn)
    assert (client is None) == (host == "a Unix socket")
