"""Checks of faults: their codes, a cut stream, a silent one, and retries."""

import asyncio
import socket
from typing import Any

from aura_core.errors import CODES, ProviderError
from aura_core.testing.conformance import Failure
from aura_core.testing.harness import PATIENCE, PIECE, Broken, Harness, PlayedAnswer, until
from aura_core.testing.registry import check
from aura_core.testing.upstream import Ending, Reply

PAGE = b"<!doctype html><html><head><title>Oops</title></head><body><h1>Oops</h1></body></html>"
HTML = {"content-type": "text/html"}

STATUSES = {
    400: "bad_request",
    401: "auth",
    402: "quota_exceeded",
    403: "auth",
    422: "bad_request",
    429: "rate_limited",
    502: "unavailable",
    503: "unavailable",
    504: "unavailable",
    529: "unavailable",
}
"""The code of a status if the body gives no reason."""
STATUSES_OF_0_2 = {500: "unavailable", 520: "unavailable", 524: "unavailable"}
"""The same for statuses that plugins for 0.1 map to other codes."""
CUTS = 14
SILENCE = 0.5
MOMENT = 0.05
RECORD = 12 * 2**20


@check("errors", "hooks", "settings", server=False)
async def errors(harness: Harness) -> None:
    """Whatever the provider says went wrong becomes a ProviderError with the right code and a message that says what to
    do; never text, never an answer that looks finished."""
    for failure in harness.conformance.failures:
        answer = await harness.replay(failure)
        _judge(answer, failure.name, failure.code)
        _judge_rest(answer, failure)
    if harness.conformance.write is None:
        return
    for status, code in (STATUSES | STATUSES_OF_0_2 if harness.asks_for("0.2") else STATUSES).items():
        _judge(await harness.ask(Reply([PAGE], status, HTML)), f"status {status} with a page", code)
    answer = await harness.ask(Reply([PAGE], 429, HTML | {"retry-after": "7"}))
    if answer.error is not None and answer.error.retry_after != 7:
        raise Broken(f"status 429 with Retry-After: 7: retry_after is {answer.error.retry_after}")
    _judge(await harness.ask(Reply([PAGE + b"\n\n"], headers=HTML)), "status 200 with a page", "bad_response")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    async with harness.opened(harness.conformance.table(url)) as instance:
        _judge(await harness.start(on=instance).finish(), "a refused connection", "unavailable")


def _judge(answer: PlayedAnswer, name: str, code: str) -> None:
    if isinstance(answer.raised, ProviderError) and answer.raised.code not in CODES:
        raise Broken(f"{name}: its code {answer.raised.code!r} does not exist; known are {', '.join(CODES)}")
    if answer.error is None:
        raise Broken(f"{name}: it ended with {answer.end} after the text {answer.text!r}; expected was {code}")
    if answer.error.code != code:
        raise Broken(f"{name}: {answer.end}; expected was {code}")
    if isinstance(answer.raised, Exception) and not isinstance(
        answer.raised, (ProviderError, ConnectionError, TimeoutError)
    ):
        raise Broken(f"{name}: it raised {type(answer.raised).__name__}: {answer.raised}, not ProviderError")
    if isinstance(answer.raised, ProviderError) and (
        not answer.raised.message.strip() or "<h" in answer.raised.message
    ):
        raise Broken(f"{name}: the message is {answer.raised.message!r}; it must say what to do, without mark-up")


def _judge_rest(answer: PlayedAnswer, failure: Failure) -> None:
    assert answer.error is not None
    if answer.error.retry_after != failure.retry_after:
        raise Broken(f"{failure.name}: retry_after is {answer.error.retry_after}, not {failure.retry_after}")
    if answer.text != "".join(failure.tokens):
        raise Broken(f"{failure.name}: the text is {answer.text!r}, not {''.join(failure.tokens)!r}")


@check("dropped", "hooks", "settings")
async def dropped(harness: Harness) -> None:
    """A connection that ends before the status line is `unavailable`, so that the core asks again: a server may just
    have closed one that was idle. Only where it had been kept may a plugin ask again by itself, once."""
    endings: list[tuple[str, Ending]] = [("closed", "clean"), ("reset", "reset")]
    for how, ending in endings:
        for used in (False, True):
            if used:
                await harness.play(harness.conformance.whole(["One"]))
            before = len(harness.questions)
            answer = await harness.ask(Reply(status=0, ending=ending))
            name = f"a {'used' if used else 'new'} connection that is {how} before the status line"
            _judge(answer, name, "unavailable")
            if (count := len(harness.questions) - before) > (2 if used else 1):
                raise Broken(f"{name}: it sent {count} requests")


