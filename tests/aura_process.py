"""`aura serve` in a separate process, for tests of signals, workers and the log."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Process:
    """`aura serve` in a separate process; `command` is run in place of `python -m aura_core`."""

    def __init__(self, folder: Path, *arguments: str, command: list[str] | None = None, **environ: str) -> None:
        env = os.environ | {"AURA_PLUGINS": "echo", "AURA_TRUST": str(folder)} | environ
        aura = command or [sys.executable, "-m", "aura_core"]
        started = [*aura, "serve", "--port", "0", *arguments]
        self.popen = subprocess.Popen(started, cwd=folder, env=env, stderr=subprocess.PIPE, text=True)
        assert self.popen.stderr is not None
        self.first = self.popen.stderr.readline()
        address = re.search(r"http://\S+", self.first)
        assert address is not None, self.first + self.popen.stderr.read()
        self.url = address[0]
        self.lines: list[str] = []
        self._reader = threading.Thread(target=lambda: self.lines.extend(self.popen.stderr or ()), daemon=True)
        self._reader.start()

    def exit(self, timeout: float = 20) -> int:
        """Wait until it exits; return its exit code."""
        code = self.popen.wait(timeout)
        self._reader.join(5)
        assert self.popen.stderr is not None
        self.popen.stderr.close()
        return code

    def streams(self) -> list[dict[str, object]]:
        """The log lines about its streams."""
        found = [json.loads(line) for line in self.lines if line.startswith("{")]
        return [line for line in found if line["message"] == "stream"]


@contextmanager
def serve(
    folder: Path, agents: dict[str, str], *arguments: str, command: list[str] | None = None, **environ: str
) -> Iterator[Process]:
    (folder / "agents").mkdir()
    for name, text in agents.items():
        (folder / "agents" / name).write_text(text)
    process = Process(folder, *arguments, command=command, **environ)
    try:
        yield process
    finally:
        process.popen.kill()
        process.exit()
