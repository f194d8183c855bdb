"""The two framings that most providers use, ready-made: how records become bytes, and how else they may be spelt."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

_KNOWN: dict[str, tuple[Callable[[bytes], list[bytes]], Sequence[bytes], Mapping[str, bytes]]] = {
    "text/event-stream": (
        lambda body: [part for part in body.replace(b"\n\n", b"\n\n\0").split(b"\0") if part],
        (
            b'event: x_aura_unknown\ndata: {"type": "x_aura_unknown"}\n\n',
            b'event: ping\ndata: {"type": "ping"}\n\n',
        ),
        {"an event of many lines": b"data: " + b"x" * 1018 + b"\n"},
    ),
    "application/x-ndjson": (
        lambda body: body.splitlines(keepends=True),
        (b'{"x_aura_unknown": {"type": "x_aura_unknown"}}\n',),
        {},
    ),
}
"""How records are cut apart, which are unknown, and what makes an endless one, by the content type."""


class Dialect(msgspec.Struct, frozen=True):
    """A protocol's framing.

    `frame` puts one record on the wire. `spellings` are other bytes that mean the same: a reader must take all of them.
    `split` cuts a body into its records, each with its framing; with it the kit puts records between them, and takes
    some away: `unknown` are records that a reader must skip. `endless` are bytes that make one record when they come
    again and again, by a name for reports. Where the content type is that of server-sent events or of NDJSON, these
    three are known.
    """

    content_type: str
    frame: Callable[[bytes], bytes]
    spellings: Mapping[str, Callable[[bytes], bytes]] = {}
    split: Callable[[bytes], list[bytes]] | None = None
    unknown: Sequence[bytes] = ()
    endless: Mapping[str, bytes] = {}

    def __post_init__(self) -> None:
        known = _KNOWN.get(self.content_type.partition(";")[0].strip().lower())
        if known is not None and self.split is None:
            msgspec.structs.force_setattr(self, "split", known[0])
            msgspec.structs.force_setattr(self, "unknown", self.unknown or known[1])
            msgspec.structs.force_setattr(self, "endless", self.endless or known[2])

    def body(self, *records: Any) -> bytes:
        """The bytes of these records: bytes as they are, anything else as JSON, in UTF-8."""
        return b"".join(
            self.frame(record if isinstance(record, bytes) else msgspec.json.encode(record)) for record in records
        )


def _in_several_lines(body: bytes) -> bytes:
    """Each JSON object in three `data:` lines, cut where JSON allows white space."""
    lines = []
    for line in body.split(b"\n"):
        data = line.removeprefix(b"data:").strip()
        cut = line.startswith(b"data:") and data.startswith(b"{") and data.endswith(b"}")
        lines += [b"data: {", b"data: " + data[1:-1], b"data: }"] if cut else [line]
    return b"\n".join(lines)


SPELLINGS_OF_0_2 = {
    "lines that end in CR",
    "a byte order mark at the beginning",
    "the data of each event in several lines",
}
"""Spellings that plugins for 0.1 need not read."""

SSE = Dialect(
    "text/event-stream",
    lambda record: b"data: " + record + b"\n\n",
    {
        "lines that end in CRLF": lambda body: body.replace(b"\n", b"\r\n"),
        "lines that end in CR": lambda body: body.replace(b"\n", b"\r"),
        "a byte order mark at the beginning": lambda body: b"\xef\xbb\xbf" + body,
        "the data of each event in several lines": _in_several_lines,
        "comments between the events": lambda body: body.replace(b"\n\n", b"\n\n: keep-alive\n\n"),
        "id and retry fields": lambda body: re.sub(rb"(?m)^data:", b"id: 7\nretry: 3000\ndata:", body),
        "no space after the colon": lambda body: re.sub(rb"(?m)^data: ", b"data:", body),
    },
)
"""Server-sent events (WHATWG HTML, section 9.2.6): each record is the data of one event."""

NDJSON = Dialect(
    "application/x-ndjson",
    lambda record: record + b"\n",
    {
        "lines that end in CRLF": lambda body: body.replace(b"\n", b"\r\n"),
        "blank lines": lambda body: body.replace(b"\n", b"\n\n"),
        "no line end after the last line": lambda body: body.rstrip(b"\n"),
    },
)
"""Newline-delimited JSON: each record is a line."""
