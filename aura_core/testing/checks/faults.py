"""Checks of faults: their codes, a cut stream, a silent one, and retries."""

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import msgspec

from aura_core.errors import CODES, ProviderError
from aura_core.testing.checks.deviations import with_texts
from aura_core.testing.conformance import Failure
from aura_core.testing.harness import PATIENCE, PIECE, Broken, Harness, Inapplicable, PlayedAnswer, until
from aura_core.testing.registry import PACE, check
from aura_core.testing.upstream import Ending, Reply
from aura_core.testing.watch import connects, time_limits

PAGE = b"<!doctype html><html><head><title>Oops</title></head><body><h1>Oops</h1></body></html>"
HTML_TEXT = "<html><body><h1>Oops</h1></body></html>"
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
SILENCE = 5.5
"""Seconds of silence: more than the 5 s after which httpx gives up by default."""
MOMENT = 0.05
ERROR_PATIENCE = 20.0
"""Seconds for an error's body, of which a plugin may wait 5."""
ASKED_AGAIN = (401, 409, 425, 429, 500, 502, 503, 504, 520, 524, 529)
AHEAD = 64 * 2**20
"""Bytes that a plugin may have taken of an answer that nobody reads: the kernel's buffers hold up to ten million."""
STILL = 5
"""How often in a row nothing more may be written, a tenth of a second apart, until it counts as stopped."""
RECORD = 12 * 2**20
TYPES = ("invalid_request_error", "not_found_error", "api_error", "overloaded_error")


@check("errors", *PACE, server=False)
async def errors(harness: Harness) -> None:
    """Whatever the provider says went wrong becomes a ProviderError with the right code and a message that says what to
    do; never text, never an answer that looks finished.

    Read the body of an error with `error_body`, and call `status_error` with it: its reason decides the code, and where
    there is none, the status. A message is one line of plain text, never empty, without mark-up.
    """
    for failure in harness.conformance.failures:
        answer = await harness.replay(failure)
        _judge(answer, failure.name, failure.code)
        _judge_rest(answer, failure)
        for text in ("", HTML_TEXT) if harness.asks_for("0.2") else ():
            for changed in with_texts(failure, text):
                _judge_message(await harness.replay(changed), f"{failure.name}, as {changed.body!r}")
    if harness.conformance.write is None:
        return
    for status, code in (STATUSES | STATUSES_OF_0_2 if harness.asks_for("0.2") else STATUSES).items():
        _judge(await harness.ask(Reply([PAGE], status, HTML)), f"status {status} with a page", code)
        if harness.asks_for("0.2"):
            _judge(await harness.ask(Reply([], status)), f"status {status} without a body", code)
    for status in (400, 404, 500):
        for said in _reasons() if harness.asks_for("0.2") else ():
            answer = await harness.ask(Reply([said], status, {"content-type": "application/json"}))
            if answer.error is None:
                raise Broken(f"status {status} with {said!r}: it ended with {answer.end}")
            _judge_message(answer, f"status {status} with {said!r}")
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
    _judge_message(answer, name)


def _reasons() -> Iterator[bytes]:
    """Bodies of errors in which the server's words are empty, or mark-up."""
    for text in ("", HTML_TEXT):
        yield msgspec.json.encode({"error": text})
        yield msgspec.json.encode({"error": {"message": text}})
        for kind in TYPES:
            yield msgspec.json.encode({"type": "error", "error": {"type": kind, "message": text}})


def _has_mark_up(text: str) -> bool:
    return any(part[:1].isalpha() or part[:1] in ("!", "/") for part in text.split("<")[1:])


def _judge_message(answer: PlayedAnswer, name: str) -> None:
    if isinstance(answer.raised, ProviderError) and (
        not str(answer.raised.message).strip() or _has_mark_up(str(answer.raised.message))
    ):
        raise Broken(f"{name}: the message is {answer.raised.message!r}; it must say what to do, without mark-up")
    if answer.error is not None and isinstance(answer.raised, Exception) and "is faulty" in answer.error.message:
        raise Broken(f"{name}: it raised {type(answer.raised).__name__}: {answer.raised}, not ProviderError")


