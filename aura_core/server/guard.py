"""Refuse what a foreign web page or an unknown client sends, before anything else looks at it.

A local server is reachable by every page in the user's browser: by DNS rebinding (hence the check of Host), by a POST
that needs no preflight (hence Origin, and the Content-Type in the routes), and by other users of the machine (hence the
token).
"""

import random
import re
from collections.abc import Awaitable
from functools import lru_cache
from typing import Any

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from aura_core.clients import NOBODY, Client
from aura_core.config.hosts import Hosts
from aura_core.config.loopback import is_loopback
from aura_core.config.settings import Settings, proxies
from aura_core.door import Reply
from aura_core.doors.table import Doors
from aura_core.problems import Problem
from aura_core.server.client_address import ClientAddresses
from aura_core.telemetry.refusals import Refusals

SEEN = "aura_seen"
"""The key of the ASGI scope under which the request's `Seen` stands."""
NO_HOST_CHECK = ("/health", "/health/ready")
PUBLIC = {"/", *NO_HOST_CHECK}
PUBLIC_PREFIX = "/web/"
NOT_KEPT = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
"""Headers of every answer that does not set them itself: nothing keeps it, and no browser guesses what it is."""
_GOOD_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_HEADER_NAMES = re.compile(rb"[A-Za-z0-9_-]+(?: ?, ?[A-Za-z0-9_-]+)*")
_TRACEPARENT = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_TRACESTATE = re.compile(rb"[a-z0-9][a-z0-9_*/@-]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{1,256}")
"""A member of the header (W3C Trace Context, 3.3.1.3)."""
_LONGEST_TRACESTATE = 512  # characters; others need not pass on more
_LONGEST_HOST = 320  # characters; a name has at most 253
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^:\[\]/@]+)(?::(?P<port>\d{1,5}))?")


class Seen(msgspec.Struct, gc=False):
    """What the guard knows of a request. The values of a header that is there several times are joined by commas."""

    headers: dict[bytes, bytes]
    request_id: str
    address: str
    doors: Doors
    refusals: Refusals
    client: Client = NOBODY
    refusal: str = ""


class Guard:
    """An ASGI application around another: Host, Origin and token, in this order; then X-Request-Id and CORS headers."""

    def __init__(self, app: ASGIApp, settings: Settings, doors: Doors, refusals: Refusals) -> None:
        self._app = app
        self._doors = doors
        self._refusals = refusals
        self._hosts = Hosts(settings.server.allowed_hosts)
        self._origins = {origin.lower().rstrip("/") for origin in settings.server.allowed_origins}
        self._addresses = ClientAddresses(proxies(settings.server.trusted_proxies))
        self._clients = settings.clients

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # Not a coroutine: it has nothing more to do while an answer streams.
        if scope["type"] != ScopeType.HTTP:
            return self._app(scope, receive, send)
        headers: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            # A second Host or Origin must not pass behind a good first one.
            headers[name] = b"%b,%b" % (headers[name], value) if name in headers else value
        given = headers.get(b"x-request-id")
        identity = given if given and _GOOD_ID.fullmatch(given) else new_id().encode()
        own: dict[str, Any] = scope  # type: ignore[assignment]  # it holds keys of ours, too
        address = self._addresses.of(scope, headers.get(b"x-forwarded-for"))
        # One key for all: with a few more the dictionary takes twice the memory.
        seen = own[SEEN] = Seen(headers, identity.decode(), address, self._doors, self._refusals)
        extra = [(b"x-request-id", identity)]
        origin = headers[b"origin"].decode("latin-1").lower() if b"origin" in headers else ""
        allowed = origin in self._origins
        if allowed:
            extra += _cors(headers[b"origin"])
        send = _with_headers(send, extra)
        preflight = allowed and _is_preflight(scope, headers)
        try:
            seen.client = self._check(scope["path"], headers, origin)
        except Problem as problem:
            # A preflight carries no token; it is answered below.
            if not (problem.code == "unauthorized" and preflight):
                return send_problem(problem, scope, send)
        if preflight:
            return _answer(send, 204, _preflight(headers), b"")
        return self._app(scope, receive, send)

    def _check(self, path: str, headers: dict[bytes, bytes], origin: str) -> Client:
        """Who sends the request. Raises Problem."""
        host = headers.get(b"host", b"").decode("latin-1").lower()
        path = path.rstrip("/") or "/"
        if path not in NO_HOST_CHECK and not self._serves(host):
            raise Problem(
                "misdirected_host",
                "The Host header names a host that is not in allowed_hosts of [server] in aura.toml.",
            )
        if origin and origin not in self._origins and not _same_host(origin, host):
            raise Problem(
                "forbidden_origin", "The Origin of this page is not in allowed_origins of [server] in aura.toml."
            )
        if path in PUBLIC or (path.startswith(PUBLIC_PREFIX) and ".." not in path):
            return NOBODY
        client = self._clients.of(headers.get(b"authorization", b""))
        if client is None:
            raise Problem("unauthorized", "Send the header 'Authorization: Bearer TOKEN' with a token of this server.")
        return client

    def _serves(self, host: str) -> bool:
        name, loopback = _name_of(host) if len(host) <= _LONGEST_HOST else ("", False)
        if loopback or not name:
            return loopback
        # A page that has rebound its name to this machine has no token.
        any_name = self._clients.required and not self._hosts
        return any_name or self._hosts.serves(name, host)


