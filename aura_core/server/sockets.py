"""Open the sockets that the server listens on: an address, a path, or those that systemd has opened."""

import errno
import os
import socket
import stat
import sys
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from aura_core.errors import ConfigError
from aura_core.limits import BACKLOG, SEND_BUFFER, SOCKET_PATIENCE

FIRST_INHERITED = 3
"""The first descriptor that a service manager passes (sd_listen_fds(3))."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; at `::` for IPv4 as well. Raises ConfigError that says what to do."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as exc:
        raise ConfigError(f"cannot listen on {host}: {exc.strerror or exc}") from None
    except UnicodeError:  # `a..b`, a label of over 63 letters
        raise ConfigError(f"cannot listen on {host}: it is not a valid host name") from None
    try:
        return _bound(socket.socket(family, kind, protocol), address)
    except OSError as exc:
        if host == "::" and exc.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            return listen("0.0.0.0", port)  # noqa: S104  # a system without IPv6; it means every address
        busy = exc.errno == errno.EADDRINUSE
        hint = "; is Aura running already? Choose another with --port" if busy else ""
        raise ConfigError(f"cannot listen on {host}:{port}: {exc.strerror or exc}{hint}") from None


def listen_together(host: str, port: int, count: int) -> list[socket.socket]:
    """A socket for each of several workers, at one address, as `listen` has it.

    On Linux the kernel distributes new connections among them. With one shared socket the first worker to wake accepts
    all that wait: of 50 simultaneous connections one of two workers often got all.
    """
    first = listen(host, port)  # also checks that the port is free: sockets with SO_REUSEPORT would share it
    if sys.platform != "linux":
        return [first] * count
    family, kind, protocol, address = first.family, first.type, first.proto, first.getsockname()
    first.close()
    sockets = []
    for _ in range(count):
        sock = socket.socket(family, kind, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sockets.append(_bound(sock, address))
    return sockets


def _bound(sock: socket.socket, address: Any) -> socket.socket:
    """The socket, listening there. Raises OSError."""
    try:
        if os.name == "posix" and sock.family != socket.AF_UNIX:  # on Windows it would let two servers share the port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sock.family == socket.AF_INET6 and address[0] == "::":
            # IPv4 as well, whatever the system's default is.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


@contextmanager
def listening_at_path(path: Path) -> Iterator[socket.socket]:
    """A Unix socket that listens at this path, for its user and group alone; it is removed at the end.

    A socket that nobody listens on any more is replaced. Raises ConfigError that says what to do.
    """
    try:
        with _locked(path.parent):
            if _is_taken(path):
                path.unlink()
            # Not chmod afterwards: everyone could connect in between.
            mask = os.umask(0o117)
            try:
                sock = _bound(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), str(path))
            finally:
                os.umask(mask)
            ours = _identity(path)
    except OSError as exc:  # also from the bind: a path may have 107 bytes
        raise ConfigError(f"cannot listen on {path}: {exc.strerror or exc}") from None
    owner = os.getpid()
    try:
        yield sock
    finally:
        sock.close()
        if os.getpid() == owner:  # not a worker
            with suppress(OSError), _locked(path.parent):
                if _identity(path) == ours:  # another process may listen there now
                    path.unlink()


def _is_taken(path: Path) -> bool:
    """Whether a socket is there on which nobody listens. Raises ConfigError for a live one and for anything else."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    if not stat.S_ISSOCK(mode):
        raise ConfigError(f"cannot listen on {path}: there is another file, which is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # a live one may have a full queue
        code = probe.connect_ex(str(path))
    if code == errno.ECONNREFUSED:
        return True
    why = "is Aura running already?" if code in (0, errno.EAGAIN) else os.strerror(code)
    raise ConfigError(f"cannot listen on {path}: the socket is in use; {why} Choose another path with --uds")


def _identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep another Aura from looking at the folder's sockets: both could replace the same dead one."""
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        end = time.monotonic() + SOCKET_PATIENCE
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)


def inherited(environ: MutableMapping[str, str]) -> list[socket.socket]:
    """The sockets that systemd, or another manager, has opened for this process; none where it opened none.

    The variables are removed, so that no other process takes them for its own. Raises ConfigError for what is not a
    listening stream socket.
    """
    process, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if process != str(os.getpid()) or not count.isdecimal():
        return []
    sockets = []
    for descriptor in range(FIRST_INHERITED, FIRST_INHERITED + int(count)):
        try:
            sock = socket.socket(fileno=descriptor)
            # macOS does not know the option.
            listens = sys.platform != "linux" or sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        except OSError as exc:
            raise ConfigError(f"LISTEN_FDS: descriptor {descriptor}: {exc.strerror or exc}") from None
        if sock.type != socket.SOCK_STREAM or not listens:
            raise ConfigError(
                f"LISTEN_FDS: descriptor {descriptor} is not a listening stream socket;"
                " use ListenStream= with Accept=no in the socket unit"
            )
        sock.set_inheritable(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        sock.setblocking(False)
        sockets.append(sock)
    return sockets


def host_of(sock: socket.socket) -> str | None:
    """The address that a socket listens on, without its port; None for a Unix socket."""
    return None if _is_unix(sock) else str(sock.getsockname()[0])


def shown(sock: socket.socket, host: str | None = None) -> str:
    """A socket's address for people; `host` is its name where it has one."""
    name = sock.getsockname()
    if _is_unix(sock):
        path = os.fsdecode(name).replace("\0", "@")  # an abstract one
        return f"unix:{path}"
    host = host or name[0]
    return f"http://[{host}]:{name[1]}" if ":" in host else f"http://{host}:{name[1]}"


def _is_unix(sock: socket.socket) -> bool:
    return sys.platform != "win32" and sock.family == socket.AF_UNIX
