"""Hold 1,000 streams at 10 tokens a second for 30 seconds, check every token, and check for leaks afterwards.

    uv run python benchmarks/load.py [--streams 1000] [--seconds 30] [--path echo|ollama]

Everything is on loopback: a real `aura serve`, for the path `ollama` a paced upstream in a process of its own, and the
clients in this one. Each path runs four times: twice with clients that all read, and twice with a third that leave at
random and a third that never read (8 KiB tokens, `write_timeout` 10 s). Exits with 1 if a token was lost or
wrong, or if a resource was not released. Linux only (/proc).
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import uvloop

RATE = 10
WIDE = 8192  # characters of a token for a client that never reads, so that the kernel's buffers fill within the run
WRITE_TIMEOUT = 10
POOLED = 32  # seconds; a pooled connection to an upstream closes 15 to 30 s after its last use
GROWTH = 20_000  # KiB by which two runs may differ
SPREAD = 2.0  # seconds over which the clients arrive
TOKEN = re.compile(rb'event: token\ndata: \{"content": "([^"]*)"\}\n\n')


class Use(NamedTuple):
    """The resources of the server process. Memory in KiB."""

    memory: int
    descriptors: int
    active: int
    tasks: int


def word(number: int, wide: bool = False) -> str:
    """The token of this number, each different."""
    return f" t{number}" + ("x" * WIDE if wide else "")


# The server and its upstream


@contextlib.contextmanager
def serving(folder: Path, path: str, tokens: int) -> Iterator[tuple[int, int]]:
    """Run `aura serve`, and the upstream if it needs one. Returns its process id and its port."""
    with contextlib.ExitStack() as stack:
        toml = f"[server]\nwrite_timeout = {WRITE_TIMEOUT}\n"
        agents = {}
        for name, wide in (("paced", False), ("wide", True), ("warm", False)):
            options: dict[str, Any] = {}
            if path == "echo":
                count = 20 if name == "warm" else tokens
                text = "x" * WIDE if wide else "".join(word(number) for number in range(count))
                options = {"text": text, "tokens": count, "tokens_per_second": 0 if name == "warm" else RATE}
            agents[name] = f"---\nprovider: {path}\nmodel: {name}\noptions: {json.dumps(options)}\n---\n"
        if path == "ollama":
            _, port = stack.enter_context(process([sys.executable, __file__, "--upstream", str(tokens)], folder))
            toml += f'[providers.ollama]\nbase_url = "http://127.0.0.1:{port}"\n'
        (folder / "agents").mkdir()
        for name, text in agents.items():
            (folder / "agents" / f"{name}.md").write_text(text)
        (folder / "aura.toml").write_text(toml)
        yield stack.enter_context(process([sys.executable, __file__, "--serve"], folder))


@contextlib.contextmanager
def process(command: list[str], folder: Path) -> Iterator[tuple[int, int]]:
    """A process that ends with the block. Returns its id, and the port from the first line that contains one."""
    environ = os.environ | {"AURA_PLUGINS": "echo,ollama"}
    log = folder / f"{len(list(folder.glob('*.log')))}.log"
    with log.open("w") as stderr:
        running = subprocess.Popen(command, cwd=folder, env=environ, stderr=stderr)
    try:
        end = time.monotonic() + 20
        while not (found := re.search(r"http://127\.0\.0\.1:(\d+)", log.read_text())):
            if time.monotonic() > end:
                raise SystemExit(f"it did not start: {log.read_text()[-500:]}")
            time.sleep(0.05)
        yield running.pid, int(found[1])
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(30)


def serve() -> None:
    """`aura serve` that writes the number of its asyncio tasks to the file `tasks` when it gets SIGUSR1."""
    from aura_core.cli import main

    signal.signal(signal.SIGUSR1, lambda *_: Path("tasks").write_text(str(len(asyncio.all_tasks()))))
    sys.argv[1:] = ["serve", "--port", "0"]
    main()


async def upstream(tokens: int) -> None:
    """A simulated Ollama that sends a token every tenth of a second."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
                body = await reader.readexactly(int(length[1]) if length else 0)
                model = json.loads(body)["model"] if body else ""
                writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                begin = asyncio.get_running_loop().time()
                for number in range(20 if model == "warm" else tokens):
                    if model != "warm":
                        await asyncio.sleep(begin + number / RATE - asyncio.get_running_loop().time())
                    line = json.dumps({"message": {"content": word(number, model == "wide")}}).encode() + b"\n"
                    writer.write(b"%x\r\n%b\r\n" % (len(line), line))
                    await writer.drain()
                line = b'{"done":true,"done_reason":"stop"}\n'
                writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(line), line))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=2048, limit=2**20)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", file=sys.stderr, flush=True)
    await server.serve_forever()


def use(pid: int, port: int) -> Use:
    """The server's current resources."""
    status = Path(f"/proc/{pid}/status").read_text()
    memory = int(re.search(r"VmRSS:\s+(\d+) kB", status)[1])  # type: ignore[index]  # it is always there
    descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    active = -1
    with contextlib.suppress(OSError):
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
        active = sum(int(float(v)) for v in re.findall(r"^aura_active_streams\S* (\S+)", text, re.MULTILINE))
    tasks = Path(f"/proc/{pid}/cwd/tasks")
    os.kill(pid, signal.SIGUSR1)
    while not (tasks.exists() and (count := tasks.read_text())):
        time.sleep(0.01)
    tasks.unlink()
    return Use(memory, descriptors, active, int(count))


# The clients


async def ask(port: int, agent: str, buffer: int = 0) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    sock = socket.socket()
    sock.setblocking(False)
    if buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=4096 if buffer else 2**16)
    body = b'{"prompt": "go"}'
    writer.write(
        b"POST /api/agents/%b/chat/stream HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (agent.encode(), len(body), body)
    )
    return reader, writer


