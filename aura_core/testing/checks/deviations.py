"""Checks of deviations of real servers from their own documents: odd side fields, words of failure, codings."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import msgspec

from aura_core.testing.conformance import Failure, Transcript
from aura_core.testing.harness import Broken, Harness, Inapplicable, PlayedAnswer, encoded
from aura_core.testing.registry import PACE, check

Path = tuple[str, ...]
"""Where a field stands in a record: keys, and `*` for each element of a list."""
Records = list[dict[Any, Any] | bytes]
"""The lines of a body: those that hold a JSON object decoded, others as they are."""

ODD: tuple[Any, ...] = (7, True, [], [{}], {"odd": [7]})
"""Values of unexpected types. None is a string: in place of a finish reason of null it would be a finish reason."""
FAILURES = ("error", "ABORT", "network_error", "insufficient_system_resource")
MEANINGS = {"refusal": "content_filter", "safety": "content_filter", "max_tokens": "length"}
"""Words of vendors for ends that are not a stop."""
LIMIT_REACHED = ("length", "max_tokens", "MAX_TOKENS", "max_output_tokens")
"""What protocols call the end at the token limit."""
_DATA = b"data:"


@check("side-fields", *PACE, "text", "truncation", since="0.2")
async def side_fields(harness: Harness) -> None:
    """A field that an answer does not need costs it nothing: with a value of an odd type in it, or beside one that
    nobody knows, text, reasoning and end are the same."""
    looked = 0
    for transcript in _transcripts(harness):
        records = _records(transcript.body)
        expected = await _play(harness, transcript, records)
        if not expected.relay.succeeded or not _fields(records):
            continue
        for path, kind in sorted(_fields(records), key=str):
            name = f"{transcript.name}: {'.'.join(path)}"
            if not _same(await _play(harness, transcript, _changed(records, path, kind, _remove)), expected):
                continue  # the answer needs it
            looked += 1
            for odd in ODD:
                if type(odd) is not kind:
                    answer = await _play(harness, transcript, _changed(records, path, kind, _put(odd)))
                    if not _same(answer, expected):
                        raise Broken(
                            f"{name} is not needed, but with {encoded(odd)} in it the answer is"
                            f" {encoded(answer.text)}, and {answer.end}"
                        )
        looked += 1
        unknown = await _play(harness, transcript, _with_unknown(records))
        if not _same(unknown, expected):
            raise Broken(f"{transcript.name}: beside fields that nobody knows: {encoded(unknown.text)}, {unknown.end}")
    if not looked:
        raise Inapplicable("its records are not lines of JSON objects")


@check("failing-finish", *PACE, "text", "finish", since="0.2")
async def failing_finish(harness: Harness) -> None:
    """A word of failure in the place of the finish reason (`error`, `abort`, in any case) is an error, never an end
    that looks good; the text before it stays.

    Words of other ends become them: `refusal` and `safety` are `content_filter`, `max_tokens` is `length`. Pass on what
    the server says: the core knows the words of all vendors.
    """
    transcript = Transcript(name="a whole answer", body=harness.conformance.whole(["One", " two"]))
    records = _records(transcript.body)
    places = await finish_places(harness, transcript)
    if not places:
        raise Inapplicable("no field of its records was found that says why an answer ends")
    for path in places:
        for word in FAILURES:
            answer = await _play(harness, transcript, _changed(records, path, str, _put(word)))
            if answer.error is None:
                raise Broken(f"with {word!r} in {'.'.join(path)} the answer ended with {answer.end}")
            if answer.said != "One two":
                raise Broken(f"with {word!r} in {'.'.join(path)} the text was {answer.said!r}")
        for word, means in MEANINGS.items():
            answer = await _play(harness, transcript, _changed(records, path, str, _put(word)))
            if answer.relay.succeeded and answer.relay.finish_reason != means:
                raise Broken(f"with {word!r} in {'.'.join(path)} the answer ended with {answer.end}, not {means}")


async def finish_places(harness: Harness, transcript: Transcript) -> list[Path]:
    """The fields in which another word is another end of the answer."""
    records = _records(transcript.body)
    places = []
    for path, kind in sorted(_fields(records), key=str):
        if kind is str and await _says_why(harness, transcript, records, path):
            places.append(path)
    return places


async def _says_why(harness: Harness, transcript: Transcript, records: Records, path: Path) -> bool:
    """Whether a word for the token limit in this field makes the answer end at that limit."""
    for word in LIMIT_REACHED:
        answer = await _play(harness, transcript, _changed(records, path, str, _put(word)))
        if answer.relay.succeeded and answer.relay.finish_reason == "length":
            return True
    return False


def records_of(body: bytes) -> bool:
    """Whether the body has lines of JSON objects."""
    return bool(_fields(_records(body)))


def framed(harness: Harness, said: bytes) -> bytes:
    """A record of these bytes, which need not be JSON, as a description's own `frame` may expect."""
    dialect = harness.conformance.dialect
    assert dialect is not None
    try:
        return dialect.frame(said)
    except Exception:
        record = harness.text_record()
        for line in record.split(b"\n"):
            if _record(line) is not None:
                return record.replace(line.removeprefix(_DATA).strip(), said)
        raise Inapplicable("the kit cannot put other bytes into a record") from None


