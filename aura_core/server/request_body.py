"""Read a client's JSON body so that whatever it holds gets a clear answer, and never a 500."""

import asyncio
import math
import re
import sys
from collections.abc import Callable
from typing import Any, ClassVar

import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.types import Receive, Scope

from aura_core.budget import FULL
from aura_core.config.decode import explain
from aura_core.door import Question
from aura_core.limits import BODY_PIECE, MESSAGE_LIMIT, TURN_SIZE
from aura_core.problems import Problem
from aura_core.server.budgeted import share_of
from aura_core.server.guard import seen_of
from aura_core.telemetry import redact

# The escapes of half a character, which JSON.stringify writes of a text cut inside an emoji.
_LONE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
_PAIR = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_JSON = b"application/json"
_MISSING = "Object missing required field `"
_LONGEST = 12  # bytes of the escapes of one character


class JsonRequest(Request[None, None, State]):
    """A request whose body is JSON of one type: 415, 413, 400, in this order.

    Litestar itself ignores the Content-Type, so that any web page could post without a preflight, answers 500 to bad
    UTF-8 and to deep nesting, and keeps the raw body until the answer ends.
    """

    decode: ClassVar[Callable[[bytes | bytearray], Any]]

    async def body(self) -> bytes:
        """One byte: Litestar asks whether there is a body before it asks for the JSON."""
        return b"{"

    async def json(self) -> Any:
        """The decoded body; the raw one is not kept. Raises Problem that names the field."""
        limit = self.route_handler.resolve_request_max_body_size() or 0
        return await decoded(await read(self.scope, self.receive, limit), type(self).decode)


def json_request(body: Any) -> type[JsonRequest]:
    """The class of requests whose body is of this type."""
    return type("JsonRequest", (JsonRequest,), {"decode": staticmethod(msgspec.json.Decoder(body).decode)})


async def read(scope: Scope, receive: Receive, limit: int) -> bytearray:
    """The raw body, if it is declared as JSON and has at most `limit` bytes (0: no limit). It counts in the request's
    share. Raises Problem."""
    seen = seen_of(scope)
    headers = {} if seen is None else seen.headers
    declared = headers.get(b"content-type", b"")
    if declared != _JSON and declared.partition(b";")[0].strip().lower() != _JSON:
        raise Problem("unsupported_media_type", "Send the header 'Content-Type: application/json'.")
    if b"content-encoding" in headers and headers[b"content-encoding"].strip().lower() not in (b"", b"identity"):
        raise Problem("unsupported_media_type", "Send the body uncompressed, without the header 'Content-Encoding'.")
    most = limit or math.inf
    share = share_of(scope)
    body, more, size = bytearray(), True, int(headers.get(b"content-length") or 0)
    while more and size <= most:
        event: Any = await receive()
        if event["type"] == "http.disconnect":
            raise Problem("invalid_request", "The body is incomplete.")
        body += event["body"]
        size, more = max(size, len(body)), event["more_body"]
        # Our own connection has already counted the bytes as they arrived.
        if len(body) > share.size and not share.grow(len(body) - share.size):
            raise Problem("too_many_streams", FULL, retry_after=1)
    if size > most:
        raise Problem("payload_too_large", f"The body is larger than {limit} bytes (server.max_body).")
    if not body:
        raise Problem("invalid_request", "The body is empty; send a JSON object.")
    share.body = len(body)
    return body


async def decoded(raw: bytearray, decode: Callable[[bytes | bytearray], Any]) -> Any:
    """The value of a JSON text. Raises Problem that names the field."""
    try:
        try:
            return decode(raw)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            if not await _replace_halves(raw):
                raise
            return decode(raw)
    except msgspec.ValidationError as exc:
        text = explain(_short(exc))[1].replace("a table", "an object")  # JSON's word; a person's files are TOML
        raise Problem("invalid_request", redact.message(text, []), field=_field(exc)) from None
    except msgspec.DecodeError as exc:
        raise Problem("invalid_request", f"The body is not valid JSON: {redact.message(str(exc), [])}.") from None
    except UnicodeDecodeError:
        raise Problem("invalid_request", "The body is not valid UTF-8.") from None
    except RecursionError:
        raise Problem("invalid_request", "The body is nested too deeply.") from None


def count_texts(scope: Scope, question: Question) -> None:
    """Count the texts of a question, which are kept until the answer ends, in place of the raw body. Raises Problem.

    With one emoji, each character of a text takes four bytes. A text that is not ASCII is kept as UTF-8, too, as soon
    as it has been encoded for the provider.
    """
    share = share_of(scope)
    size = _size_of(question.context)
    for message in question.messages:
        size += _size_of(message.content)
    if not share.change(share.body, size):
        raise Problem("too_many_streams", FULL, retry_after=1)
    share.body = size


def _size_of(text: str) -> int:
    size = sys.getsizeof(text) + TURN_SIZE
    return size if text.isascii() else size + len(text)


async def _replace_halves(text: bytearray) -> bool:
    """Put U+FFFD in place of each escaped half of a character; other tasks run meanwhile. Returns whether there were
    any."""
    found = False
    start = 0
    while start < len(text):
        # Each backslash that is left in the copy begins an escape, as no piece begins inside one.
        piece = bytes(text[start : start + BODY_PIECE + _LONGEST])
        masked = piece.replace(rb"\\", b"\0\0")
        end = _end_of_piece(piece, masked, BODY_PIECE)
        for half in _LONE.finditer(masked, 0, end):
            text[start + half.start() : start + half.end()] = rb"\ufffd"
            found = True
        start += end
        await asyncio.sleep(0)
    return found


def _end_of_piece(piece: bytes, masked: bytes, end: int) -> int:
    """Where to cut near `end`, which is at least twice `_LONGEST`, so that it is inside no character's escapes."""
    if end >= len(masked):
        return len(masked)
    last = masked.rfind(b"\\", end - _LONGEST, end)
    if last < 0:
        backslashes = end - len(piece[:end].rstrip(b"\\"))
        return end - backslashes % 2  # not between the two of an escaped backslash
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