async def read_all(port: int, agent: str, tokens: int) -> str | None:
    """Read an answer to its end. Returns the error."""
    reader, writer = await ask(port, agent)
    try:
        answer = await reader.read(-1)
    except ConnectionError as exc:
        return repr(exc)
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    if b" 200 " not in head[:20]:
        return repr(head[:100])
    text = unchunked(body)
    got = TOKEN.findall(text)
    if [each.decode() for each in got] != [word(number) for number in range(tokens)]:
        return f"{len(got)} tokens, or not in their order"
    return None if text.count(b"event: done\n") == 1 and text.endswith(b"}\n\n") else f"it ends with {text[-80:]!r}"


def unchunked(body: bytes) -> bytes:
    """The contents of a chunked HTTP body."""
    parts = []
    while body:
        size, _, body = body.partition(b"\r\n")
        parts.append(body[: int(size, 16)])
        body = body[int(size, 16) + 2 :]
    return b"".join(parts)


async def leave(port: int, seconds: float) -> None:
    """Read for a random time, then hang up."""
    reader, writer = await ask(port, "paced")
    with contextlib.suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(random.uniform(0, seconds)):
            while await reader.read(65536):
                pass
    writer.transport.abort()


async def never_read(port: int, seconds: float) -> None:
    """Send a request, and do not read until the end."""
    _, writer = await ask(port, "wide", 4096)
    writer.transport.pause_reading()  # type: ignore[attr-defined]  # a stream's transport reads
    await asyncio.sleep(seconds + 1)
    writer.transport.abort()


async def phase(pid: int, port: int, streams: int, seconds: float, hostile: bool) -> tuple[Use, list[str], int]:
    """Run all streams. Returns the resources in the middle, the errors, and how many streams were read to the end."""
    readers: list[asyncio.Task[str | None]] = []
    others: list[asyncio.Task[None]] = []
    for number in range(streams):
        kind = number % 3 if hostile else 0
        if kind == 0:
            readers.append(asyncio.create_task(read_all(port, "paced", int(seconds * RATE))))
        else:
            others.append(asyncio.create_task((leave if kind == 1 else never_read)(port, seconds)))
        await asyncio.sleep(SPREAD / streams)
    await asyncio.sleep(seconds * 0.5 - SPREAD)
    middle = await asyncio.to_thread(use, pid, port)
    wrong = [fault for fault in await asyncio.gather(*readers) if fault is not None]
    await asyncio.gather(*others)
    return middle, wrong, len(readers)


async def settled(pid: int, port: int, start: Use) -> Use:
    """The server's resources once everything is released, or after 20 s."""
    end = time.monotonic() + 20
    while (now := await asyncio.to_thread(use, pid, port)) and time.monotonic() < end:
        if now.descriptors <= start.descriptors and now.active <= 0 and now.tasks <= start.tasks:
            break
        await asyncio.sleep(0.5)
    return now


HOSTILE = "a third leaves, a third never reads"
PHASES = [("all read", False), ("all read, again", False), (HOSTILE, True), (f"{HOSTILE}, again", True)]


async def run(path: str, streams: int, seconds: float) -> bool:
    """All phases of one path, as rows of a table. Returns whether everything succeeded."""
    well = True
    tokens = int(seconds * RATE)
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), path, tokens) as (pid, port):
        await asyncio.gather(*(read_all(port, "warm", 20) for _ in range(10)))  # so that one-time allocations are done
        cold = await asyncio.to_thread(use, pid, port)
        for _ in range(3):
            await asyncio.gather(*(read_all(port, "warm", 20) for _ in range(streams)))
        pause = POOLED if path == "ollama" else 2
        await asyncio.sleep(pause)
        start = before = await asyncio.to_thread(use, pid, port)
        for title, hostile in PHASES:
            middle, wrong, read = await phase(pid, port, streams, seconds, hostile)
            await asyncio.sleep(pause)
            after = await settled(pid, port, start)
            # The allocator keeps the memory of the first run; a second run of the same size must need no more.
            grown = after.memory - before.memory if title.endswith("again") else 0
            before = after
            left = after.descriptors > start.descriptors or after.tasks > start.tasks or after.active > 0
            well = well and not wrong and not left and grown < GROWTH
            for fault in wrong[:3]:
                print(f"wrong: {fault}", file=sys.stderr)
            memory = " / ".join(f"{each.memory / 1024:.0f}" for each in (cold, start, middle, after))
            descriptors = f"{start.descriptors} / {middle.descriptors} / {after.descriptors}"
            tasks = f"{start.tasks} / {middle.tasks} / {after.tasks}"
            active = f"{start.active} / {middle.active} / {after.active}"
            share = (middle.memory - cold.memory) / max(1, middle.active)
            print(
                f"| {path}: {title} | {read} | {read * tokens:,} | {len(wrong)} | {active} | {memory} | {share:.0f} "
                f"| {descriptors} | {tasks} |",
                flush=True,
            )
    return well


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--path", choices=["echo", "ollama"], action="append")
    parser.add_argument("--upstream", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    if given.serve:
        serve()
    if given.upstream:
        uvloop.run(upstream(given.upstream))
    print("| path | read to the end | tokens checked | wrong | streams | MiB | KiB per stream | descriptors | tasks |")
    print("|---|---|---|---|---|---|---|---|---|")
    well = [uvloop.run(run(path, given.streams, given.seconds)) for path in given.path or ["echo", "ollama"]]
    sys.exit(0 if all(well) else 1)


if __name__ == "__main__":
    main()
