"""Request 20,000 short answers, cancel 5,000, hold 9,000 idle connections; check every answer, and for leaks.

    uv run python benchmarks/crowd.py [--short 20000] [--cancelled 5000] [--idle 9000]

A real `aura serve` and its clients, on loopback. Exits with 1 if an answer was incomplete or a resource was not
released. Linux only (/proc).
"""

import argparse
import asyncio
import contextlib
import resource
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop
from load import GROWTH, Use, ask, read_all, serving, settled, use

AT_ONCE = 200


async def many(count: int, one: Callable[[], Awaitable[str | None]]) -> list[str]:
    """Do it this often, some at a time. Returns the errors."""
    wrong: list[str] = []
    left = iter(range(count))

    async def work() -> None:
        wrong.extend([fault for _ in left if (fault := await one())])

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return wrong


async def cancel(port: int) -> str | None:
    """Disconnect after the first token of an answer."""
    reader, writer = await ask(port, "paced")
    with contextlib.suppress(ConnectionError):
        while b"event: token" not in (chunk := await reader.read(65536)):
            if not chunk:
                return "it ended before the first token"
    writer.transport.abort()
    return None


async def run(short: int, cancelled: int, idle: int) -> bool:
    """All phases in turn, as rows of a table. Returns whether everything succeeded."""
    well = True
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), "echo", 600) as (pid, port):
        await many(2000, lambda: read_all(port, "warm", 20))
        await many(500, lambda: cancel(port))
        await asyncio.sleep(2)
        start = await asyncio.to_thread(use, pid, port)

        async def row(title: str, wrong: list[str], before: Use) -> Use:
            nonlocal well
            now = await settled(pid, port, start)
            left = now.descriptors > start.descriptors or now.tasks > start.tasks or now.active > 0
            well = well and not wrong and not left
            for fault in wrong[:3]:
                print(f"wrong: {fault}", file=sys.stderr)
            memory = " / ".join(f"{each.memory / 1024:.0f}" for each in (start, before, now))
            shown = " | ".join(f"{a} / {b} / {c}" for a, b, c in zip(start[1:], before[1:], now[1:], strict=True))
            print(f"| {title} | {len(wrong)} | {memory} | {shown} |", flush=True)
            return now

        wrong = await many(short, lambda: read_all(port, "warm", 20))
        await row(f"{short:,} short answers", wrong, await asyncio.to_thread(use, pid, port))
        wrong = await many(cancelled, lambda: cancel(port))
        await row(f"{cancelled:,} cancelled", wrong, await asyncio.to_thread(use, pid, port))

        async def hold(again: str) -> Use:
            idlers = []
            for number in range(idle):
                sock = socket.socket()
                sock.bind((f"127.0.0.{2 + number % 8}", 0))
                sock.connect(("127.0.0.1", port))
                idlers.append(sock)
                if not number % 500:
                    await asyncio.sleep(0.05)
            await asyncio.sleep(1)
            held = await asyncio.to_thread(use, pid, port)
            wrong = await many(1000, lambda: read_all(port, "warm", 20))
            if held.descriptors < start.descriptors + idle:
                wrong.append(f"only {held.descriptors - start.descriptors} of {idle} connections were held")
            for sock in idlers:
                sock.close()
            await asyncio.sleep(2)
            return await row(f"{idle:,} idle connections, and 1,000 answers beside them{again}", wrong, held)

        # The allocator keeps the memory of the first run; a second run of the same size must need no more.
        first = await hold("")
        second = await hold(", again")
        well = well and second.memory - first.memory < GROWTH
    return well


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", type=int, default=20_000)
    parser.add_argument("--cancelled", type=int, default=5_000)
    parser.add_argument("--idle", type=int, default=9_000)
    given = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    print("| what (at the start / in it / after it) | wrong | MiB | descriptors | streams | tasks |")
    print("|---|---|---|---|---|---|")
    sys.exit(0 if uvloop.run(run(given.short, given.cancelled, given.idle)) else 1)


if __name__ == "__main__":
    main()
