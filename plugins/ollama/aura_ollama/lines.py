"""Split NDJSON that comes in pieces into its lines."""


class Lines:
    """Splits at LF only: httpx's aiter_lines also splits at U+2028, which Ollama may send inside a string."""

    def __init__(self, limit: int) -> None:
        """No line may be longer than `limit` bytes."""
        self._limit = limit
        self._parts: list[bytes] = []  # of a line that is not whole yet
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that this piece completes, blank ones left out. Raises OverflowError for an endless one."""
        first, *lines = chunk.split(b"\n")
        self._parts.append(first)
        self._size += len(first)
        if self._size > self._limit:
            raise OverflowError
        if not lines:
            return lines
        lines.insert(0, b"".join(self._parts))
        last = lines.pop()
        self._parts, self._size = [last], len(last)
        return [line for line in lines if line.strip()]

    @property
    def rest(self) -> bytes:
        """What came after the last LF."""
        return b"".join(self._parts).strip()
