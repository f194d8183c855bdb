"""Measure a fleet behind nginx: restart, kill and freeze its processes, load one of them; sizes follow from that.

    uv run python benchmarks/fleet.py [--processes 4] [--publish]

On loopback: single-worker processes, started as systemd starts deploy/systemd's units, behind nginx with
deploy/nginx/aura.conf. Exits with 1 if a promise is broken. `--publish` writes the figures into docs/deployment.md.
Linux only (/proc).
"""

import argparse
import asyncio
import contextlib
import json
import math
import os
import re
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from loopback_fleet import NGINX, ROOT, Crowd, Outcome, Unit, nginx, stream, units, write_agents
from processes import cpu, memory

PAGE = ROOT / "docs" / "deployment.md"
BEGIN, END = "<!-- figures: just fleet -->\n", "<!-- end of figures -->\n"
STREAMS, SECONDS, RATE = 200, 20, 5
WATCHDOG = 6.0
"""Seconds, instead of the unit's 30: so that a frozen process is replaced while the answers still run."""
LOADS = [(100, 10), (300, 10), (1000, 10), (100, 50), (1000, 2)]
"""Streams and tokens per second of each, at one process."""
SETTLE, MEASURE = 3.0, 8.0
"""Seconds before, and of, a measurement of the load."""
LONGEST = 300
"""Seconds of an answer: longer than its measurement takes on a busy machine."""
BUSY = 0.6
"""The part of a core that a process should use at most, so that first tokens come at once."""


def say(text: str = "") -> None:
    """A line of the report."""
    print(text, flush=True)


@contextlib.contextmanager
def fleet(processes: int, watchdog: float | None = None) -> Iterator[tuple[dict[str, Unit], Path]]:
    """Started units with the settings of deploy/systemd."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_agents(folder, SECONDS * RATE, RATE)
        text = (ROOT / "deploy" / "systemd" / "aura.toml").read_text(encoding="utf-8")
        (folder / "aura.toml").write_text(text.replace("[server]", "[server]\nmax_streams = 20000", 1))
        with units(folder, [str(5301 + number) for number in range(processes)], watchdog=watchdog) as made:
            yield made, folder


class Row(NamedTuple):
    """What was done, what came of it, and whether it is as promised."""

    title: str
    result: str
    well: bool


async def rolling(processes: int) -> Row:
    """Restart all, one after the other, under streams."""
    with fleet(processes) as (made, folder), nginx(folder, [unit.port for unit in made.values()]) as port:
        crowd = Crowd(port, STREAMS, SECONDS * RATE)
        asking = asyncio.create_task(crowd.run())
        await _until(lambda: crowd.open == STREAMS)
        begin = time.monotonic()
        for unit in made.values():
            await asyncio.to_thread(unit.restart)
        took = time.monotonic() - begin
        crowd.over.set()
        await asking
    total = sum(crowd.ended.values())
    bad = Counter(fault.split(":")[0].split()[1] for fault in crowd.faults)
    result = (
        f"{total:,} answers in {took:.0f} s: {bad['refused']} refused, {bad['cut']} cut, {len(crowd.faults)} failed"
    )
    return Row(f"rolling restart of {processes} under {STREAMS} streams of {SECONDS} s", result, not crowd.faults)


async def killed(processes: int) -> Row:
    """Kill one by SIGKILL: its streams end as a cut, the others go on, and new ones are answered at once."""
    with fleet(processes) as (made, folder), nginx(folder, [unit.port for unit in made.values()]) as port:
        on: Counter[str] = Counter()
        tasks = [asyncio.create_task(_noted(port, on)) for _ in range(STREAMS)]
        await _until(lambda: sum(on.values()) == STREAMS)
        victim = next(iter(made.values()))
        mine = f"127.0.0.1:{victim.port}"
        victim.process.send_signal(signal.SIGKILL)
        begin = time.monotonic()
        new = [await stream(port, "short", 3) for _ in range(20)]
        first = time.monotonic() - begin
        ended = await asyncio.gather(*tasks)
    cut = [each for each in ended if each.how != "done"]
    well = (
        len(cut) == on[mine]
        and {each.how for each in cut} == {"cut"}
        and {each.upstream for each in cut} == {mine}
        and all(each.how == "done" for each in new)
        and first < 1
    )
    result = (
        f"its {on[mine]} streams were cut, {len(ended) - len(cut)} others ended as usual;"
        f" the next 20 answers were complete after {first * 1000:.0f} ms"
    )
    return Row(f"one of {processes} killed by SIGKILL under {STREAMS} streams", result, well)


async def frozen(processes: int, way: str) -> Row:
    """Stop one by SIGSTOP: nothing refuses, it is only silent, until systemd's watchdog replaces it."""

    def edit(text: str) -> str:
        return text if way == "least_conn" else text.replace("    least_conn;\n", "")

    with fleet(processes, WATCHDOG) as (made, folder), nginx(folder, [u.port for u in made.values()], edit) as port:
        on: Counter[str] = Counter()
        tasks = [asyncio.create_task(_noted(port, on)) for _ in range(STREAMS)]
        await _until(lambda: sum(on.values()) == STREAMS)
        victim = next(iter(made.values()))
        mine = f"127.0.0.1:{victim.port}"
        victim.process.send_signal(signal.SIGSTOP)
        begin = time.monotonic()
        asked: list[asyncio.Task[tuple[Outcome, float]]] = []
        while victim.restarts == 0 and time.monotonic() < begin + 60:  # 50 short questions a second
            asked.append(asyncio.create_task(_timed(port)))
            await asyncio.sleep(0.02)
        replaced = time.monotonic() - begin
        new = await asyncio.gather(*asked)
        ended = await asyncio.gather(*tasks)
    slow = [seconds for _, seconds in new if seconds > 1]
    lost = [outcome for outcome, _ in new if outcome.how != "done"]
    cut = [each for each in ended if each.how != "done"]
    result = (
        f"replaced after {replaced:.1f} s (WatchdogSec={WATCHDOG:g}); of {len(new)} short answers meanwhile {len(slow)}"
        f" took over 1 s and {len(lost)} were lost; its {on[mine]} streams were cut, the others were not"
    )
    well = {each.upstream for each in cut} <= {mine} and victim.restarts == 1
    return Row(f"one of {processes} frozen by SIGSTOP, {way}", result, well)


