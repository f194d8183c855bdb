"""The two framings that most providers use, ready-made: how records become bytes, and how else they may be spelt."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec


class Dialect(msgspec.Struct, frozen=True):
    """A protocol's framing.

    `frame` puts one record on the wire. `spellings` are other bytes that mean the same: a reader must take all of them.
    """

    content_type: str
    frame: Callable[[bytes], bytes]
    spellings: Mapping[str, Callable[[bytes], bytes]] = {}

    def body(self, *records: Any) -> bytes:
        """The bytes of these records: bytes as they are, anything else as JSON, in UTF-8."""
        return b"".join(
            self.frame(record if isinstance(record, bytes) else msgspec.json.encode(record)) for record in records
        )


SSE = Dialect(
    "text/event-stream",
    lambda record: b"data: " + record + b"\n\n",
    {
        "lines that end in CRLF": lambda body: body.replace(b"\n", b"\r\n"),
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
