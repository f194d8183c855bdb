"""Checks of an answer's life: cancelled, crowded, and cleaned up after."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

from aura_core.testing.capture_logs import collected
from aura_core.testing.harness import CLEANUP, PATIENCE, Broken, Harness, Inapplicable, PlayedAnswer, until
from aura_core.testing.registry import check
from aura_core.testing.upstream import Reply, split_at

CLOSING = 10.0
"""Seconds until all connections of a closed client are closed; aiohttp itself closes idle ones after 15 s."""
CROWD = 128
BURST = 2000
HELD = 4.0
"""Seconds until a plugin that blocks its thread is let go: fewer than httpx's own clients wait for a byte."""
GAP = 2.0
"""Seconds that the event loop may stand still, generously."""
TRIES = 3
"""A busy machine may stand still once; a plugin that does it does it each time."""


@check("loop", "hooks", "settings")
async def loop(harness: Harness) -> None:
    """The event loop runs on while the plugin waits or works: other answers are not held up."""
    await harness.instance.client()  # its imports are not measured
    released = threading.Event()
    blocked = threading.Timer(HELD, released.set)
    on_time: list[bool] = []
    begun = harness.conformance.begun(["One"])
    rest = harness.conformance.whole(["One", "x"])[len(begun) :]
    answer = harness.start(harness.reply([begun, released, rest]))
    blocked.start()
    try:
        while not harness.upstream.requests and not released.is_set():
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        on_time.append(not released.is_set())
    finally:
        released.set()
        blocked.cancel()
        await answer.finish()
    if not on_time[0]:
        raise Broken("while it waited for the server, nothing else could run: it reads without `await`")
    for _ in range(TRIES):
        gap = await _longest_gap(lambda: harness.ask(harness.reply(harness.conformance.whole(["word "] * BURST))))
        if gap <= GAP:
            return
    raise Broken(f"while it read {BURST} tokens that came in one write, nothing else could run for {gap:.1f} s")


async def _longest_gap(work: Callable[[], Awaitable[object]]) -> float:
    now = asyncio.get_running_loop().time
    gaps = [0.0]

    async def tick() -> None:
        while True:
            begin = now()
            await asyncio.sleep(0.01)
            gaps.append(now() - begin)

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0)
    await work()
    await asyncio.sleep(0.02)
    ticking.cancel()
    return max(gaps)


@check("cancel-before", "hooks", "settings", "loop")
async def cancel_before(harness: Harness) -> None:
    """A client that leaves before the first token closes the connection to the provider, at once."""
    for name, reply in {
        "before the status line": Reply(head_delay=600),
        "before the first byte of the body": harness.reply([], ending="stall"),
    }.items():
        asked = len(harness.upstream.requests)
        answer = harness.start(reply)
        if not await until(lambda asked=asked: len(harness.upstream.requests) > asked):  # type: ignore[misc]
            await answer.leave()
            raise Inapplicable("no request reached the server")
        await asyncio.sleep(0.05)
        await _judge_leaving(harness, answer, name)


@check("cancel-after", "hooks", "settings", "loop")
async def cancel_after(harness: Harness) -> None:
    """A client that leaves after the first token closes the connection to the provider, at once."""
    harness.must_stream()
    answer = harness.start(harness.reply([harness.conformance.begun(["One", " two"])], ending="stall"))
    if not await until(lambda: bool(answer.text) or answer.ended) or not answer.text:
        await answer.leave()
        raise Inapplicable("no token came while the server went on; see `stall`")
    await _judge_leaving(harness, answer, "after a token")
    flow = harness.conformance.begun(["word "] * 300)
    answer = harness.start(harness.reply(split_at(flow, range(20, len(flow), 20)), ending="stall"))
    await until(lambda: bool(answer.text) or answer.ended)
    await _judge_leaving(harness, answer, "while tokens came")


async def _judge_leaving(harness: Harness, answer: PlayedAnswer, name: str) -> None:
    before = len(harness.upstream.hangups)
    answer.relay.close()
    left = await until(lambda: len(harness.upstream.hangups) > before or harness.upstream.open == 0)
    await answer.leave()
    if not left:
        raise Broken(f"{name}: the connection was still open {PATIENCE:g} s after the client had left")
    if answer.abandoned or not answer.relay.closed:
        raise Broken(f"{name}: its clean-up did not end within {CLEANUP:g} s")


@check("cleanup", "hooks", "settings", "loop", server=False)
async def cleanup(harness: Harness) -> None:
    """After the instance is closed nothing is left: no connection, no task, no failed exit of `open_client`."""
    mine = asyncio.all_tasks()
    with collected("aura.providers") as logged:
        if harness.conformance.write is not None:
            await harness.ask(Reply(status=500))
            for _ in range(2):
                await harness.ask(harness.reply(harness.conformance.whole(["One", "Two"])))
        for transcript in harness.conformance.transcripts[:3]:
            await harness.replay(transcript)
        await harness.close()
    if logged:
        raise Broken(f"leaving what open_client gave failed: {logged[0].splitlines()[-1]}")
    if not await until(lambda: harness.upstream.open == 0, CLOSING):
        raise Broken(f"{harness.upstream.open} connections are still open after the client was closed")
    if not await until(lambda: asyncio.all_tasks() <= mine):
        left = sorted(task.get_name() for task in asyncio.all_tasks() - mine)
        raise Broken(f"{len(left)} tasks still run: {', '.join(left[:5])}")


@check("concurrency", "hooks", "settings", "loop", server=False)
async def concurrency(harness: Harness) -> None:
    """More than a hundred answers run at the same time, and none waits for another."""
    if harness.conformance.write is None:
        for transcript in harness.conformance.transcripts[:1]:
            answers = await asyncio.gather(*(harness.replay(transcript) for _ in range(CROWD)))
            if any(answer.text != "".join(transcript.tokens) for answer in answers):
                raise Broken(f"of {CROWD} answers at the same time some had another text")
        return
    harness.upstream.default = harness.reply([harness.conformance.begun(["One"])], ending="stall")
    await harness.instance.client()
    crowd = [harness.start() for _ in range(CROWD)]
    all_came = await until(lambda: len(harness.upstream.requests) >= CROWD, 2 * PATIENCE)
    came = len(harness.upstream.requests)
    await asyncio.gather(*(answer.leave() for answer in crowd))
    if not all_came:
        raise Broken(f"of {CROWD} requests {came} reached the server while the others waited: is a pool limited?")
    harness.upstream.default = harness.reply(harness.conformance.whole(["One", " two"]))
    answers = await asyncio.gather(*(harness.ask() for _ in range(CROWD)))
    bad = [answer for answer in answers if not answer.relay.succeeded]
    if bad:
        raise Broken(f"of {CROWD} answers at the same time {len(bad)} failed: {bad[0].end}")
