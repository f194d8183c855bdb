"""Split a stream of bytes into the data of server-sent events, as the WHATWG HTML standard (section 9.2.6) says.

Bytes, not text: httpx's line splitting also breaks at U+2028, which is legal inside a JSON string, and a chunk may end
inside a character.
"""

from typing import Final

import msgspec

LIMIT = 8 * 1024 * 1024
_ENDS: Final = b"\r\n"
_FOREIGN: Final = (b"{", b"[", b"<")
_STRAY: Final = 1024


class NotEvents(Exception):
    """The bytes are no server-sent events but the beginning of a JSON text or a page, which is `args[0]`."""


class TooLong(Exception):
    """A line, or one event's data, is longer than 8 MiB."""


class Splitter:
    """Feed it chunks as they come; it gives the data of the events that are whole."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []  # of the line that is not whole yet
        self._size = 0
        self._data: bytes | None = None  # of the event that is not whole yet: its first line
        self._more = bytearray()  # its other lines, which are rare
        self._after_cr = False  # a LF that comes next belongs to the line end before it
        self._first = True
        self._error = False  # an event of the type `error` has begun
        self.stray = b""
        """The beginning of what is no field of an event: words of a server that does not speak this protocol."""
        self._foreign: bytes | None = None  # what is no event, while the events before it are given out

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of all events that end in this chunk. Raises NotEvents and TooLong."""
        if self._foreign is not None:
            raise NotEvents(self._foreign + chunk)
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk[0] == 10:
                chunk = chunk[1:]
        if not chunk:
            return []
        lines = chunk.splitlines()  # of bytes: at LF, CRLF and CR only
        if chunk[-1] in _ENDS:
            self._after_cr = chunk[-1] == 13
            rest = b""
        else:
            rest = lines.pop()
        if lines and self._parts:
            lines[0] = self._join(lines[0])
        if rest:
            self._parts.append(rest)
            self._size += len(rest)
            if self._size > LIMIT:
                raise TooLong
        return self._events(lines) if lines else []

    def rest(self) -> bytes:
        """What the stream's end left over: an event's data that no blank line followed, whole or not.

        Raises NotEvents.
        """
        if self._foreign is not None:
            raise NotEvents(self._foreign)
        if self._parts:
            self._line(self._join(b""))
        data, self._data = self._whole(self._data or b""), None
        return data

    def _whole(self, first: bytes) -> bytes:
        """The data of an event that began with this line."""
        if not self._more:
            return first
        data = first + self._more
        self._more.clear()
        return data

    def _join(self, end: bytes) -> bytes:
        self._parts.append(end)
        line = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        return line

    def _events(self, lines: list[bytes]) -> list[bytes]:
        found: list[bytes] = []
        left = iter(lines)
        for line in left:
            if line:
                try:
                    self._line(line)
                except NotEvents:
                    foreign = b"\n".join([line, *left, *self._parts])
                    if not found:
                        raise NotEvents(foreign) from None
                    self._foreign = foreign
                    break
            elif self._data is not None:
                if self._more:
                    self._data = self._whole(self._data)
                if self._data:
                    found.append(self._data)
                self._data = None
        return found

    def _line(self, line: bytes) -> None:
        if self._first:
            self._first = False
            line = line.removeprefix(b"\xef\xbb\xbf")
        if line.startswith(b"data:"):
            value = line[6:] if line.startswith(b" ", 5) else line[5:]
            if self._error:
                self._error = False
                value = _as_error(value)
        elif line.startswith(b"error:") and line[6:].lstrip().startswith(b"{"):
            value = b'{"error":%b}' % line[6:]  # no field of the standard's: many builds of llama.cpp fail like that
        elif line.lstrip().startswith(_FOREIGN):
            raise NotEvents(line)
        else:
            self._aside(line)
            return
        if self._data is None:
            self._data = value
            if len(value) > LIMIT:
                raise TooLong
        else:
            self._more += b"\n" + value  # in place: a copy for each line would cost their square
            if len(self._data) + len(self._more) > LIMIT:
                raise TooLong

    def _aside(self, line: bytes) -> None:
        """Comments, `id` and `retry` carry nothing here; `event` tells where an error begins."""
        name, _, value = line.partition(b":")
        if name == b"event":
            self._error = value.strip() == b"error"
        elif name not in (b"", b"id", b"retry", b"data") and len(self.stray) < _STRAY:
            self.stray += line[:_STRAY] + b"\n"


def _as_error(data: bytes) -> bytes:
    """The data of an event of the type `error`: words alone, as some gateways send them, become an error in JSON."""
    if data.lstrip()[:1] in (b"{", b"[", b"") or data.strip() == b"[DONE]":
        return data
    return b'{"error":%b}' % msgspec.json.encode(data.decode(errors="replace"))
