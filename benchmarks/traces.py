"""What traces cost: CPU time of a server with them, next to one without; `uv run --all-groups just traces`.

Both servers run at once and are asked in turns, so that a busy machine slows both down. CPU time counts all threads,
so also the one that exports; the collector is a process of its own.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from aura_process import Process

SINK = """
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Sink(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *_): ...
server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
print(server.server_address[1], flush=True)
server.serve_forever()
"""
AGENTS = {"short": 5, "long": 20_000}
"""Agents, and the tokens of their answers."""


@contextmanager
def collector() -> Iterator[str]:
    """The address of a collector that throws everything away."""
    with subprocess.Popen([sys.executable, "-c", SINK], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.kill()


@contextmanager
def server(folder: Path, **environ: str) -> Iterator[Process]:
    """A server with these variables."""
    (folder / "agents").mkdir(parents=True)
    for name, tokens in AGENTS.items():
        (folder / "agents" / f"{name}.md").write_text(f"---\nprovider: echo\noptions: {{tokens: {tokens}}}\n---\n")
    process = Process(folder, **environ)
    try:
        yield process
    finally:
        process.popen.terminate()
        process.exit(60)


def cpu(process: Process) -> float:
    """CPU seconds of all its threads."""
    threads = Path(f"/proc/{process.popen.pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def cost(process: Process, client: httpx.Client, agent: str, times: int) -> float:
    """CPU seconds of an answer."""
    before = cpu(process)
    for _ in range(times):
        client.post(f"{process.url}/api/agents/{agent}/chat/stream", json={"prompt": "Hi"}).raise_for_status()
    return (cpu(process) - before) / times


def main() -> None:
    """Measure, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        del os.environ[name]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sink = stack.enter_context(collector())
        off = stack.enter_context(server(folder / "off"))
        on = stack.enter_context(server(folder / "on", OTEL_EXPORTER_OTLP_ENDPOINT=sink))
        client = stack.enter_context(httpx.Client(timeout=60, trust_env=False))
        for agent, times in (("short", 200), ("long", 5)):
            for each in (off, on):
                cost(each, client, agent, times)  # warm
            pairs = [tuple(cost(each, client, agent, times) for each in (off, on)) for _ in range(rounds)]
            ratio = statistics.median(with_ / without for without, with_ in pairs)
            without, with_ = (statistics.median(each) for each in zip(*pairs, strict=True))
            more, tokens = (with_ - without) * 1e6, AGENTS[agent]
            print(f"{agent} answer, {tokens} tokens: {without * 1e6:.0f} us without traces, {with_ * 1e6:.0f} us with")
            print(f"  ratio {ratio:.3f}, {more:.0f} us more an answer, {more / tokens:.3f} us a token")


if __name__ == "__main__":
    main()
