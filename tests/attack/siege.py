"""A real `aura serve` under attack, in a separate process: its memory, its log, and a client that must be served."""

import asyncio
import contextlib
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
GIGABYTE = 1024**3
START = 60  # seconds; a busy machine imports slowly
AGENTS = {
    "says": "---\nprovider: echo\n---\n",
    **{
        f"{provider}-{model}": f"---\nprovider: {provider}\nmodel: {model}\n---\n"
        for provider in ("ollama", "openai")
        for model in ("short", "tiny", "endless", "wide", "stall", "fault")
    },
}
TOML = """\
[server]
max_streams = 2000
write_timeout = 120

[providers.ollama]
base_url = "http://127.0.0.1:{port}"

[providers.openai]
base_url = "http://127.0.0.1:{port}/v1"
api_key_env = "ATTACKED_KEY"
"""


class Witness:
    """The results of a well-behaved client: seconds to the first token of each complete answer, and the errors."""

    def __init__(self) -> None:
        self.first_token: list[float] = []
        self.wrong: list[str] = []

    def slowest(self) -> float:
        """Seconds."""
        return max(self.first_token, default=float("inf"))

    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.first_token or [float("inf")])


class Siege:
    """A server under attack, and its resources."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.log = log
        self.begin = 0  # the length of the log when the attacks begin: a busy machine may be slow to start

    def memory(self) -> int:
        """Resident memory in MiB."""
        return self._status("VmRSS")

    def peak(self) -> int:
        """The highest resident memory since `forget_peak`, in MiB."""
        return self._status("VmHWM")

    def forget_peak(self) -> None:
        """Measure the peak from now on."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def _status(self, name: str) -> int:
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{name}:\s+(\d+) kB", text)[1]) // 1024  # type: ignore[index]  # it is always there

    def figures(self) -> dict[str, float]:
        """The server's own figures, from /metrics."""
        url = f"http://127.0.0.1:{self.port}/metrics"
        text = urllib.request.urlopen(url, timeout=120).read().decode()
        return {name: float(value) for name, value in re.findall(r"^(aura_\w+)(?:\{\})? (\S+)$", text, re.MULTILINE)}

    async def figure(self, name: str) -> float:
        """One of them."""
        return (await asyncio.to_thread(self.figures))[name]

    async def until(self, name: str, enough: float, seconds: float = 60) -> float:
        """Wait until a figure is at least this high, or has not risen for two seconds. Returns it."""
        end, best, best_at = time.monotonic() + seconds, -1.0, time.monotonic()
        while time.monotonic() < end and time.monotonic() < best_at + 2:
            now = await self.figure(name)
            if now >= enough:
                return now
            if now > best:
                best, best_at = now, time.monotonic()
            await asyncio.sleep(0.1)
        return best

    async def at_rest(self, seconds: float = 60) -> None:
        """Wait until all resources of an attack are released."""
        end = time.monotonic() + seconds
        while True:
            figures = await asyncio.to_thread(self.figures)
            held = figures["aura_active_streams"], figures["aura_buffered_bytes"]
            if held[0] == 0 and held[1] < 1000:  # the headers of the request for these figures
                return
            assert time.monotonic() < end, f"answers and bytes that are still held: {held}"
            await asyncio.sleep(0.1)

    def faults(self) -> list[str]:
        """Lines of the log that report a fault of the server itself."""
        assert self.process.poll() is None, "the server ended"
        lines = self.log.read_text(errors="replace")[self.begin :].splitlines()
        return [line for line in lines if "Traceback" in line or '"level":"error"' in line.lower().replace(" ", "")]

    @contextlib.asynccontextmanager
    async def witness(self, agent: str) -> AsyncIterator[Witness]:
        """A client that sends requests repeatedly during the block, and reads its answers."""
        seen, done = Witness(), asyncio.Event()

        async def watch() -> None:
            while not done.is_set():
                try:
                    seconds, text = await asyncio.wait_for(self.ask(agent, "hello"), 60)
                except (OSError, TimeoutError, asyncio.IncompleteReadError) as exc:
                    seen.wrong.append(repr(exc))
                    continue
                if b"event: done" in text:
                    seen.first_token.append(seconds)
                else:
                    seen.wrong.append(text[-300:].decode(errors="replace"))
                await asyncio.sleep(0.02)

        task = asyncio.create_task(watch())
        try:
            yield seen
        finally:
            done.set()
            await task

    async def ask(self, agent: str, prompt: str, route: str = "chat/stream") -> tuple[float, bytes]:
        """Send a request and read all. Returns the seconds to the first token, and everything received."""
        begin = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request(agent, json.dumps({"prompt": prompt}).encode(), route, b"Connection: close\r\n"))
        text, first = b"", 0.0
        while chunk := await reader.read(65536):
            text += chunk
            if not first and b"event: token" in text:
                first = time.monotonic() - begin
        writer.close()
        return first, text


def request(agent: str, body: bytes, route: str = "chat/stream", more: bytes = b"", length: int | None = None) -> bytes:
    """The bytes of a request."""
    return (
        b"POST /api/agents/%b/%b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n%b"
        b"Content-Length: %d\r\n\r\n%b"
        % (agent.encode(), route.encode(), more, len(body) if length is None else length, body)
    )


@contextlib.contextmanager
def siege(folder: Path, address_space: int | None = None, settings: str = "") -> Iterator[Siege]:
    """Start the upstream and the server. `address_space` is all that the server may map, in bytes."""
    (folder / "agents").mkdir(parents=True)
    for name, text in AGENTS.items():
        (folder / "agents" / f"{name}.md").write_text(text)
    with contextlib.ExitStack() as stack:
        upstream = subprocess.Popen([sys.executable, str(HERE / "upstream.py")], stdout=subprocess.PIPE)
        stack.callback(upstream.wait)
        stack.callback(upstream.kill)
        assert upstream.stdout is not None
        port = int(upstream.stdout.readline())
        upstream.stdout.close()
        (folder / "aura.toml").write_text(TOML.format(port=port).replace("[server]\n", f"[server]\n{settings}"))
        log = folder / "server.log"
        environ = os.environ | {"AURA_TRUST": str(folder), "ATTACKED_KEY": "k", "AURA_PLUGINS": "echo,ollama,openai"}

        def limit() -> None:
            if address_space is not None:
                resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))

        with log.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "aura_core", "serve", "--port", "0"],
                cwd=folder,
                env=environ,
                stderr=stderr,
                preexec_fn=limit,
            )
        stack.callback(process.wait)
        stack.callback(process.kill)
        end = time.monotonic() + START
        while not (found := re.search(r"http://127\.0\.0\.1:(\d+)", log.read_text())):
            assert process.poll() is None, f"it ended: {log.read_text()}"
            assert time.monotonic() < end, f"it did not start: {log.read_text()}"
            time.sleep(0.05)
        attacked = Siege(process, int(found[1]), log)
        for agent in ("ollama-short", "openai-short"):  # so that clients are open before anything is measured
            asyncio.run(attacked.ask(agent, "hello"))
        attacked.begin = len(log.read_text(errors="replace"))
        yield attacked


def needs_linux() -> None:
    """Skip a test without /proc."""
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("needs Linux: the memory of a process is read in /proc")
