"""Checks of records that no description mentions: unknown ones, broken ones, and a missing end."""

from collections.abc import Iterator

import msgspec

from aura_core.testing.checks.deviations import finish_places, framed, records_of, without
from aura_core.testing.conformance import Transcript
from aura_core.testing.dialects import Dialect
from aura_core.testing.harness import Broken, Harness, Inapplicable, PlayedAnswer, encoded
from aura_core.testing.registry import PACE, check

NOT_JSON = (b'{"broken', b"\xff\xfe{}", b"Oops, an error")
KINDS = ("type", "event", "object", "kind")
"""Fields that say what a record is."""
UNKNOWN = "x_aura_unknown"


def _split(harness: Harness) -> tuple[Dialect, list[bytes]]:
    """The dialect, and the records of a whole answer. Raises Inapplicable."""
    dialect = harness.conformance.dialect
    if dialect is None or dialect.split is None:
        raise Inapplicable("its dialect has no `split`, so the kit cannot put records between others")
    return dialect, dialect.split(harness.conformance.whole(["One", " two"]))


@check("unknown-records", *PACE, "text", since="0.2")
async def unknown_records(harness: Harness) -> None:
    """A record of a kind that the plugin does not know is skipped, and costs the answer nothing.

    Protocols grow: new events, new kinds of content, pings. The kit puts such records between all others.
    """
    dialect, records = _split(harness)
    expected = await harness.play(b"".join(records))
    for unknown in dialect.unknown:
        body = b"".join(record + unknown for record in records[:-1]) + records[-1]
        answer = await harness.ask(harness.reply(unknown + body))
        if (answer.text, answer.end) != (expected.text, expected.end):
            raise Broken(f"with {unknown!r} between its records: {encoded(answer.text)} and {answer.end}")
    for at, record in enumerate(records):
        for odd in _of_unknown_kind(record):
            answer = await harness.ask(harness.reply(b"".join([*records[:at], odd, *records[at:]])))
            if not answer.relay.succeeded:
                raise Broken(f"with {odd!r} before its record {at + 1}: {answer.end}")


def _of_unknown_kind(record: bytes) -> Iterator[bytes]:
    """The record with a kind that nobody knows."""
    for line in record.split(b"\n"):
        try:
            fields = msgspec.json.decode(line.removeprefix(b"data:"))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        for key, value in _kinds(fields):
            kind = b'"%b":"%b"' % (key.encode(), value.encode())
            for spelling in (kind, kind.replace(b'":"', b'": "')):
                if record.count(spelling) == 1:
                    yield record.replace(spelling, b'"%b":"%b"' % (key.encode(), UNKNOWN.encode()))


def _kinds(value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in KINDS and isinstance(inner, str):
                yield key, inner
            yield from _kinds(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _kinds(inner)


@check("broken-records", *PACE, "text", since="0.2")
async def broken_records(harness: Harness) -> None:
    """A record that is not the protocol is `bad_response`, after the text before it: it is neither skipped, nor shown,
    nor a crash.

    Where the kit finds the records to be JSON, it puts one between them that is none.
    """
    _, records = _split(harness)
    if not records_of(b"".join(records)):
        raise Inapplicable("its records are not lines of JSON objects")
    for broken in NOT_JSON:
        body = b"".join([records[0], framed(harness, broken), *records[1:]])
        answer = await harness.ask(harness.reply(body))
        if answer.error is None:
            raise Broken(f"with {broken!r} as a record it ended with {answer.end} after {encoded(answer.text)}")
        judge_raised(answer, f"{broken!r} as a record")
        if answer.error.code != "bad_response" or answer.said not in ("One", ""):
            raise Broken(f"with {broken!r} as a record: {answer.end} after {encoded(answer.said)}")


def judge_raised(answer: PlayedAnswer, where: str) -> None:
    """Raise Broken where the plugin failed with an exception of its own code."""
    if "is faulty" in (answer.error.message if answer.error else "") and answer.raised is not None:
        raise Broken(f"{where}: it raised {type(answer.raised).__name__}: {answer.raised}, not ProviderError")


@check("missing-end", *PACE, "text", "finish", since="0.2")
async def missing_end(harness: Harness) -> None:
    """Without the record that says why it ended an answer is not complete, whatever else ends the stream.

    Where the kit finds the field with the finish reason, it takes it out, and the records that hold it.
    """
    _, records = _split(harness)
    transcript = Transcript(name="a whole answer", body=b"".join(records))
    places = await finish_places(harness, transcript)
    if not places:
        raise Inapplicable("no field of its records was found that says why an answer ends")
    for path in places:
        kept = [record for record in records if without(record, path) == record]
        answer = await harness.ask(harness.reply(b"".join(kept)))
        if answer.relay.succeeded:
            gone = next(record for record in records if record not in kept)
            raise Broken(f"without {gone!r} the answer ended with {answer.end}")
