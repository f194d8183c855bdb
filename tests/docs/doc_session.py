"""Do what a page says, in its order, as its reader would: write its files, type its commands, look at the output.

`aura serve` goes into a terminal of its own, on a free port; the page's 127.0.0.1:5300 stands for it. Output must hold
the page's lines in their order, and may hold others; `…` stands for anything.
"""

import os
import pty
import re
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from doc_pages import Block

ADDRESS = "127.0.0.1:5300"
COMMAND_LIMIT = 300
LOG_LIMIT = 120


class Session:
    """A reader with a folder, an environment and two terminals."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.folder = folder
        self.environ = {**environ, "CURL_HOME": str(folder), "TERM": "dumb", "NO_COLOR": "1"}
        self._state = folder / ".state"
        self._server: ServeProcess | None = None
        (folder / ".curlrc").write_text("silent\nshow-error\n")  # no progress meter between the lines

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.stop()

    def follow(self, block: Block) -> None:
        """Carry out one block."""
        if block.reason is not None:
            return
        if block.file is not None:
            self._write(block)
        elif block.language == "sh" and "aura serve" in block.text:
            self._serve(block.text, block)
        elif block.language == "sh":
            self.run(block)
        elif block.language == "console":
            self._console(block)
        elif block.language == "log":
            assert self._server is not None, f"{block.place}: no server runs"
            for line in block.text.splitlines():
                self._server.wait_for(line, block.place)

    def _own(self, text: str) -> str:
        if self._server is None or ADDRESS not in text:  # a server on a Unix socket has no port
            return text
        return text.replace(ADDRESS, f"127.0.0.1:{self._server.port}")

    def _write(self, block: Block) -> None:
        path = self.folder / str(block.file)
        path.parent.mkdir(exist_ok=True)
        path.write_text(self._own(block.text), encoding="utf-8")

    def _console(self, block: Block) -> None:
        commands = re.split(r"^\$ ", block.text, flags=re.MULTILINE)
        assert not commands[0], f"{block.place}: a console block begins with '$ '"
        for number, entry in enumerate(commands[1:], 1):
            command, _, expected = entry.partition("\n")
            if command.startswith("aura serve"):
                output = self._serve(command, block)
            else:
                fails = "fails" in block.marks and number == len(commands) - 1
                output = self._run(self._own(command), block, fails)
                if "/metrics" in command:
                    output = self._settled_metrics(command, block, output)
            compare(self._own(expected), output, f"{block.place}: {command}")

    def _settled_metrics(self, command: str, block: Block, output: str) -> str:
        """The metrics once all workers are in them: the first one answers while the others still start."""
        workers = re.search(r"--workers (\d+)", self._server.command if self._server is not None else "")
        end = time.monotonic() + COMMAND_LIMIT
        while workers and f"aura_workers {workers[1]}.0" not in output and time.monotonic() < end:
            time.sleep(0.2)
            output = self._run(self._own(command), block)
        return output

    def run(self, block: Block) -> str:
        """Run a block as a script; return its output."""
        return self._run(self._own(block.text), block)

    def _serve(self, command: str, block: Block) -> str:
        if self._server is not None:
            self._server.stop()
        self._server = ServeProcess(command, self.folder, self.environ)
        self._server.wait_for("Ctrl-C stops.", block.place, COMMAND_LIMIT)
        return self._server.text

    def _run(self, script: str, block: Block, fails: bool = False) -> str:
        """Run it with bash, and keep its folder and variables for the next block."""
        state = self._state
        state.unlink(missing_ok=True)
        whole = f'set -eo pipefail\ntrap \'pwd -P >"{state}"; env -0 >>"{state}"\' EXIT\n{script}'
        done = subprocess.run(
            ["bash", "-c", whole],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_LIMIT,
            check=False,
        )
        output = done.stdout.decode().replace("\r", "")
        assert (done.returncode != 0) == fails, f"{block.place}: exit code {done.returncode} of {script}\n{output}"
        folder, _, variables = state.read_text().partition("\n")
        self.folder = Path(folder)
        self.environ = dict(pair.split("=", 1) for pair in variables.split("\0") if pair)
        return output


class ServeProcess:
    """`aura serve` in a terminal."""

    def __init__(self, command: str, folder: Path, environ: Mapping[str, str]) -> None:
        self.command = command
        self.text = ""
        self._seen = 0
        ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            ["bash", "-c", command],
            cwd=folder,
            env={**environ, "AURA_SERVER__PORT": "0", "COLUMNS": "1000"},
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, args=[ours], daemon=True)
        self._reader.start()

    @property
    def port(self) -> str:
        """The port that it listens on."""
        match = re.search(r"Aura serves at http://127\.0\.0\.1:(\d+)", self.text)
        assert match is not None, self.text
        return match[1]

    def wait_for(self, line: str, place: str, limit: float = LOG_LIMIT) -> None:
        """Wait until the server's output contains this, after the text of earlier waits."""
        pattern = re.compile(_pattern(line))
        end = time.monotonic() + limit
        while (match := pattern.search(self.text, self._seen)) is None:
            gone = "" if self._process.poll() is None else f", and ended with {self._process.returncode}"
            late = gone or time.monotonic() > end
            assert not late, f"{place}: the server did not say {line!r}{gone}\n{self.text}"
            time.sleep(0.05)
        self._seen = match.end()

    def stop(self) -> None:
        """Press Ctrl-C, and wait until it exits."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGINT)
        self._process.wait(20)
        self._reader.join(5)

    def _read(self, terminal: int) -> None:
        with open(terminal, "rb", buffering=0) as stream:
            try:
                while data := stream.read(65536):
                    self.text += data.decode(errors="replace").replace("\r", "")
            except OSError:  # EIO: the other side is closed
                pass


def _pattern(line: str) -> str:
    words = (".*".join(re.escape(part) for part in word.split("…")) for word in line.split())
    return r"\s+".join(words)


def compare(expected: str, output: str, place: str) -> None:
    """Assert that the output has these lines in their order."""
    lines = iter(output.splitlines())
    for wanted in expected.splitlines():
        if wanted.strip() in ("", "…"):
            continue
        pattern = re.compile(rf"\s*{_pattern(wanted)}\s*")
        assert any(pattern.fullmatch(line) for line in lines), f"{place}\nhas no line {wanted!r} here:\n{output}"
