"""Read the body of a response of aiohttp, also below httpx, piece by piece."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from aura_core.streams.coding import Read, decoding
from aura_core.streams.failure import upstream_id
from aura_core.streams.prepared import Answer


class AiohttpBody:
    """The body of a response; nothing else of the response is kept while it is read.

    Below httpx it is read from aiohttp directly: httpx passes every piece through more generators, a tenth of a token's
    cost.
    `read` returns the bytes that have arrived, b"" at the end; it raises aiohttp.ClientError if the connection breaks,
    after all bytes that arrived before, and ProviderError if the body is coded and cannot be decoded. `aclose` closes
    it. `upstream_id` is the server's id of the request.
    """

    def __init__(self, response: Any, server: str) -> None:
        """`response` is one of aiohttp, of PreparedPost, or of httpx or httpx2 over httpx-aiohttp; `server` names its
        sender in error messages."""
        if (stream := getattr(response, "stream", None)) is not None:
            response = stream._aiohttp_response
        self.aclose: Callable[[], Awaitable[None]]
        if isinstance(response, Answer):
            self.aclose = response.aclose
        else:
            self.aclose = partial(response.__aexit__, None, None, None)
        # Not a method: a reference cycle would keep the bytes read ahead until the garbage collector runs.
        read = _reader(response.content)
        headers = response.headers  # in C: httpx compares all headers for each look
        coded = "content-encoding" in headers
        self.read = decoding(read, ", ".join(headers.getall("content-encoding")), server) if coded else read
        self.upstream_id = upstream_id(headers)


def _reader(content: aiohttp.StreamReader) -> Read:
    async def read() -> bytes:
        try:
            return await content.readany()
        except (aiohttp.ClientError, HttpProcessingError) as exc:  # the latter is raised by aiohttp's parser in Python
            # Once the connection is lost readany only raises, even if bytes were read ahead.
            if rest := content._read_nowait(-1):
                return rest
            raise aiohttp.ClientPayloadError(type(exc).__name__) from exc

    return read
