"""Checks of an answer's life: cancelled, crowded, and cleaned up after."""

import asyncio

from aura_core.testing.capture_logs import collected
from aura_core.testing.checks.deviations import framed
from aura_core.testing.harness import CLEANUP, PATIENCE, Broken, Harness, Inapplicable, PlayedAnswer, until
from aura_core.testing.registry import PACE, check
from aura_core.testing.upstream import Reply, split_at

CLOSING = 10.0
"""Seconds until all connections of a closed client are closed; aiohttp itself closes idle ones after 15 s."""
CROWD = 128


@check("cancel-before", *PACE)
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


@check("cancel-after", *PACE)
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
    if answer.swallowed:
        raise Broken(f"{name}: it kept the CancelledError to itself; whoever catches it raises it again")
    if answer.abandoned or not answer.relay.closed:
        raise Broken(f"{name}: its clean-up did not end within {CLEANUP:g} s")


@check("release", *PACE, since="0.2")
async def release(harness: Harness) -> None:
    """However an answer ends, its connection is closed or given back: after an error in the middle, after a status
    whose body goes on, after a finish reason behind which the server stays, and while the client does not read.

    `async with client.stream(…)` does that; a response that was opened without it stays open, and holds its connection.
    """
    whole = harness.conformance.whole(["One"])
    ends = {
        "an answer that ended, on a connection that stays open": harness.reply([whole], ending="stall"),
        "status 500 with a body that never ends": Reply([b"x"], 500, ending="stall"),
    }
    dialect = harness.conformance.dialect
    if dialect is not None and dialect.split is not None:
        first = dialect.split(harness.conformance.whole(["One", " two"]))[0]
        ends["a record that is not valid"] = harness.reply([first + framed(harness, b'{"broken')], ending="stall")
        flow = harness.text_record()
        ends["a client that does not read"] = harness.reply([flow * (2**18 // len(flow))], repeat=True)
    answers = await harness.start_all(ends)
    for name, answer in answers.items():
        if ends[name].repeat:
            await until(lambda answer=answer: len(answer.tokens) > 20 or answer.ended)  # type: ignore[misc]
            await answer.leave()
        else:
            await answer.finish()
    if not await until(lambda: harness.upstream.open == 0 or len(harness.upstream.hangups) >= len(ends)):
        left = await _left_open(harness, ends)
        raise Broken(f"{left}: the connection was still open {PATIENCE:g} s later")


async def _left_open(harness: Harness, ends: dict[str, Reply]) -> str:
    """Which of these ends leaves its connection open; one after the other, as a server cannot tell them apart."""
    for name, reply in ends.items():
        before = len(harness.upstream.hangups)
        harness.upstream.queue(reply)
        answer = harness.start()
        await until(lambda answer=answer: len(answer.tokens) > 20 or answer.ended, PATIENCE / 4)  # type: ignore[misc]
        await answer.leave()
        if not await until(lambda before=before: len(harness.upstream.hangups) > before, PATIENCE / 4):  # type: ignore[misc]
            return name
    return "one of several ends"


@check("cleanup", *PACE, server=False)
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


@check("concurrency", *PACE, server=False)
async def concurrency(harness: Harness) -> None:
    """More than a hundred answers run at the same time; none waits for another, and nothing of one is in another."""
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
    await _judge_mixed(harness)
    harness.upstream.default = harness.reply(harness.conformance.whole(["One", " two"]))
    answers = await asyncio.gather(*(harness.ask() for _ in range(CROWD)))
    bad = [answer for answer in answers if not answer.relay.succeeded]
    if bad:
        raise Broken(f"of {CROWD} answers at the same time {len(bad)} failed: {bad[0].end}")


async def _judge_mixed(harness: Harness) -> None:
    """Two answers whose bytes come in turns, a few at a time."""
    texts = ("First answer", "Second answer")
    replies = {}
    for text in texts:
        body = harness.conformance.whole([text, text])
        replies[text] = harness.reply(split_at(body, range(7, len(body), 7)))
    answers = await harness.start_all(replies)
    for text, answer in answers.items():
        await answer.finish()
        if answer.text != text * 2:
            raise Broken(f"of two answers at the same time {text * 2!r} was sent, {answer.text!r} came: {answer.end}")