def without(record: bytes, path: Path) -> bytes:
    """The record without its field of this place; itself where it has none."""
    records = _records(record)
    if (path, str) not in _fields(records):
        return record
    return _body(_changed(records, path, str, _remove))


@check("coded", *PACE, since="0.2")
async def coded(harness: Harness) -> None:
    """An answer in a coding that was not asked for is decoded, or refused with `bad_response` and the coding's name."""
    body = harness.conformance.whole(["One", " two"])
    expected = await harness.play(body)
    codings: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "x-aura-unknown": lambda plain: plain[::-1],
    }
    for coding, encode in codings.items():
        answer = await harness.ask(harness.reply(encode(body), headers={"content-encoding": coding}))
        if (answer.text, answer.end) == (expected.text, expected.end):
            continue
        if answer.said or answer.error is None or answer.error.code != "bad_response":
            raise Broken(f"in {coding}: {answer.end} after the text {answer.said!r}")
        if coding not in answer.error.message:
            raise Broken(f"in {coding}: it is not named: {answer.error.message!r}")


def with_texts(failure: Failure, text: str) -> Iterator[Failure]:
    """The failure with this text in place of each text of its last record, one after the other; and behind each."""
    records = _records(failure.body)
    last = next((index for index, record in reversed(list(enumerate(records))) if isinstance(record, dict)), None)
    if last is None:
        return
    for path, kind in sorted(_fields([records[last]]), key=str):
        if kind is str:
            for change in (_put(text), _append(f" {text}")):
                changed = [*records[:last], *_changed([records[last]], path, str, change), *records[last + 1 :]]
                yield msgspec.structs.replace(failure, body=_body(changed))


def _append(text: str) -> Callable[[dict[Any, Any], Any], None]:
    return lambda holder, key: holder.__setitem__(key, holder[key] + text)


def _transcripts(harness: Harness) -> Iterator[Transcript]:
    yield Transcript(name="a whole answer", body=harness.conformance.whole(["One", " two"]))
    yield from harness.conformance.transcripts


async def _play(harness: Harness, transcript: Transcript, records: Records) -> PlayedAnswer:
    return await harness.replay(msgspec.structs.replace(transcript, body=_body(records)))


def _same(answer: PlayedAnswer, expected: PlayedAnswer) -> bool:
    return (answer.text, answer.reasoning, answer.end) == (expected.text, expected.reasoning, expected.end)


def _records(body: bytes) -> Records:
    return [_record(line) or line for line in body.split(b"\n")]


def _record(line: bytes) -> dict[Any, Any] | None:
    try:
        record = msgspec.json.decode(line.removeprefix(_DATA))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    # Whether it is the data of an event is kept in the record, under a key that no JSON has.
    return {_DATA: line.startswith(_DATA), **record} if isinstance(record, dict) else None


def _body(records: Records) -> bytes:
    return b"\n".join(line if isinstance(line, bytes) else _line(dict(line)) for line in records)


def _line(record: dict[Any, Any]) -> bytes:
    prefix = _DATA + b" " if record.pop(_DATA) else b""
    return prefix + msgspec.json.encode(record)


def _fields(records: Records) -> set[tuple[Path, type]]:
    """Every field of every record, by where it stands and the type of its value."""
    return {(path, type(holder[key])) for record in records for holder, key, path in _walk(record, ())}


def _walk(value: Any, path: Path) -> Iterator[tuple[dict[Any, Any], Any, Path]]:
    if isinstance(value, dict):
        for key in [key for key in value if key != _DATA]:
            yield value, key, (*path, key)
            if key in value:
                yield from _walk(value[key], (*path, key))
    elif isinstance(value, list):
        for each in value:
            yield from _walk(each, (*path, "*"))


def _changed(records: Records, path: Path, kind: type, change: Callable[[dict[Any, Any], Any], None]) -> Records:
    """The records with a change at each field of this place and type."""
    changed = deepcopy(records)
    for record in changed:
        for holder, key, place in _walk(record, ()):
            if place == path and type(holder[key]) is kind:
                change(holder, key)
    return changed


def _remove(holder: dict[Any, Any], key: Any) -> None:
    del holder[key]


def _put(value: Any) -> Callable[[dict[Any, Any], Any], None]:
    return lambda holder, key: holder.__setitem__(key, value)


def _with_unknown(records: Records) -> Records:
    changed = deepcopy(records)
    for record in changed:
        holders = {id(holder): holder for holder, _, _ in _walk(record, ())}
        for holder in holders.values():
            holder["x_aura_unknown"] = [{"odd": 7}]
    return changed
