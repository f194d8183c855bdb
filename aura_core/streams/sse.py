"""Read server-sent events from bytes that come in pieces, as the WHATWG HTML standard (section 9.2.6) defines them.

Bytes, not text: httpx's line splitting also breaks at U+2028, which is legal inside a JSON string, and a piece may end
inside a character.
"""

from typing import Final

import msgspec

from aura_core.errors import ProviderError
from aura_core.limits import RECORD_LIMIT, STRAY_LIMIT

_ENDS: Final = b"\r\n"
_FOREIGN: Final = (b"{", b"[", b"<")


class ServerSentEvent(msgspec.Struct, frozen=True, gc=False):
    """One event. `name` is what its `event:` line says, "" where it has none; `data` are its `data:` lines."""

    data: bytes
    name: str = ""


class RecordTooLong(ProviderError):
    """A line, or the data of one event, is longer than a reader's limit. It has the code `bad_response`."""

    def __init__(self, server: str, limit: int) -> None:
        super().__init__(f"{server} sent a line that is longer than {limit / 2**20:g} MiB.", "bad_response")


class NotEvents(ProviderError):
    """The body is not a stream of events but a JSON text or a page. It has the code `bad_response`.

    `beginning` is the body as far as it came.
    """

    def __init__(self, server: str, beginning: bytes) -> None:
        super().__init__(f"{server} did not send server-sent events; is its address right?", "bad_response")
        self.beginning = beginning


class SseReader:
    """Splits a body into events: `feed` it each piece as it comes.

    `stray` is the beginning of the lines that are not fields of an event, up to 1 KiB: perhaps words of a server that
    speaks another protocol. `comment` is the text of the last comment, up to 1 KiB. A line `error: {…}`, as builds of
    llama.cpp send it, is an event named `error`.
    """

    def __init__(self, server: str = "The server", limit: int = RECORD_LIMIT) -> None:
        """`server` names the sender in error messages; `limit` is the longest event, in bytes."""
        self.stray = b""
        self.comment = b""
        self._server = server
        self._limit = limit
        self._parts: list[bytes] = []  # of the line that is not whole yet
        self._size = 0
        self._name = ""
        self._naming = b""  # the last line that named an event, and the name: mostly the next one says the same
        self._named = ""
        self._data: bytes | None = None  # of the event that is not whole yet: its first line
        self._more = bytearray()  # its other lines, which are rare
        self._after_cr = False  # a LF that comes next belongs to the line end before it
        self._first = True
        self._foreign: bytes | None = None  # what is not an event, while the events before it are given out

    def feed(self, piece: bytes) -> list[ServerSentEvent]:
        """The events that end in this piece. Raises NotEvents and RecordTooLong.

        Where events stand before a text that is not events, they are returned first, and the next call raises, be it
        `feed(b"")`.
        """
        if self._foreign is not None:
            raise NotEvents(self._server, self._foreign + piece)
        if self._after_cr and piece:
            self._after_cr = False
            if piece[0] == 10:
                piece = piece[1:]
        if not piece:
            return []
        lines = piece.splitlines()  # of bytes: at LF, CRLF and CR only
        if piece[-1] in _ENDS:
            self._after_cr = piece[-1] == 13
            rest = b""
        else:
            rest = lines.pop()
        if lines and self._parts:
            lines[0] = self._join(lines[0])
        if rest:
            self._parts.append(rest)
            self._size += len(rest)
            if self._size > self._limit:
                raise self._too_long()
        return self._events(lines) if lines else []

    def rest(self) -> ServerSentEvent | None:
        """What the end of the body left over: an event that no blank line followed, whole or not. Raises NotEvents.

        The standard drops it, but there are servers that end without the blank line.
        """
        if self._foreign is not None:
            raise NotEvents(self._server, self._foreign)
        if self._parts:
            self._line(self._join(b""))
        return self._event() if self._data is not None else None

    def _events(self, lines: list[bytes]) -> list[ServerSentEvent]:
        found: list[ServerSentEvent] = []
        left = iter(lines)
        for line in left:
            if line:
                # The usual line, without a call: each token of most servers is one.
                if line.startswith(b"data: ") and self._data is None and not self._first and len(line) <= self._limit:
                    self._data = line[6:]
                    continue
                if line == self._naming:
                    self._name = self._named
                    continue
                try:
                    self._line(line)
                except NotEvents:
                    foreign = b"\n".join([line, *left, *self._parts])
                    if not found:
                        raise NotEvents(self._server, foreign) from None
                    self._foreign = foreign
                    break
            elif self._data is not None:
                event = self._event()
                if event.data:
                    found.append(event)
            else:
                self._name = ""
        return found

    def _event(self) -> ServerSentEvent:
        data, name = self._data or b"", self._name
        self._data, self._name = None, ""
        if self._more:
            data += self._more
            self._more.clear()
        return ServerSentEvent(data, name)

    def _join(self, end: bytes) -> bytes:
        self._parts.append(end)
        line = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        return line

    def _line(self, line: bytes) -> None:
        if self._first:
            self._first = False
            line = line.removeprefix(b"\xef\xbb\xbf")
        if line.startswith(b"data:"):
            self._add(line[6:] if line.startswith(b" ", 5) else line[5:])
        elif line.lstrip().startswith(_FOREIGN):
            raise NotEvents(self._server, line)
        else:
            self._other_field(line)

    def _add(self, data: bytes) -> None:
        """One more line of data."""
        if self._data is None:
            self._data = data
            if len(data) > self._limit:
                raise self._too_long()
        else:
            self._more += b"\n" + data  # in place: a copy for each line would cost their square
            if len(self._data) + len(self._more) > self._limit:
                raise self._too_long()

    def _other_field(self, line: bytes) -> None:
        """`id` and `retry` carry nothing here."""
        field, _, value = line.partition(b":")
        if not field:
            self.comment = value[:STRAY_LIMIT].strip()
        elif field == b"event":
            self._name = value.strip().decode(errors="replace")
            if len(line) <= STRAY_LIMIT:
                self._naming, self._named = line, self._name
        elif field == b"error" and value.lstrip().startswith(b"{"):
            self._name = "error"
            self._add(value.lstrip())
        elif field not in (b"id", b"retry", b"data") and len(self.stray) < STRAY_LIMIT:
            self.stray += line[:STRAY_LIMIT] + b"\n"

    def _too_long(self) -> RecordTooLong:
        return RecordTooLong(self._server, self._limit)
