"""Tell systemd, or another service manager, when the server is ready, that it lives, and when it stops (sd_notify)."""

import os
import socket
import sys
from collections.abc import MutableMapping
from typing import Protocol

from aura_core.limits import SIGNS_PER_WATCHDOG


class Overseer(Protocol):
    """Whoever started a process and waits for news of it: a service manager, or the parent of a worker."""

    sign_every: float | None
    """Seconds between two signs of life; None: it does not wait for any."""

    def ready(self) -> None:
        """The server answers requests."""

    def alive(self) -> None:
        """The event loop still runs."""

    def stopping(self) -> None:
        """A signal has ended the server; it drains."""


class Systemd:
    """The service manager, over the socket that NOTIFY_SOCKET names; without one every message is dropped.

    The variables are removed, so that no process that a plugin starts speaks for this one.
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self._address = environ.pop("NOTIFY_SOCKET", "").replace("@", "\0", 1)
        interval, process = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        self.watchdog: float | None = None
        """Seconds without a sign of life after which it restarts the service."""
        if interval.isdecimal() and int(interval) and process in ("", str(os.getpid())):
            self.watchdog = int(interval) / 1_000_000
        self.sign_every = self.watchdog / SIGNS_PER_WATCHDOG if self.watchdog else None

    def ready(self) -> None:
        self._tell("READY=1")

    def alive(self) -> None:
        self._tell("WATCHDOG=1")

    def stopping(self) -> None:
        self._tell("STOPPING=1")

    def _tell(self, state: str) -> None:
        if not self._address or sys.platform == "win32":
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.sendto(state.encode(), self._address)
        except OSError:
            pass  # it restarts what it does not hear from, and answers must not suffer before that