async def spread(processes: int, way: str) -> Row:
    """How evenly answers are distributed if one of as many as there are processes is long, and the others are short:
    the worst case for round robin."""

    def edit(text: str) -> str:
        return text if way == "least_conn" else text.replace("    least_conn;\n", "")

    with fleet(processes) as (made, folder), nginx(folder, [u.port for u in made.values()], edit) as port:
        on: Counter[str] = Counter()
        tasks = []
        for _ in range(STREAMS):  # with round robin the same process gets each long one
            tasks.append(asyncio.create_task(_noted(port, on)))
            await _until(lambda: sum(on.values()) == len(tasks))
            for _ in range(processes - 1):
                await stream(port, "short", 3)
            if len(tasks) == 60:
                break
        counts = [on[f"127.0.0.1:{unit.port}"] for unit in made.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    result = f"where each {processes}th answer is long: {' / '.join(map(str, counts))} of {len(tasks)} long ones"
    return Row(f"distribution over {processes}, {way}", result, way != "least_conn" or max(counts) - min(counts) <= 2)


async def _noted(port: int, on: Counter[str]) -> Outcome:
    return await stream(port, "long", SECONDS * RATE, lambda upstream: on.update([upstream.split(",")[-1].strip()]))


async def _timed(port: int) -> tuple[Outcome, float]:
    begin = time.monotonic()
    return await stream(port, "short", 3), time.monotonic() - begin


async def _until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.01)


# The load of one process


class Load(NamedTuple):
    """What one process needed: tokens that came in a second, CPU as a part of a core, memory in KiB."""

    streams: int
    rate: int
    tokens: float
    cpu: float
    memory: int
    idle: int
    descriptors: int

    @property
    def per_token(self) -> float:
        """Microseconds of CPU time."""
        return self.cpu * 1e6 / self.tokens

    @property
    def per_stream(self) -> float:
        """KiB."""
        return (self.memory - self.idle) / self.streams


UPSTREAM = """
import asyncio, json, sys
async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            length = int(head.lower().partition(b"content-length:")[2].split()[0]) if b"ontent-" in head.title() else 0
            body = await reader.readexactly(length)
            rate, count = map(int, json.loads(body)["model"].split("x")) if body else (0, 0)
            writer.write(b"HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n")
            begin = asyncio.get_running_loop().time()
            for number in range(count):
                await asyncio.sleep(begin + number / rate - asyncio.get_running_loop().time())
                line = json.dumps({"message": {"content": f" t{number}"}}).encode() + b"\\n"
                writer.write(b"%x\\r\\n%b\\r\\n" % (len(line), line))
            line = b'{"done":true,"done_reason":"stop"}\\n'
            writer.write(b"%x\\r\\n%b\\r\\n0\\r\\n\\r\\n" % (len(line), line))
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
import uvloop
uvloop.run(main())
"""


