"""Start the servers of a benchmark, and measure their processes (Linux: /proc)."""

import contextlib
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

CPUCLOCK_SCHED = 2


class Missing(Exception):
    """The reason why a server is not measured."""


class ServerProcess(NamedTuple):
    """A running server: its process, its address (MODEL stands for a model), seconds until it listened."""

    process: subprocess.Popen[Any]
    url: str
    seconds: float

    def cpu(self) -> float:
        """CPU seconds of all its processes, user and system."""
        return sum(cpu(pid) for pid in tree(self.process.pid))

    def memory(self) -> int:
        """Resident memory of all its processes in KiB."""
        return sum(memory(pid) for pid in tree(self.process.pid))

    def settle(self, seconds: float = 10) -> None:
        """Wait until it is almost idle."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            before = self.cpu()
            time.sleep(0.2)
            if self.cpu() - before <= 0.02:
                return

    def stop(self) -> None:
        """Stop it and all its children, by force if necessary."""
        pids = list(tree(self.process.pid))
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
            self.process.wait()


def tree(pid: int) -> Iterator[int]:
    """A process and all its descendants."""
    yield pid
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                yield from tree(int(child))


def cpu(pid: int) -> float:
    """CPU seconds of one process, with those of its threads that have ended."""
    try:
        return time.clock_gettime(~pid << 3 | CPUCLOCK_SCHED)  # as clock_getcpuclockid(3) makes it
    except OSError:
        return 0


def memory(pid: int) -> int:
    """Resident memory of one process in KiB."""
    try:
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) if found else 0


def free_port() -> int:
    """A free port."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
    return port


def wait(port: int, process: subprocess.Popen[Any], seconds: float = 120) -> None:
    """Wait until a server listens there."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise Missing("it did not start")
