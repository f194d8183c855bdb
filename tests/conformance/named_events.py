"""The reader of named events of docs/plugins.md."""

from collections.abc import AsyncIterator

import msgspec

from aura_core import Token
from aura_core.streams import Endpoint, Read, SseReader, failure, read_reason


class Delta(msgspec.Struct):
    """The data of an event `delta`."""

    text: str


async def tokens(read: Read, server: Endpoint) -> AsyncIterator[Token]:
    """The tokens of a dialect with named events."""
    reader = SseReader(server.name)
    while piece := await read():
        for event in reader.feed(piece):
            if event.name == "delta":
                yield Token(msgspec.json.decode(event.data, type=Delta).text)
            elif event.name == "end":
                yield Token(finish_reason="stop")
            elif event.name == "error":
                raise failure(server, read_reason(event.data), "")
