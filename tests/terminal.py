"""A command in a terminal of its own, and a person who types into it."""

import fcntl
import os
import pty
import signal
import subprocess
import termios
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

LIMIT = 120.0  # seconds; a machine may be busy


def _own_terminal() -> None:
    """Make stdin the controlling terminal, so that Ctrl-C reaches the command as it does from a keyboard."""
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """A command in a terminal; `text` is what it has shown. A context manager."""

    def __init__(
        self, command: list[str], folder: Path, environ: Mapping[str, str], *, term: str = "dumb", **streams: Any
    ) -> None:
        self.text = ""
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={**environ, "TERM": term, "NO_COLOR": "1", "COLUMNS": "1000"},
            preexec_fn=_own_terminal,
            **{"stdin": theirs, "stdout": theirs, "stderr": theirs} | streams,
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join(10)
        os.close(self._ours)

    def wait_for(self, text: str, times: int = 1) -> None:
        """Wait until it has shown this so often."""
        end = time.monotonic() + LIMIT
        while self.text.count(text) < times:
            ended = self.process.poll() is not None and not self._reader.is_alive()
            assert not ended, f"it ended without {text!r}:\n{self.text}"
            assert time.monotonic() < end, f"no {text!r} in:\n{self.text}"
            time.sleep(0.02)

    def type(self, keys: str) -> None:
        """Press these keys."""
        os.write(self._ours, keys.encode())

    def paste(self, text: str) -> None:
        """Paste this, as a terminal does that was asked for bracketed paste."""
        assert self.text.count("\x1b[?2004h") > self.text.count("\x1b[?2004l"), "it has not asked for that"
        self.type(f"\x1b[200~{text}\x1b[201~")

    def stop(self) -> None:
        """Press Ctrl-C, and wait until it exits."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGINT)
        self.end()

    def end(self) -> int:
        """Wait until it exits; return the exit code."""
        code = self.process.wait(LIMIT)
        self._reader.join(10)
        return code

    def _read(self) -> None:
        with suppress(OSError):  # EIO: the other side is closed
            while data := os.read(self._ours, 65536):
                self.text += data.decode(errors="replace").replace("\r", "")
