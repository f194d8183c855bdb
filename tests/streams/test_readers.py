"""The readers of server-sent events and NDJSON give the same result however a body is split, with bounded memory."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_core import ProviderError
from aura_core.streams import NdjsonReader, NotEvents, RecordTooLong, ServerSentEvent, SseReader

EVENTS = {
    "one event": (b'data: {"a": 1}\n\n', [(b'{"a": 1}', "")]),
    "no space after the colon": (b"data:x\n\n", [(b"x", "")]),
    "only the first space is not data": (b"data:  x \n\n", [(b" x ", "")]),
    "CRLF": (b"data: x\r\n\r\ndata: y\r\n\r\n", [(b"x", ""), (b"y", "")]),
    "CR": (b"data: x\r\rdata: y\r\r", [(b"x", ""), (b"y", "")]),
    "several lines of data": (b"data: x\ndata\ndata: y\n\n", [(b"x\ny", "")]),
    "a name": (b"event: delta\ndata: x\n\n", [(b"x", "delta")]),
    "a name after the data": (b"data: x\nevent: delta\n\n", [(b"x", "delta")]),
    "a name holds for one event": (b"event: delta\ndata: x\n\ndata: y\n\n", [(b"x", "delta"), (b"y", "")]),
    "names that come again": (
        b"event: a\ndata: 1\n\nevent: a\ndata: 2\n\ndata: 3\n\nevent: b\ndata: 4\n\nevent: a\n\nevent:a\ndata: 5\n\n"
        b"event: a\nevent: b\nevent: a\ndata: 6\n\n",
        [(b"1", "a"), (b"2", "a"), (b"3", ""), (b"4", "b"), (b"5", "a"), (b"6", "a")],
    ),
    "a name without data": (b"event: ping\n\ndata: y\n\n", [(b"y", "")]),
    "comments, id and retry": (b": hi\nid: 7\nretry: 3\ndata: x\n: ho\n\n: hu\n\n", [(b"x", "")]),
    "blank lines": (b"\n\n\ndata: x\n\n\n\n", [(b"x", "")]),
    "empty data": (b"data:\n\ndata: x\n\n", [(b"x", "")]),
    "a byte order mark": (b"\xef\xbb\xbfdata: x\n\n", [(b"x", "")]),
    "U+2028, U+0085 and a form feed are data": ("data: a\u2028b\u0085c\x0cd\n\n".encode(), None),
    "an error field": (b'error: {"code": 500}\n\n', [(b'{"code": 500}', "error")]),
}


def _pieces(body: bytes, cuts: list[int]) -> list[bytes]:
    ends = sorted({cut % (len(body) + 1) for cut in cuts} | {len(body)})
    return [body[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _read(body: bytes, cuts: list[int]) -> list[ServerSentEvent]:
    reader = SseReader()
    return [event for piece in _pieces(body, cuts) for event in reader.feed(piece)]


@pytest.mark.parametrize("name", EVENTS)
def test_events_are_what_the_standard_says(name: str) -> None:
    body, expected = EVENTS[name]
    if expected is None:
        expected = [(body.removeprefix(b"data: ").removesuffix(b"\n\n"), "")]
    assert [(event.data, event.name) for event in _read(body, [])] == expected
    every = list(range(len(body)))
    assert [(event.data, event.name) for event in _read(body, every)] == expected, "cut at every byte"


@given(
    st.lists(st.sampled_from([body for body, _ in EVENTS.values()]), min_size=1, max_size=6),
    st.lists(st.integers(0, 400), max_size=20),
)
def test_where_a_stream_is_cut_changes_nothing(bodies: list[bytes], cuts: list[int]) -> None:
    body = b"".join(bodies)
    assert _read(body, cuts) == _read(body, [])


def test_the_end_may_leave_an_event_that_no_blank_line_followed() -> None:
    reader = SseReader()
    assert reader.feed(b"event: last\ndata: x\ndata: y") == []
    assert reader.rest() == ServerSentEvent(b"x\ny", "last")
    assert reader.rest() is None


@pytest.mark.parametrize("body", [b'{"error": "x"}', b"<html>\n<b>x</b>\n</html>\n", b"  [1]\n"])
def test_a_body_of_another_kind_is_given_back_with_a_bad_response(body: bytes) -> None:
    for cuts in ([], list(range(len(body)))):
        reader, came = SseReader("Acme"), bytearray()
        with pytest.raises(NotEvents, match="Acme did not send server-sent events") as seen:
            _feed(reader, _pieces(body, cuts), came)
        assert seen.value.code == "bad_response"
        assert isinstance(seen.value, ProviderError)
        assert seen.value.beginning.split() == bytes(came).split()


def _feed(reader: SseReader | NdjsonReader, pieces: list[bytes], came: bytearray) -> None:
    """Feed pieces that hold no event; `came` are those that were fed."""
    for piece in pieces:
        came += piece
        assert reader.feed(piece) == []
    reader.rest()


def test_events_before_a_foreign_text_are_given_first() -> None:
    reader = SseReader()
    assert [event.data for event in reader.feed(b"data: x\n\n<html>\n")] == [b"x"]
    with pytest.raises(NotEvents) as seen:
        reader.feed(b"")
    assert seen.value.beginning == b"<html>"
    reader = SseReader()
    assert [event.data for event in reader.feed(b'data: x\n\n{"error": 1}\n')] == [b"x"]
    with pytest.raises(NotEvents):
        reader.rest()


def test_words_beside_the_events_are_kept_up_to_a_limit() -> None:
    reader = SseReader()
    reader.feed(b"please sign in\ndata: x\n\n" + b"y" * 5000 + b"\n")
    assert reader.stray == b"please sign in\n" + b"y" * 1024 + b"\n"


@pytest.mark.parametrize(
    "pieces",
    [
        [b"data: " + b"x" * 40] * 4,
        [b"data: " + b"x" * 20 + b"\n"] * 8,
        [b"data: " + b"x" * 200 + b"\n"],
        [b": " + b"x" * 40] * 4,
        [b"data: 1\n\ndata:" + b"x" * 200 + b"\n\n"],
    ],
    ids=["a line in pieces", "many lines", "a whole line", "a comment", "behind another"],
)
def test_an_event_that_does_not_end_is_given_up(pieces: list[bytes]) -> None:
    reader = SseReader("Acme", limit=100)
    with pytest.raises(RecordTooLong, match="Acme sent a line that is longer than") as seen:
        list(map(reader.feed, pieces))
    assert seen.value.code == "bad_response"


def test_the_limit_is_eight_mebibytes() -> None:
    reader = SseReader()
    assert len(reader.feed(b"data: " + b"x" * (8 * 2**20 - 100) + b"\n\n")) == 1
    with pytest.raises(RecordTooLong, match="8 MiB"):
        reader.feed(b"data: " + b"x" * (8 * 2**20 + 1) + b"\n\n")


def test_many_data_lines_are_one_event_and_no_work_that_grows_with_their_square() -> None:
    reader, lines, found = SseReader(), 1_000_000, list[bytes]()

    def feed() -> None:
        for _ in range(10):
            found.extend(event.data for event in reader.feed(b"data: x\n" * (lines // 10)))
        found.extend(event.data for event in reader.feed(b"data: y\n\ndata: 1\n\n"))

    thread = threading.Thread(target=feed, daemon=True)
    thread.start()
    thread.join(60)  # a second, or else an hour
    assert found == [b"x\n" * lines + b"y", b"1"]


LINES = b'{"a": 1}\n\n  \r\n{"b": "x\xe2\x80\xa8y"}\r\n{"c"'


@pytest.mark.parametrize("cuts", [[], list(range(len(LINES)))], ids=["whole", "byte by byte"])
def test_lines_end_at_lf_only_and_the_last_may_not_end(cuts: list[int]) -> None:
    reader = NdjsonReader()
    lines = [line for piece in _pieces(LINES, cuts) for line in reader.feed(piece)]
    assert [line.strip() for line in lines] == [b'{"a": 1}', b'{"b": "x\xe2\x80\xa8y"}']
    assert reader.rest() == b'{"c"'


@pytest.mark.parametrize(
    "pieces",
    [[b"x" * 40] * 4, [b"1\n" + b"x" * 200 + b"\n2\n"], [b"1\n" + b"x" * 200]],
    ids=["in pieces", "in the middle", "at the end"],
)
def test_a_line_that_does_not_end_is_given_up(pieces: list[bytes]) -> None:
    reader = NdjsonReader("Acme", limit=100)
    with pytest.raises(RecordTooLong, match="Acme sent a line"):
        list(map(reader.feed, pieces))
