"""Read a whole body with a limit: an answer that is not a stream, or an error, which may be long, slow, or cut off."""

import asyncio

from aura_core.errors import ProviderError
from aura_core.limits import ERROR_BODY_LIMIT, ERROR_BODY_TIME, RECORD_LIMIT
from aura_core.streams.coding import Read


async def whole_body(read: Read, server: str = "The server", limit: int = RECORD_LIMIT) -> bytes:
    """All that `read` gives. Raises ProviderError `bad_response` where that is more than `limit` bytes, 8 MiB."""
    body = bytearray()
    while piece := await read():
        body += piece
        if len(body) > limit:
            raise ProviderError(f"{server} sent an answer that is longer than {limit / 2**20:g} MiB.", "bad_response")
    return bytes(body)


async def error_body(read: Read, lost: type[Exception] | tuple[type[Exception], ...] = ()) -> bytes:
    """The beginning of an error's body: what comes within 5 seconds, up to 64 KiB; less where the connection ends.

    `lost` are the exceptions by which the HTTP library says that the connection broke. Where `read` cannot decode the
    body, its reason stands in place of the words.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(ERROR_BODY_TIME):
            while len(body) <= ERROR_BODY_LIMIT and (piece := await read()):
                body += piece
    except ProviderError as exc:
        body += exc.message.encode()
    except TimeoutError:
        pass  # the status alone says enough
    except lost:
        pass
    return bytes(body)
