"""Read a client's JSON body so that whatever it holds gets a clear answer, and never a 500."""

import asyncio
import re
from collections.abc import Callable
from typing import Any, ClassVar

import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.exceptions import HTTPException

from aura_core.config.decode import explain
from aura_core.limits import BODY_PIECE, MESSAGE_LIMIT
from aura_core.problems import Problem
from aura_core.telemetry import redact

# The escapes of half a character, which JSON.stringify writes of a text cut inside an emoji.
_LONE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
_PAIR = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_MISSING = "Object missing required field `"
_LONGEST = 12  # bytes of the escapes of one character


class JsonRequest(Request[None, None, State]):
    """A request whose body is JSON of one type: 415, 413, 400, in this order.

    Litestar itself ignores the Content-Type, so that any web page could post without a preflight, and answers 500 to
    bad UTF-8 and to deep nesting.
    """

    decode: ClassVar[Callable[[bytes], Any]]

    async def body(self) -> bytes:
        """The raw body, if it is declared to be JSON and is not too large. Raises Problem."""
        declared = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if declared != "application/json":
            raise Problem("unsupported_media_type", "Send the header 'Content-Type: application/json'.")
        try:
            body = await super().body()
        except HTTPException as exc:
            if exc.status_code == 500:  # Litestar's word for a client that left in the middle of its body
                raise Problem("invalid_request", "The body did not come whole.") from None
            if exc.status_code != 413:
                raise
            limit = self.route_handler.resolve_request_max_body_size()
            raise Problem("payload_too_large", f"The body is larger than {limit} bytes (server.max_body).") from None
        if not body:
            raise Problem("invalid_request", "The body is empty; send a JSON object.")
        return body

    async def json(self) -> Any:
        """The decoded body. Raises Problem that names the field."""
        body = await self.body()
        try:
            try:
                return self.decode(body)
            except msgspec.ValidationError:
                raise
            except msgspec.DecodeError:
                whole = await _without_halves(body)
                if whole == body:
                    raise
                return self.decode(whole)
        except msgspec.ValidationError as exc:
            text = explain(_short(exc))[1].replace("a table", "an object")  # JSON's word; a person's files are TOML
            raise Problem("invalid_request", redact.message(text, []), field=_field(exc)) from None
        except msgspec.DecodeError as exc:
            raise Problem("invalid_request", f"The body is not valid JSON: {redact.message(str(exc), [])}.") from None
        except UnicodeDecodeError:
            raise Problem("invalid_request", "The body is not valid UTF-8.") from None
        except RecursionError:
            raise Problem("invalid_request", "The body is nested too deeply.") from None


def json_request(body: Any) -> type[JsonRequest]:
    """The class of requests whose body is of this type."""
    return type("JsonRequest", (JsonRequest,), {"decode": staticmethod(msgspec.json.Decoder(body).decode)})


async def _without_halves(text: bytes) -> bytes:
    """A JSON text with U+FFFD for each escaped half of a character. Others get their turn while it is looked at."""
    if b"\0" in text:
        return text  # which is no JSON
    masked = text.replace(rb"\\", b"\0\0")  # so that each backslash that is left begins an escape
    pieces, start = [], 0
    while start < len(masked):
        end = _end_of_piece(masked, start + BODY_PIECE)
        pieces.append(_LONE.sub(rb"\\ufffd", masked[start:end]))
        start = end
        await asyncio.sleep(0)
    return b"".join(pieces).replace(b"\0\0", rb"\\")


def _end_of_piece(masked: bytes, end: int) -> int:
    """Where to cut near `end`, so that it is inside no character's escapes."""
    if end >= len(masked):
        return len(masked)
    last = masked.rfind(b"\\", end - _LONGEST, end)
    if last < 0:
        return end
    return last - _LONGEST // 2 if _PAIR.match(masked, last - _LONGEST // 2) else last


def _short(exc: msgspec.ValidationError) -> msgspec.ValidationError:
    """The same without the middle of what a client made long: the name of a key may be all of a body."""
    text = str(exc)
    if len(text) <= 2 * MESSAGE_LIMIT:
        return exc
    return msgspec.ValidationError(f"{text[:MESSAGE_LIMIT]}…{text[-MESSAGE_LIMIT:]}")


def _field(exc: msgspec.ValidationError) -> str | None:
    """The path of what is wrong: `messages[0].content`; None where the body as a whole is, or the path is too long."""
    said, _, path = str(exc).rpartition(" - at `$")
    path = path.removesuffix("`").removeprefix(".") if said else ""
    if (said or str(exc)).startswith(_MISSING):
        missing = (said or str(exc)).removeprefix(_MISSING).removesuffix("`")
        path = f"{path}.{missing}" if path else missing
    return path if 0 < len(path) <= MESSAGE_LIMIT and path.isprintable() else None
