"""Read a stream as the simplest client does: split at blank lines, look at two prefixes."""

import json
from typing import Any, NamedTuple


class SseEvent(NamedTuple):
    """One event: its name and its decoded data."""

    name: str
    data: dict[str, Any]


def events(body: bytes | str) -> list[SseEvent]:
    """Every event of a whole body; comments are left out."""
    text = body.decode() if isinstance(body, bytes) else body
    found = []
    for block in text.split("\n\n"):
        name, data = None, None
        for line in block.split("\n"):
            if line.startswith("event: "):
                name = line[len("event: ") :]
            elif line.startswith("data: "):
                data = line[len("data: ") :]
        if name is not None and data is not None:
            found.append(SseEvent(name, json.loads(data)))
    return found
