"""How long many clients that leave at once block the event loop; `uv run --all-groups just departures`.

A task in the server wakes once a millisecond; how much CPU time the loop's thread took between two of its turns is the
length of a piece of work that nothing else could interrupt. CPU time rather than time, since the machine is shared.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from contenders import raw

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from aura_process import Process

GOAL = 20  # milliseconds of one piece
SERVER = """
import asyncio, resource, signal, sys, time
from aura_core import cli, runtime

resource.setrlimit(resource.RLIMIT_NOFILE, (16384, 16384))
pieces = []

async def look():
    last = time.thread_time()
    while True:
        await asyncio.sleep(0.001)
        now = time.thread_time()
        pieces.append(now - last)
        last = now

def tell(*_):
    print("pieces", *(round(piece * 1000, 1) for piece in sorted(pieces)[:-6:-1]), file=sys.stderr, flush=True)
    pieces.clear()

async def warm(self, warm=runtime.Runtime.warm):
    self.look = asyncio.create_task(look())
    return await warm(self)

runtime.Runtime.warm = warm
signal.signal(signal.SIGUSR1, tell)
sys.argv[0] = "aura"
cli.main()
"""
CLIENT = """
import asyncio, os, resource, signal, sys

resource.setrlimit(resource.RLIMIT_NOFILE, (16384, 16384))
port, clients = map(int, sys.argv[1:])
BODY = b'{"prompt": "hi"}'
HEAD = b"POST /api/agents/it/chat/stream HTTP/1.1\\r\\nHost: 127.0.0.1:%d\\r\\nContent-Type: application/json\\r\\n"
REQUEST = HEAD % port + b"Content-Length: %d\\r\\n\\r\\n" % len(BODY) + BODY

async def ask():
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUEST)
    await reader.readuntil(b"event: token")
    return writer

async def ask_all():
    open_ = []
    while len(open_) < clients:
        open_ += await asyncio.gather(*(ask() for _ in range(min(50, clients - len(open_)))))
    print("open", flush=True)
    sys.stdin.readline()
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(ask_all())
"""


def main() -> None:
    """Measure, and print the longest pieces of each round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--plugins", default="ollama,openai", help="by comma")
    options = parser.parse_args()
    upstream, upstream_port = raw("upstream")
    worst = [measure(plugin, upstream_port, options.clients, options.rounds) for plugin in options.plugins.split(",")]
    upstream.process.kill()
    raise SystemExit(max(worst) > GOAL)


def measure(plugin: str, upstream: int, clients: int, rounds: int) -> float:
    """The longest piece of all rounds, in milliseconds."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "agents").mkdir()
        (folder / "agents" / "it.md").write_text(f"---\nprovider: {plugin}\nmodel: 100000x1\n---\n")
        address = f"http://127.0.0.1:{upstream}" + ("/v1" if plugin == "openai" else "")
        toml = f'[server]\nmax_streams = {clients + 10}\n[providers.{plugin}]\nbase_url = "{address}"\n'
        (folder / "aura.toml").write_text(toml)
        server = Process(
            folder, command=[sys.executable, "-c", SERVER], AURA_PLUGINS=plugin, OPENAI_API_KEY="benchmark"
        )
        worst = 0.0
        try:
            for number in range(rounds):
                pieces = departures(server, clients)
                worst = max(worst, *pieces)
                print(f"{plugin}: round {number + 1}, the longest pieces: {', '.join(map(str, pieces))} ms", flush=True)
        finally:
            server.popen.terminate()
            server.exit(60)
    print(f"{plugin}: {clients} clients leave at once, the longest piece: {worst} ms (goal {GOAL})")
    return worst


def departures(server: Process, clients: int) -> list[float]:
    """Let all clients leave at once. The longest pieces of the loop's work since then, in milliseconds."""
    command = [sys.executable, "-c", CLIENT, server.url.rpartition(":")[2], str(clients)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        if client.stdout.readline() != "open\n":
            raise SystemExit("not all clients got an answer")
        time.sleep(1)
        pieces(server)  # of the beginnings
        client.stdin.write("leave\n")
        client.stdin.flush()
        client.wait()
    while open_streams(server):
        time.sleep(0.1)
    time.sleep(0.5)
    return pieces(server)


def open_streams(server: Process) -> int:
    """The answers under way, as the metrics say."""
    text = httpx.get(f"{server.url}/metrics").text
    return int(float(text.partition("\naura_active_streams ")[2].split("\n")[0]))


def pieces(server: Process) -> list[float]:
    """The longest pieces since the last call."""
    said = len(server.lines)
    server.popen.send_signal(signal.SIGUSR1)
    while not (found := [line for line in server.lines[said:] if line.startswith("pieces")]):
        time.sleep(0.05)
    return [float(piece) for piece in found[0].split()[1:]]


if __name__ == "__main__":
    main()
