"""Checks of pace, before all others: a plugin that blocks or dawdles is stopped here, and costs no more time."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable

from aura_core.testing.harness import Broken, Harness
from aura_core.testing.registry import BASICS, check
from aura_core.testing.upstream import Reply
from aura_core.testing.watch import blocking

BURST = 2000
HELD = 4.0
"""Seconds until a plugin that blocks its thread is let go: fewer than httpx's own clients wait for a byte."""
GAP = 2.0
"""Seconds that the event loop may stand still, generously."""
TRIES = 3
"""A busy machine may stand still once; a plugin that does it does it each time."""
DELAY = 0.4
"""Seconds that a plugin may take for what takes milliseconds on an idle machine."""


@check("loop", *BASICS)
async def loop(harness: Harness) -> None:
    """The event loop runs on while the plugin waits or works: other answers are not held up.

    One event loop serves all answers, so nothing may block its thread: no `time.sleep`, no socket or file that makes it
    wait, no HTTP library that is not asynchronous. What has no asynchronous form belongs into `asyncio.to_thread`.
    """
    await harness.play(harness.conformance.whole(["One"]))  # its imports and a login are not measured
    with blocking(harness.module) as blocked_by:
        await harness.ask(harness.reply(harness.conformance.whole(["One", " two"])))
        await harness.ask(Reply(status=500))
    if blocked_by:
        raise Broken(f"it blocks the event loop: {blocked_by[0]}; use what can be awaited, or asyncio.to_thread")
    released = threading.Event()
    blocked = threading.Timer(HELD, released.set)
    on_time: list[bool] = []
    begun = harness.conformance.begun(["One"])
    rest = harness.conformance.whole(["One", "x"])[len(begun) :]
    asked = len(harness.upstream.requests)
    answer = harness.start(harness.reply([begun, released, rest]))
    blocked.start()
    try:
        while len(harness.upstream.requests) <= asked and not released.is_set():
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


@check("delay", *BASICS, "loop", since="0.2")
async def delay(harness: Harness) -> None:
    """Nothing is waited for but the server: a request leaves at once, and so does what came, its end too.

    A plugin has no reason to wait by itself: pauses between requests and retries are the core's. The request must be at
    the kit's server, and a token and the end at the client, within 0.4 seconds in one of three tries.
    """
    await harness.play(harness.conformance.whole(["One"]))  # after a login, if there is one
    body = harness.conformance.whole(["One", " two"])
    for number in range(TRIES):
        began, server = time.monotonic(), harness.upstream
        answer = await harness.ask(harness.reply(body))
        if not answer.relay.succeeded or not answer.token_at:
            return  # other checks say why
        said = next((at for token, at in zip(answer.tokens, answer.token_at, strict=True) if token.content), 0.0)
        ended = next((at for token, at in zip(answer.tokens, answer.token_at, strict=True) if token.finish_reason), 0.0)
        waited = {
            "before its request": server.asked_at - began,
            "before the first token": said - server.wrote_at,
            "before the end": max(ended, answer.closed_at) - server.wrote_at,
        }
        slow = {where: seconds for where, seconds in waited.items() if seconds > DELAY}
        if not slow:
            return
        if number == TRIES - 1:
            where, seconds = next(iter(slow.items()))
            raise Broken(f"it waited {seconds:.1f} s {where}, with nothing to wait for")
