"""The two framings that most providers use, ready-made: how records become bytes, and how else they may be spelt."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec


class Dialect(msgspec.Struct, frozen=True):
    """A protocol's framing.

    `frame` puts one record on the wire. `spellings` are other bytes that mean the same: a reader must take all of them.
    `split` cuts a body into its records, each with its framing; with it the kit puts records between them, and takes
    some away: `unknown` are records that a reader must skip. `endless` are bytes that make one record when they come
    again and again, by a name for reports.
    """

    content_type: str
    frame: Callable[[bytes], bytes]
    spellings: Mapping[str, Callable[[bytes], bytes]] = {}
    split: Callable[[bytes], list[bytes]] | None = None
    unknown: Sequence[bytes] = ()
    endless: Mapping[str, bytes] = {}

    def body(self, *records: Any) -> bytes:
        """The bytes of these records: bytes as they are, anything else as JSON, in UTF-8."""
        return b"".join(
            self.frame(record if isinstance(record, bytes) else msgspec.json.encode(record)) for record in records
        )


def _in_several_lines(body: bytes) -> bytes:
    """Each JSON object in three `data:` lines, cut where JSON allows white space."""
    return re.sub(rb"(?m)^data: ?\{(.*)\}$", rb"data: {\ndata: \1\ndata: }", body)


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
    split=lambda body: re.split(rb"(?<=\n\n)(?=.)", body, flags=re.DOTALL),
    unknown=(
        b'event: x_aura_unknown\ndata: {"type": "x_aura_unknown"}\n\n',
        b'event: ping\ndata: {"type": "ping"}\n\n',
    ),
    endless={"an event of many lines": b"data: " + b"x" * 1018 + b"\n"},
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
    split=lambda body: body.splitlines(keepends=True),
    unknown=(b'{"x_aura_unknown": {"type": "x_aura_unknown"}}\n',),
)
"""Newline-delimited JSON: each record is a line."""
