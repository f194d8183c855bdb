"""Find the reason of a server's error in JSON of any shape, in JSON inside its strings, or in plain text."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgspec

from aura_core.limits import REASON_DEPTH, REASON_LENGTH, REASON_VALUES
from aura_core.streams.waiting import in_field, in_words

# In this order: the first message is the server's own, deeper ones add to it.
_MESSAGES = ("message", "error_message", "errormessage", "error_msg", "errormsg", "status_msg", "statusmsg", "msg")
_SAID_ELSE = ("error_description", "description", "detail", "title", "reason")
_INSIDE = (
    "error", "errors", "err", "exception", "innererror", "inner_error", "metadata", "raw", "body", "cause", "base_resp",
    "response", "details", "violations",
)  # fmt: skip
_CODES = (
    "code", "type", "error_type", "error_code", "errortype", "errorcode", "status", "status_code", "statuscode",
    "__type", "reason", "quotaid", "quota_limit", "limit_type",
)  # fmt: skip
_ERROR_FIELDS = {"error", "errors", "err", "error_message", "errormessage", "error_msg", "errormsg", "error_type"}
_ERROR_FIELDS |= {"error_code", "exception", "base_resp", "detail"} | set(_MESSAGES)
_PAGE = re.compile(r"^\s*<[a-z!/?]|<(?:!doctype|html|head|body)\b", re.IGNORECASE)
_GOOD = {"0", "200", "success", "ok"}


class Reason(msgspec.Struct, frozen=True):
    """The reason that a server gives for an error.

    `message` is in its own words, from the outside in, "" if it has none. `codes` are its codes and types; `param` is
    the parameter that it blames. `status` is an HTTP status in the body, else 0. `wait` is in seconds.
    """

    message: str = ""
    codes: tuple[str, ...] = ()
    param: str = ""
    status: int = 0
    wait: float | None = None

    @property
    def words(self) -> str:
        """The message, or the codes that are words."""
        return self.message or " ".join(code for code in self.codes if any(map(str.isalpha, code)))


def read_reason(body: Any) -> Reason | None:
    """The reason in the body of an error, or in a decoded value of it; None if there is none, as in HTML.

    Reads server-sent events and NDJSON as well: some servers send errors like that with any status.
    """
    reading = _Reading()
    if isinstance(body, (bytes, bytearray)):
        body = _decoded(bytes(body))
    reading.value(body, 0)
    return reading.reason()


def error_in(fields: dict[str, Any]) -> dict[str, Any] | None:
    """A JSON object that came instead of an answer, if it reports an error; None if it is a sign of life."""
    for name, value in fields.items():
        fine = isinstance(value, dict) and str(value.get("status_code", "")) in _GOOD
        if name.lower() in _ERROR_FIELDS and value not in (None, "", False, [], {}) and not fine:
            return fields
    return None


def loads(data: bytes | str) -> Any:
    """JSON as Python values, with numbers as their text. Raises ValueError and RecursionError.

    It accepts halves of surrogate pairs, which msgspec refuses; the core joins or replaces them.
    """
    return json.loads(data, parse_int=str, parse_float=str, parse_constant=str)


def _decoded(body: bytes) -> Any:
    """JSON, the JSON in the first event or line, or plain text; None for HTML and for binary data."""
    for text in _candidates(body):
        try:
            return loads(text)
        except (ValueError, RecursionError):
            continue
    if len(body) > 4 * REASON_LENGTH:  # more than a few lines
        return None
    try:
        said = body.decode().strip("\ufeff \r\n\t")
    except UnicodeDecodeError:
        return None
    if said[:1] in ("{", "[", "<", "") or _PAGE.search(said) or any(c < " " and c not in "\r\n\t" for c in said):
        return None
    return said


def _candidates(body: bytes) -> Iterator[bytes]:
    yield body
    for line in body[: 16 * REASON_LENGTH].splitlines()[:10]:
        for field in (b"data:", b"error:"):
            if line.startswith(field):
                yield line[len(field) :]
        if line.startswith(b"{"):
            yield line


class _Reading:
    """One walk through a value."""

    def __init__(self) -> None:
        self._messages: list[str] = []
        self._codes: list[str] = []
        self._param = ""
        self._status = 0
        self._wait: float | None = None
        self._left = REASON_VALUES

    def reason(self) -> Reason | None:
        message = ": ".join(self._messages[:3])
        if not message and not self._codes and not self._param and self._wait is None:
            return None
        wait = in_words(message) if self._wait is None else self._wait
        return Reason(message, tuple(self._codes), self._param, self._status, wait)

    def value(self, value: Any, depth: int, aside: bool = False) -> None:
        """`aside`: its messages count only if there is no other."""
        if value is None or depth > REASON_DEPTH or self._left <= 0:
            return
        self._left -= 1
        if isinstance(value, str):
            self._text(value, depth, aside)
        elif isinstance(value, list):
            for item in value[:20]:
                self.value(item, depth + 1, aside)
        elif isinstance(value, dict):
            self._object({str(name).lower(): item for name, item in value.items()}, depth, aside)

    def _object(self, fields: dict[str, Any], depth: int, aside: bool) -> None:
        prefix = ""
        if "status_code" in fields and "status_msg" in fields:  # MiniMax: other vendors use the same numbers
            prefix = "base_resp "
        for name in _CODES:
            self._code(fields.get(name), prefix)
        if "flagged_input" in fields or isinstance(fields.get("reasons"), list):  # OpenRouter's moderation
            self._codes.append("content_filter")
        self._blame(fields)
        for name, item in fields.items():
            if self._wait is None:
                self._wait = in_field(name, item)
        for name in _MESSAGES:
            self.value(fields.get(name), depth + 1, aside)
        for name in _INSIDE:
            # Details of a message (links, quotas, a copy of it) are not another message.
            self.value(fields.get(name), depth + 1, aside or (name == "details" and bool(self._messages)))
        for name in _SAID_ELSE:
            self.value(fields.get(name), depth + 1, aside or (name != "detail" and bool(self._messages)))

    def _code(self, value: Any, prefix: str) -> None:
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            return
        code = str(value).strip()[:200]
        if not code or code.lower() in ("none", "null", "error", *_GOOD):
            return
        if len(code) == 3 and code.isdecimal() and code.isascii() and "400" <= code < "600":
            self._status = self._status or int(code)
        if prefix + code not in self._codes and len(self._codes) < 20:
            self._codes.append(prefix + code)

    def _blame(self, fields: dict[str, Any]) -> None:
        """The blamed parameter: FastAPI's `loc`, others' `param`."""
        loc, param = fields.get("loc"), fields.get("param")
        if isinstance(loc, list):
            where = ".".join(str(part) for part in loc[:8] if part != "body")[:200]
            self._param = self._param or where
            if isinstance(fields.get("msg"), str):
                fields["msg"] = f"{where}: {fields['msg']}" if where else fields["msg"]
        elif isinstance(param, str) and param.lower() not in ("", "none", "null"):
            self._param = self._param or param[:200]

    def _text(self, text: str, depth: int, aside: bool) -> None:
        begin = text.find("{", 0, REASON_LENGTH)
        if len(text) > 16 * REASON_LENGTH:
            pass
        elif text[:200].lstrip()[:1] in ("{", "["):
            try:
                self.value(loads(text), depth + 1, aside)
            except (ValueError, RecursionError):
                pass
            else:
                return
        elif begin >= 0 and text.rstrip().endswith("}"):  # "BadRequestError: 400 - {…}": only its codes count
            with suppress(ValueError, RecursionError):
                self.value(loads(text[begin:]), depth + 1, True)
        said = " ".join(text[:REASON_LENGTH].split())
        if _PAGE.search(said) or not any(map(str.isalpha, said[:200])):  # HTML inside the JSON, or a number
            return
        if not (aside and self._messages) and not any(said in other for other in self._messages):
            self._messages.append(said)