@lru_cache(maxsize=64)
def _name_of(host: str) -> tuple[str, bool]:
    """The name in a Host header, "" where it holds none, and whether it can only mean this machine."""
    match = _HOST.fullmatch(host)
    return (match["name"], is_loopback(match["name"].strip("[]"))) if match is not None else ("", False)


def new_id() -> str:
    """An id for a request that came with none. It goes on to the provider, and some servers accept only UUIDs."""
    # Random enough for an id; uuid4 asks the kernel for each. Version 4, RFC 9562's variant.
    bits = random.getrandbits(128) & ~(0xF << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62
    digits = f"{bits:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def seen_of(scope: Scope) -> Seen | None:
    """What the guard knows of this request; None before it has seen it."""
    own: dict[str, Any] = scope  # type: ignore[assignment]  # it holds keys of ours, too
    seen: Seen | None = own.get(SEEN)
    return seen


def request_id(scope: Scope) -> str:
    """The id under which the guard lets this request pass."""
    return "-" if (seen := seen_of(scope)) is None else seen.request_id


def client_of(scope: Scope) -> Client:
    """Who sends this request; NOBODY if it was refused, or if its path needs no token."""
    return NOBODY if (seen := seen_of(scope)) is None else seen.client


def address_of(scope: Scope) -> str:
    """The address that this request comes from, as far as it is known."""
    return "" if (seen := seen_of(scope)) is None else seen.address


def upstream_headers(seen: Seen) -> dict[str, str]:
    """The headers that a plugin adds to its request: the id of this one, and a valid `traceparent` with a valid
    `tracestate` (W3C Trace Context, version 00); a client can choose no other."""
    headers = {"x-request-id": seen.request_id}
    given = seen.headers
    parent = given.get(b"traceparent")
    if parent is not None and _TRACEPARENT.fullmatch(parent):
        headers["traceparent"] = parent.decode()
        state = given.get(b"tracestate", b"")
        if len(state) <= _LONGEST_TRACESTATE and all(map(_TRACESTATE.fullmatch, map(bytes.strip, state.split(b",")))):
            headers["tracestate"] = state.decode()
    return headers


def refuse(problem: Problem, scope: Scope) -> Reply:
    """The refusal of a request, in the words of the door that its path belongs to; it is logged and counted."""
    seen = seen_of(scope)
    assert seen is not None  # only what has passed the guard can be refused
    seen.refusal = problem.code
    path = scope["path"]
    method = scope["method"] if scope["type"] == ScopeType.HTTP else ""
    door = seen.doors.of(path).plugin
    seen.refusals.note(problem, seen.request_id, seen.client.name, seen.address, door, method, path)
    return seen.doors.refuse(path, problem, seen.request_id)


def refusal_code(scope: Scope) -> str:
    """The code of the refusal of this request; "" if it was not refused."""
    return "" if (seen := seen_of(scope)) is None else seen.refusal


def send_problem(problem: Problem, scope: Scope, send: Send) -> Awaitable[None]:
    """Answer with a refusal."""
    reply = refuse(problem, scope)
    headers = [(name.encode(), value.encode()) for name, value in reply.headers.items()]
    return _answer(send, reply.status, headers, reply.body)


async def _answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    if status != 204:
        headers = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _with_headers(send: Send, extra: list[tuple[bytes, bytes]]) -> Send:
    """`send`, with headers added to the start of the response; no frame of its own for the rest of it."""

    def wrapped(message: Message) -> Any:
        if message["type"] == "http.response.start":
            headers = message.get("headers", ())
            message["headers"] = [*headers, *_added(tuple([name for name, _ in headers])), *extra]
        return send(message)

    return wrapped


@lru_cache(maxsize=64)
def _added(names: tuple[bytes, ...]) -> tuple[tuple[bytes, bytes], ...]:
    """The headers of NOT_KEPT that an answer with headers of these names lacks."""
    return tuple([header for header in NOT_KEPT if header[0] not in names])


def _same_host(origin: str, host: str) -> bool:
    """Whether a page of this origin came from this host and port. The scheme may differ: TLS may end in front."""
    scheme, separator, rest = origin.partition("://")
    if not separator or scheme not in ("http", "https"):
        return False
    return rest == host or rest == host.removesuffix(":443" if scheme == "https" else ":80")


def _is_preflight(scope: Scope, headers: dict[bytes, bytes]) -> bool:
    asked = scope["type"] == ScopeType.HTTP and scope["method"] == "OPTIONS"
    return asked and b"access-control-request-method" in headers


_EXPOSED = b"X-Request-Id, Retry-After, Retry-After-Ms, X-Should-Retry, Aura-Heartbeat"


def _cors(origin: bytes) -> list[tuple[bytes, bytes]]:
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", _EXPOSED),
        (b"vary", b"Origin"),
    ]


def _preflight(headers: dict[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """Allow what an allowed origin asks for: clients of some dialects send dozens of headers of their own."""
    asked = headers.get(b"access-control-request-headers", b"")
    named = b", " + asked if _HEADER_NAMES.fullmatch(asked) else b""
    return [
        (b"access-control-allow-methods", b"GET, POST"),
        (b"access-control-allow-headers", b"Authorization, Content-Type, X-Request-Id" + named),
        (b"access-control-max-age", b"600"),
    ]