@check("unasked", "hooks", "settings", since="0.2")
async def unasked(harness: Harness) -> None:
    """What a server says unasked, behind an answer or while the connection waits for the next question, is never taken
    for an answer: that connection is closed, and not used again (RFC 9112, section 9.2)."""
    body = harness.conformance.whole(["Unasked"])
    head = (
        f"HTTP/1.1 200 OK\r\ncontent-type: {harness.reply(b'').headers['content-type']}\r\ncontent-length: {len(body)}"
    )
    said = f"{head}\r\n\r\n".encode() + body
    half = len(said) // 2
    for where, parts in {
        "a second answer, a moment after the first": [MOMENT, said],
        "a second answer, in one piece with the end of the first": [said],
        "a second answer, half of it in one piece with the end of the first": [said[:half], MOMENT, said[half:]],
        "the first line of a second answer, in one piece with the end of the first": [said[:24]],
        "some bytes, a moment after the first answer": [MOMENT, b"x"],
    }.items():
        await _judge_asked(harness, where, harness.reply(harness.conformance.whole(["One"]), unasked=parts))


async def _judge_asked(harness: Harness, where: str, reply: Reply) -> None:
    for asked, next_reply in (("One", reply), ("Two", harness.reply(harness.conformance.whole(["Two"])))):
        before, unasked = harness.upstream.connections, harness.upstream.unasked
        answer = await harness.ask(next_reply)
        if answer.text != asked or not answer.relay.succeeded:
            new = "a new" if harness.upstream.connections > before else "the same"
            raise Broken(f"{where}: on {new} connection {asked!r} was answered, and {answer.text!r} came: {answer.end}")
        if next_reply.unasked:  # not written at all where the plugin closed the connection before
            await until(lambda unasked=unasked: harness.upstream.unasked > unasked, PATIENCE / 5)  # type: ignore[misc]
            await asyncio.sleep(MOMENT)


@check("truncation", "hooks", "settings")
async def truncation(harness: Harness) -> None:
    """A stream that ends before the provider said that it finished is `interrupted`, or `bad_response` where it had
    said nothing; never done."""
    body = harness.conformance.whole(["One", " two", " three", " four"])
    expected = await harness.play(body)
    endings: list[Ending] = ["clean", "cut", "reset", "broken"]
    for index, size in enumerate(range(0, len(body), 1 + len(body) // CUTS)):
        ending = endings[index % len(endings)]
        parts: list[Any] = [body[:size]] if size else []
        answer = await harness.ask(harness.reply([*parts, 0.02], ending=ending))
        where = f"after {size} of {len(body)} bytes ({ending})"
        if answer.error is None:
            if (answer.text, answer.end) != (expected.text, expected.end):
                raise Broken(f"{where}: {answer.end} with the text {answer.text!r}")
        elif answer.said:
            if answer.error.code != "interrupted":
                raise Broken(f"{where}: {answer.end} after the text {answer.said!r}; expected was interrupted")
        elif answer.error.code not in ("bad_response", "unavailable", "interrupted"):
            raise Broken(f"{where}: {answer.end}; expected was bad_response")


@check("bounds", "hooks", "settings", "loop")
async def bounds(harness: Harness) -> None:
    """A record that does not end is given up with `bad_response` after 8 MiB: no server fills our memory."""
    endless = [harness.conformance.begun(["One"]), *[b"x" * PIECE] * (RECORD // PIECE)]
    answer = harness.start(harness.reply(endless, ending="stall"))
    try:
        if not await until(lambda: answer.ended, 2 * PATIENCE):
            raise Broken(f"it took {RECORD // 2**20} MiB of one record, and waited for more")
        if answer.error is None or answer.error.code != "bad_response":
            raise Broken(f"after {RECORD // 2**20} MiB of one record it ended with {answer.end}")
    finally:
        await answer.leave()


@check("stall", "hooks", "settings", "loop")
async def stall(harness: Harness) -> None:
    """What has come leaves at once, and silence is waited out: how long is the core's decision, not the plugin's."""
    harness.must_stream()
    answer = harness.start(harness.reply([harness.conformance.begun(["One", "Two"])], ending="stall"))
    try:
        if not await until(lambda: answer.text == "OneTwo" or answer.ended):
            raise Broken(
                f"'OneTwo' was sent, and the server then said nothing more: after {PATIENCE:g} s there was"
                f" {answer.text!r}"
            )
        await asyncio.sleep(SILENCE)
        if answer.ended:
            raise Broken(f"the server was silent for {SILENCE:g} s, and the answer ended with {answer.end}")
    finally:
        await answer.leave()
    slow = await harness.ask(harness.reply(harness.conformance.whole(["One"]), head_delay=2 * SILENCE))
    if not slow.relay.succeeded:
        raise Broken(f"the server took {2 * SILENCE:g} s for its status line, and the answer ended with {slow.end}")


@check("retries", "hooks", "settings")
async def retries(harness: Harness) -> None:
    """One question is one request: trying again is the core's decision."""
    await harness.ask(
        harness.reply(harness.conformance.whole(["One"]))
    )  # a first request may need others, such as a login
    for name, reply in {
        "status 503": Reply(status=503),
        "status 429": Reply(status=429, headers={"retry-after": "0"}),
        "status 500": Reply(status=500),
        "a connection that was reset": Reply([0.02], ending="reset"),
    }.items():
        before = len(harness.questions)
        await harness.ask(reply)
        if (count := len(harness.questions) - before) > 1:
            raise Broken(f"after {name} it sent {count} requests")
