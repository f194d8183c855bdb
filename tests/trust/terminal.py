"""`aura` in a separate terminal, with a person who answers its question."""

import os
import pty
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

LIMIT = 120.0  # seconds; a machine may be busy


class Terminal:
    """A command in a terminal; `text` is what it has shown. A context manager."""

    def __init__(self, command: list[str], folder: Path, environ: Mapping[str, str]) -> None:
        self.text = ""
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={**environ, "TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "1000"},
            start_new_session=True,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
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

    def wait_for(self, text: str) -> None:
        """Wait until it shows this."""
        end = time.monotonic() + LIMIT
        while text not in self.text:
            ended = self.process.poll() is not None and not self._reader.is_alive()
            assert not ended, f"it ended without {text!r}:\n{self.text}"
            assert time.monotonic() < end, f"no {text!r} in:\n{self.text}"
            time.sleep(0.02)

    def type(self, keys: str) -> None:
        """Press these keys."""
        os.write(self._ours, keys.encode())

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
