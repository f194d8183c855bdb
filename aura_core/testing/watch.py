"""Watch what a plugin does besides answering: calls that block, connections, time limits, variables, prints."""

import io
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

SLEPT = 0.01
"""Seconds from which on a `time.sleep` counts."""
_SECRET_WORDS = {"KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIAL", "CREDENTIALS"}
_SOCKET_CALLS = {"recv", "recv_into", "recvfrom", "send", "sendall", "connect", "accept"}
_connects: list[Any] = []
_hooked = False


@contextmanager
def blocking(module: str) -> Iterator[list[str]]:
    """What blocks this thread meanwhile: sleeps, and sockets that are not asynchronous. Each entry names the call and
    the line of `module`, or of whoever it called, that it came from."""
    found: list[str] = []
    began: dict[int, float] = {}

    def profile(frame: Any, event: str, called: Any) -> None:
        if event == "c_call":
            if called is time.sleep:
                began[id(frame)] = time.monotonic()
            elif getattr(called, "__name__", "") in _SOCKET_CALLS and _blocks(getattr(called, "__self__", None)):
                found.append(f"a socket's {called.__name__}{_line(frame, module)}")
        elif event == "c_return" and called is time.sleep:
            slept = time.monotonic() - began.pop(id(frame), time.monotonic())
            if slept >= SLEPT:
                found.append(f"time.sleep for {slept:.2g} s{_line(frame, module)}")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield found
    finally:
        sys.setprofile(before)


def _blocks(owner: Any) -> bool:
    return isinstance(owner, socket.socket) and owner.gettimeout() != 0


def _line(frame: Any, module: str) -> str:
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name == module or name.startswith(f"{module}."):
            return f" ({name}, line {frame.f_lineno})"
        frame = frame.f_back
    return ""


@contextmanager
def connects(port: int) -> Iterator[list[Any]]:
    """The attempts to connect to this port, in any thread."""
    global _hooked  # an audit hook cannot be removed
    if not _hooked:
        _hooked = True
        sys.addaudithook(lambda event, args: _connects.append(args[1]) if event == "socket.connect" else None)
    _connects.clear()
    found: list[Any] = []
    yield found
    found += [address for address in _connects if isinstance(address, tuple) and address[1] == port]


@contextmanager
def time_limits() -> Iterator[list[dict[str, float | None]]]:
    """The time limits of each request that goes out through httpx or aiohttp, as far as they are imported."""
    found: list[dict[str, float | None]] = []
    undo: list[Callable[[], None]] = []

    def patch(owner: Any, name: str, before: Callable[..., None]) -> None:
        original = getattr(owner, name)

        def patched(self: Any, *args: Any, **kwargs: Any) -> Any:
            before(self, *args, **kwargs)
            return original(self, *args, **kwargs)

        setattr(owner, name, patched)
        undo.append(lambda: setattr(owner, name, original))

    def of_httpx(_client: Any, request: Any, **_: Any) -> None:
        found.append(dict(request.extensions.get("timeout", {})))

    def of_aiohttp(session: Any, *_: Any, timeout: Any = None, **__: Any) -> None:
        limits = timeout if hasattr(timeout, "sock_read") else session.timeout
        connect = limits.sock_connect if limits.sock_connect is not None else limits.connect
        found.append({"total": limits.total or None, "read": limits.sock_read or None, "connect": connect or None})

    def of_prepared(_post: Any, _headers: Any, _content: Any, timeout: Any) -> None:
        of_aiohttp(None, timeout=timeout)

    for module in ("httpx", "httpx2"):
        if (httpx := sys.modules.get(module)) is not None:
            patch(httpx.AsyncClient, "send", of_httpx)
            patch(httpx.Client, "send", of_httpx)
    if (aiohttp := sys.modules.get("aiohttp")) is not None:
        patch(aiohttp.ClientSession, "_request", of_aiohttp)
    if (prepared := sys.modules.get("aura_core.streams.prepared")) is not None:
        patch(prepared.PreparedPost, "send", of_prepared)
    try:
        yield found
    finally:
        for each in undo:
            each()


@contextmanager
def secrets_everywhere(secret: str) -> Iterator[set[str]]:
    """Give every variable that looks like a secret and is not set this value; the names of those that were read."""
    read: set[str] = set()
    usual = type(os.environ)

    class Environment(usual):  # type: ignore[valid-type,misc]
        def __getitem__(self, name: str) -> str:
            try:
                return str(super().__getitem__(name))
            except KeyError:
                if name.upper().rpartition("_")[2] not in _SECRET_WORDS:
                    raise
                read.add(name)
                return secret

    os.environ.__class__ = Environment
    try:
        yield read
    finally:
        os.environ.__class__ = usual


@contextmanager
def printed() -> Iterator[Callable[[], str]]:
    """What goes to stdout and stderr meanwhile, in any thread."""
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        yield out.getvalue
