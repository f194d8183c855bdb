"""Read newline-delimited JSON from bytes that come in pieces."""

from aura_core.limits import RECORD_LIMIT
from aura_core.streams.sse import RecordTooLong


class NdjsonReader:
    """Splits a body into lines: `feed` it each piece as it comes.

    It splits at LF only: httpx's aiter_lines also splits at U+2028, which is legal inside a JSON string.
    """

    def __init__(self, server: str = "The server", limit: int = RECORD_LIMIT) -> None:
        """`server` names the sender in error messages; `limit` is the longest line, in bytes."""
        self._server = server
        self._limit = limit
        self._parts: list[bytes] = []  # of a line that is not whole yet
        self._size = 0

    def feed(self, piece: bytes) -> list[bytes]:
        """The lines that this piece completes, without blank ones. Raises RecordTooLong."""
        if not self._size and len(piece) <= self._limit and piece.endswith(b"\n"):  # whole lines, as nearly always
            return [line for line in piece.split(b"\n") if line.strip()]
        first, *lines = piece.split(b"\n")
        self._parts.append(first)
        self._size += len(first)
        if self._size > self._limit or (len(piece) > self._limit and max(map(len, lines), default=0) > self._limit):
            raise RecordTooLong(self._server, self._limit)
        if not lines:
            return lines
        lines.insert(0, b"".join(self._parts))
        last = lines.pop()
        self._parts, self._size = [last], len(last)
        return [line for line in lines if line.strip()]

    def rest(self) -> bytes:
        """What came after the last LF, whole or not; b"" for nothing."""
        return b"".join(self._parts).strip()