async def load(streams: int, rate: int) -> Load:
    """Hold streams from a simulated Ollama at one process, and look at what it uses while all of them run."""
    tokens = LONGEST * rate
    came = begun = 0

    def count(piece: bytes) -> None:
        nonlocal came
        came += piece.count(b"event: token")

    def start(_upstream: str) -> None:
        nonlocal begun
        begun += 1

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        upstream = await asyncio.create_subprocess_exec(
            sys.executable, "-c", UPSTREAM, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        assert upstream.stdout is not None
        address = (await upstream.stdout.readline()).decode().strip()
        (folder / "agents").mkdir()
        for agent, model in (("long", f"{rate}x{tokens}"), ("warm", "1000x3")):
            (folder / "agents" / f"{agent}.md").write_text(f"---\nprovider: ollama\nmodel: {model}\n---\n")
        (folder / "aura.toml").write_text(
            f'[server]\nallowed_hosts = ["aura.example.com"]\nmax_streams = 20000\n'
            f'[providers.ollama]\nbase_url = "http://127.0.0.1:{address}"\n'
        )
        try:
            with units(folder, ["5301"]) as made:
                (unit,) = made.values()
                pid = unit.process.pid
                warm = await asyncio.gather(*(stream(unit.port, "warm", 3) for _ in range(50)))
                assert {outcome.how for outcome in warm} == {"done"}
                idle = memory(pid)
                tasks = []
                for _ in range(streams):
                    tasks.append(asyncio.create_task(stream(unit.port, "long", tokens, start, count)))
                    await asyncio.sleep(1 / streams)
                await _until(lambda: begun == streams and came > streams * rate)
                await asyncio.sleep(SETTLE)
                before, came, begin = cpu(pid), 0, time.monotonic()
                await asyncio.sleep(MEASURE)
                seconds = time.monotonic() - begin
                used, arrived = (cpu(pid) - before) / seconds, came / seconds
                most, descriptors = memory(pid), _descriptors(pid)
                assert not any(task.done() for task in tasks), "an answer ended too early"
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            upstream.kill()
            await upstream.wait()
    return Load(streams, rate, arrived, used, most, idle, descriptors)


def _descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def sizes(loads: list[Load]) -> list[str]:
    """The table of sizes: arithmetic from what was measured."""
    per_token = max(each.per_token for each in loads if each.tokens >= 1000)
    per_stream = max(each.per_stream for each in loads if each.streams >= 500)
    base = max(each.idle for each in loads) / 1024
    rows = [
        "| concurrent streams | tokens/s of each | pods | streams per pod | memory per pod | descriptors per pod |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for streams in (100, 1000, 10_000, 100_000):
        for rate in (10, 50):
            room = min(1000, int(BUSY * 1e6 / (per_token * rate)))
            pods = max(2, math.ceil(streams / room) + 1)
            each = math.ceil(streams / (pods - 1))
            mib = base + each * per_stream / 1024
            rows.append(f"| {streams:,} | {rate} | {pods:,} | {each:,} | {mib:.0f} MiB | {2 * each + 50:,} |")
    return rows


def report(rows: list[Row], loads: list[Load]) -> str:
    """The figures as Markdown."""
    model = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    cores = os.cpu_count()
    busy = os.getloadavg()[2]
    lines = [
        f"Measured on {cores} cores ({model[0] if model else 'unknown'}) that also ran nginx, the clients and the"
        f" simulated provider; the machine's load average was {busy:.0f}. {time.strftime('%Y-%m-%d')}.\n",
        "| what | result |",
        "| --- | --- |",
        *(f"| {row.title} | {row.result} |" for row in rows),
        "",
        "One process, streams from a simulated Ollama over HTTP:\n",
        "| streams | tokens/s that came | CPU | µs per token | memory | KiB per stream | descriptors |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(
            f"| {each.streams:,} | {each.tokens:,.0f} of {each.streams * each.rate:,} | {each.cpu:.0%} of a core |"
            f" {each.per_token:.0f} | {each.memory / 1024:.0f} MiB | {each.per_stream:.0f} | {each.descriptors:,} |"
            for each in loads
        ),
        "",
        "Arithmetic from the most expensive of these points with 1,000 tokens/s or more:"
        f" {BUSY:.0%} of a core and 1,000 streams per pod at most, and one pod to spare.\n",
        *sizes(loads),
    ]
    return "\n".join(lines)


def publish(text: str) -> None:
    """Put the figures into the page."""
    before, mark, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    assert mark
    assert end, f"{PAGE} has no place for the figures"
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n\n{END}{after}", encoding="utf-8")


async def break_things(processes: int) -> list[Row]:
    """What goes wrong in a fleet, one after the other."""
    rows = []
    for run in (
        rolling(processes),
        killed(processes),
        frozen(processes, "least_conn"),
        frozen(processes, "round robin"),
        spread(processes, "least_conn"),
        spread(processes, "round robin"),
    ):
        rows.append(await run)
        say(f"{'as promised' if rows[-1].well else 'BROKEN'}: {rows[-1].title}: {rows[-1].result}")
    return rows


async def measure() -> list[Load]:
    """The load of one process."""
    loads = []
    for streams, rate in LOADS:
        loads.append(await load(streams, rate))
        say(f"{streams} streams x {rate}/s: {loads[-1].cpu:.0%} of a core, {loads[-1].per_token:.0f} µs per token")
    return loads


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--publish", action="store_true", help="write the figures into docs/deployment.md")
    parser.add_argument("--rows", type=Path, help="measure the load only; this file has the rest, from an earlier run")
    parser.add_argument("--json", type=Path, help="also write the rest into such a file")
    given = parser.parse_args()
    assert NGINX.exists()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    if given.rows:
        rows = [Row(*row) for row in json.loads(given.rows.read_text())]
    else:
        rows = asyncio.run(break_things(given.processes))
    if given.json:
        given.json.write_text(json.dumps(rows))
    text = report(rows, asyncio.run(measure()))
    say()
    say(text)
    if given.publish:
        publish(text)
    sys.exit(0 if all(row.well for row in rows) else 1)


if __name__ == "__main__":
    main()
