"""The events of Aura's own stream, decoded, for tests."""

import json
from typing import Any, NamedTuple

from aura_core.streams import SseReader


class SseEvent(NamedTuple):
    """One event: its name and its decoded data."""

    name: str
    data: dict[str, Any]


def events(body: bytes | str) -> list[SseEvent]:
    """Every whole event of a body that has a name; comments are left out."""
    data = body.encode() if isinstance(body, str) else body
    return [SseEvent(event.name, json.loads(event.data)) for event in SseReader("Aura").feed(data) if event.name]
