"""The short way to an answer: a question at a route of a door passes Litestar by, which takes a sixth of the CPU.

Litestar has the same routes: for its document, for other methods, for paths in another spelling or with several
parameters.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from aura_core.door import AnswerRoute
from aura_core.problems import Problem
from aura_core.server.door_routes import DoorRoutes
from aura_core.server.guard import send_problem
from aura_core.server.request_body import decoded, read

log = logging.getLogger("aura.server")


class _Way(msgspec.Struct, frozen=True):
    """A route, the door that it belongs to, and how its bodies are decoded. The value of its only parameter stands
    between `before` and `behind`."""

    door: DoorRoutes
    route: AnswerRoute
    decode: Callable[[bytes | bytearray], Any]
    parameter: str
    before: str
    behind: str


class Answers:
    """An ASGI application around another, which answers questions itself."""

    def __init__(self, app: ASGIApp, doors: Iterable[DoorRoutes], max_body: int) -> None:
        self._app = app
        self._max_body = max_body
        ways = [_way(door, route) for door in doors for route in door.answer_routes]
        self._literal = {way.route.path: way for way in ways if not way.parameter}
        self._others = [way for way in ways if way.parameter and "{" not in way.behind]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = scope["type"] == ScopeType.HTTP and scope["method"] == "POST"
        found = self._find(scope["path"]) if asked else None
        if found is None:
            await self._app(scope, receive, send)
            return
        way, given = found
        started = False

        def noted(message: Message) -> Any:
            nonlocal started
            started = True
            return send(message)

        own: dict[str, Any] = scope  # type: ignore[assignment]  # it holds keys of ours, too
        own["path_template"] = way.route.path  # as Litestar names it
        try:
            body = await decoded(await read(scope, receive, self._max_body), way.decode)
            response = await way.door.answer(way.route, body, given, scope)
            del body
            await response(scope, receive, noted)
        except Exception as exc:
            if started:
                raise
            await send_problem(as_problem(exc, scope), scope, send)

    def _find(self, path: str) -> tuple[_Way, Mapping[str, str]] | None:
        """The route that a path is spelled as, and the path's parameters."""
        way = self._literal.get(path)
        if way is not None:
            return way, {}
        for way in self._others:
            if path.startswith(way.before) and path.endswith(way.behind):
                value = path[len(way.before) : len(path) - len(way.behind)]
                if value and "/" not in value:
                    return way, {way.parameter: value}
        return None


def _way(door: DoorRoutes, route: AnswerRoute) -> _Way:
    before, _, rest = route.path.partition("{")
    parameter, _, behind = rest.partition("}")
    return _Way(door, route, msgspec.json.Decoder(route.body).decode, parameter, before, behind)


def as_problem(exc: Exception, scope: Scope) -> Problem:
    """What the client is told of an exception; one that nobody expects is logged."""
    if isinstance(exc, Problem):
        return exc
    asked = scope["method"] if scope["type"] == ScopeType.HTTP else "", scope["path"]
    if isinstance(exc, MemoryError):
        log.warning("a request got no memory: %s %s", *asked)
        return Problem("too_many_streams", "The server is out of memory; try again in a moment.", retry_after=1)
    log.error("a request failed: %s %s", *asked, exc_info=exc)
    return Problem("internal_error", "The server failed; its log says more.")