def _judge_rest(answer: PlayedAnswer, failure: Failure) -> None:
    assert answer.error is not None
    if answer.error.retry_after != failure.retry_after:
        raise Broken(f"{failure.name}: retry_after is {answer.error.retry_after}, not {failure.retry_after}")
    if answer.text != "".join(failure.tokens):
        raise Broken(f"{failure.name}: the text is {answer.text!r}, not {''.join(failure.tokens)!r}")


@check("dropped", *PACE)
async def dropped(harness: Harness) -> None:
    """A connection that ends before the status line is `unavailable`, so that the core asks again: a server may just
    have closed one that was idle. Only where it had been kept may a plugin ask again by itself, once.

    Where a connection is refused, none is tried again either: an HTTP library that retries by itself
    (`AsyncHTTPTransport(retries=…)`, `max_retries` of an SDK) has that set to 0.
    """
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
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    async with harness.opened(harness.conformance.table(f"http://127.0.0.1:{port}")) as instance:
        with connects(port) as tried:
            await harness.start(on=instance).finish()
    if len(tried) > 1:
        raise Broken(f"a refused connection: it connected {len(tried)} times; retries are the core's (`retries`)")


@check("unasked", *PACE, since="0.2")
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


@check("truncation", *PACE)
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


@check("bounds", *PACE)
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
    dialect = harness.conformance.dialect
    for name, piece in dialect.endless.items() if dialect is not None and harness.asks_for("0.2") else ():
        many = piece * (PIECE // len(piece))
        answer = harness.start(harness.reply([many] * (RECORD // len(many)), ending="stall"))
        try:
            ended = await until(lambda answer=answer: answer.ended, 2 * PATIENCE)  # type: ignore[misc]
            if not ended or answer.error is None or answer.error.code != "bad_response":
                raise Broken(f"{name}: after {RECORD // 2**20} MiB it ended with {answer.end}")
        finally:
            await answer.leave()


@check("error-bodies", *PACE, since="0.2")
async def error_bodies(harness: Harness) -> None:
    """The body of an error is read within limits of size and time: an endless one, and one that never comes, are given
    up, and the status decides.

    `error_body` reads up to 64 KiB for at most 5 seconds. `await response.aread()` has no limit at all.
    """
    codes = {400: "bad_request", 503: "unavailable"}
    replies = {f"status {status} with a body without an end": _endless(status) for status in codes}
    replies |= {f"status {status} with a body that never comes": Reply([], status, ending="stall") for status in codes}
    answers = await harness.start_all(replies)
    ended = await until(lambda: all(answer.ended for answer in answers.values()), ERROR_PATIENCE)
    for answer in answers.values():
        await answer.leave()
    for (name, answer), reply in zip(answers.items(), replies.values(), strict=True):
        if not ended and not answer.ended:
            raise Broken(f"{name}: after {ERROR_PATIENCE:g} s it still read")
        _judge(answer, name, codes[reply.status])


def _endless(status: int) -> Reply:
    return Reply([b"x" * PIECE], status, repeat=True)


@check("stall", *PACE)
async def stall(harness: Harness) -> None:
    """What has come leaves at once, and silence is waited out: how long is the core's decision, not the plugin's.

    The kit is silent for 5.5 seconds before the status line, before the first byte of the body, and after a token.
    """
    harness.must_stream()
    answer = harness.start(harness.reply([harness.conformance.begun(["One", "Two"])], ending="stall"))
    try:
        if not await until(lambda: answer.text == "OneTwo" or answer.ended):
            raise Broken(
                f"'OneTwo' was sent, and the server then said nothing more: after {PATIENCE:g} s there was"
                f" {answer.text!r}"
            )
    finally:
        await answer.leave()
    whole, begun = harness.conformance.whole(["One"]), harness.conformance.begun(["One", "Two"])
    silent = {
        "before the status line": harness.reply(whole, head_delay=SILENCE),
        "before the first byte of the body": harness.reply([SILENCE, whole]),
        "after a token": harness.reply([begun, SILENCE, harness.conformance.whole(["One", "Two", "x"])[len(begun) :]]),
    }
    for where, answered in (await harness.start_all(silent)).items():
        if not (await answered.finish()).relay.succeeded:
            end = answered.end
            raise Broken(f"the server was silent for {SILENCE:g} s {where}, and the answer ended with {end}")


@check("timeouts", *PACE, since="0.2")
async def timeouts(harness: Harness) -> None:
    """The plugin's HTTP client has a time limit for connecting, and no other: the core has those.

    The kit looks at each request that goes through httpx or aiohttp, also inside of an SDK:
    `httpx.Timeout(None, connect=…)`, `aiohttp.ClientTimeout(None, sock_connect=…)`. httpx's own limit is 5 seconds, and
    aiohttp's 5 minutes.
    """
    await harness.instance.client()
    with time_limits() as asked:
        await harness.ask(harness.reply(harness.conformance.whole(["One"])))
        await harness.ask(Reply(status=500))
    if not asked:
        raise Inapplicable("it asks neither through httpx nor through aiohttp; `stall` looks at its silence")
    for limits in asked:
        for name in ("total", "read", "write", "pool"):
            if (seconds := limits.get(name)) is not None:
                raise Broken(f"its HTTP client has a limit `{name}` of {seconds:g} s; only `connect` may have one")
        if limits.get("connect") is None:
            raise Broken("its HTTP client has no limit for connecting: a host that is down takes minutes")


@check("backpressure", *PACE, since="0.2")
async def backpressure(harness: Harness) -> None:
    """A plugin reads no faster than its client: where nobody takes the tokens, it stops reading.

    Yield each token as it comes, and read on when you are asked for the next: no queue, no task that reads ahead.
    """
    harness.must_stream()
    record = harness.text_record()
    answer = harness.start(harness.reply([record * (PIECE // len(record))], repeat=True))
    try:
        await until(lambda: harness.upstream.written > 0)
        before, still = -1, 0
        while still < STILL:
            still = still + 1 if harness.upstream.written == before else 0
            before = harness.upstream.written
            if before > AHEAD:
                raise Broken(f"nobody took a token, and it read {before // 2**20} MiB")
            await asyncio.sleep(0.1)
    finally:
        await answer.leave()


@check("retries", *PACE)
async def retries(harness: Harness) -> None:
    """One question is one request: trying again is the core's decision.

    The kit counts the requests of each failure: every status that somebody might try again, 429, 503 and 529 among
    them, answers that break off, and the failures of the description. An SDK has `max_retries=0`.
    """
    await harness.ask(
        harness.reply(harness.conformance.whole(["One"]))
    )  # a first request may need others, such as a login
    replies = {f"status {status}": Reply(status=status, headers={"retry-after": "0"}) for status in ASKED_AGAIN}
    replies["a connection that was reset"] = Reply([0.02], ending="reset")
    for how in ("clean", "cut", "reset"):
        replies[f"an answer that ended ({how}) before its first byte"] = harness.reply([], ending=how)
        replies[f"an answer that ended ({how}) after a token"] = harness.reply(
            [harness.conformance.begun(["One"]), 0.02], ending=how
        )
    for failure in harness.conformance.failures:
        replies[failure.name] = harness.reply(failure.body, status=failure.status, headers=failure.headers)
    for name, reply in replies.items():
        before = len(harness.questions)
        await harness.ask(reply)
        if (count := len(harness.questions) - before) > 1:
            raise Broken(f"after {name} it sent {count} requests")
