"""Read a client's JSON body so that whatever it holds gets a clear answer, and never a 500."""

import re

import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.exceptions import HTTPException

from aura_core.config.decode import explain
from aura_core.doors.native import ChatBody
from aura_core.problems import Problem
from aura_core.telemetry import redact

_decode = msgspec.json.Decoder(ChatBody).decode
# Each escape of a JSON text; `lone` is half of a character, which JSON.stringify writes of a text cut inside an emoji.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


class ChatHttpRequest(Request[None, None, State]):
    """A request whose body is a ChatBody: 415, 413, 400, in this order.

    Litestar itself ignores the Content-Type, so that any web page could post without a preflight, and answers 500 to
    bad UTF-8 and to deep nesting.
    """

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
            raise Problem("invalid_request", "The body is empty; send a JSON object with a prompt.")
        return body

    async def json(self) -> ChatBody:
        """The decoded body. Raises Problem that names the field."""
        body = await self.body()
        try:
            try:
                return _decode(body)
            except msgspec.ValidationError:
                raise
            except msgspec.DecodeError:
                whole = _ESCAPE.sub(lambda escape: b"\\ufffd" if escape["lone"] else escape[0], body)
                if whole == body:
                    raise
                return _decode(whole)
        except msgspec.ValidationError as exc:
            text = explain(exc)[1].replace("a table", "an object")  # JSON's word; a person's files are TOML
            raise Problem("invalid_request", redact.message(text, [])) from None
        except msgspec.DecodeError as exc:
            raise Problem("invalid_request", f"The body is not valid JSON: {redact.message(str(exc), [])}.") from None
        except UnicodeDecodeError:
            raise Problem("invalid_request", "The body is not valid UTF-8.") from None
        except RecursionError:
            raise Problem("invalid_request", "The body is nested too deeply.") from None
