"""Check the doors that a plugin gives, so that a faulty one is refused before any client comes through it."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import msgspec

from aura_core.door import AgentRoute, AnswerRoute, Door, Encoder, ListRoute, Route
from aura_core.doors.paths import clash, fault, parameters


class BadDoor(Exception):
    """Why a door cannot be opened."""


def checked(answer: Any) -> list[Door]:
    """The doors that a plugin's hook has returned. Raises BadDoor, or whatever the plugin's own types raise."""
    if not isinstance(answer, (list, tuple)):
        raise BadDoor(f"doors must return a list of Door, not {type(answer).__name__}")
    if not answer:
        raise BadDoor("doors returned an empty list")
    for door in answer:
        if type(door) is not Door:
            raise BadDoor(f"doors must return a list of Door; one is {type(door).__name__}")
        if not isinstance(door.routes, (list, tuple)) or not door.routes:
            raise BadDoor("a door must have a list of routes")
        _callable(door, "refuse", 2)
        for route in door.routes:
            _check(route)
    routes = [route for door in answer for route in door.routes]
    for one, other in combinations(routes, 2):
        if clash(one.path, other.path) and (one.path != other.path or _method(one) == _method(other)):
            raise BadDoor(f"its routes {one.path} and {other.path} cannot be kept apart")
    return list(answer)


def rivals(doors: Mapping[str, Sequence[Door]]) -> dict[str, str]:
    """Of all plugins with doors those whose paths another has as well, and why none of them is opened."""
    found: dict[str, str] = {}
    for (name, mine), (other, theirs) in combinations(sorted(doors.items()), 2):
        pair = next(((a, b) for a in _paths(mine) for b in _paths(theirs) if clash(a, b)), None)
        if pair is not None:
            shared = pair[0] if pair[0] == pair[1] else f"{pair[0]} and {pair[1]}"
            found.setdefault(name, f"the plugins {name!r} and {other!r} both have a door at {shared}")
            found.setdefault(other, f"the plugins {name!r} and {other!r} both have a door at {shared}")
    return found


def _paths(doors: Iterable[Door]) -> list[str]:
    return [route.path for door in doors for route in door.routes]


def _method(route: Route) -> str:
    return "POST" if isinstance(route, AnswerRoute) else "GET"


def _check(route: Any) -> None:
    if not isinstance(route, (AnswerRoute, ListRoute, AgentRoute)):
        raise BadDoor(f"a route must be an AnswerRoute, a ListRoute or an AgentRoute, not {type(route).__name__}")
    if why := fault(route.path):
        raise BadDoor(why)
    if isinstance(route, AnswerRoute):
        _callable(route, "ask", 2)
        if not (isinstance(route.encoder, type) and issubclass(route.encoder, Encoder)):
            raise BadDoor(f"the encoder of {route.path} must be a class made from aura_core.Encoder")
        if missing := sorted(getattr(route.encoder, "__abstractmethods__", ())):
            raise BadDoor(f"the encoder of {route.path} lacks {', '.join(missing)}")
        for name in ("content_type", "whole_content_type"):
            _header(getattr(route.encoder, name), f"{name} of the encoder of {route.path}")
        if type(route.encoder.ping) is not bytes:
            raise BadDoor(f"ping of the encoder of {route.path} must be bytes")
        msgspec.json.Decoder(route.body)  # a type that msgspec cannot decode raises here, not in a client's request
        return
    _callable(route, "encode", 1)
    _header(route.content_type, f"content_type of {route.path}")
    if isinstance(route, AgentRoute) and len(parameters(route.path)) != 1:
        raise BadDoor(f"the path {route.path} of an AgentRoute must have one parameter, the agent's id")
    if isinstance(route, ListRoute) and parameters(route.path):
        raise BadDoor(f"the path {route.path} of a ListRoute must have no parameter")


def _callable(owner: Any, name: str, arguments: int) -> None:
    function = getattr(owner, name)
    if not callable(function):
        raise BadDoor(f"{name} of a {type(owner).__name__} must be a function")
    if inspect.iscoroutinefunction(function):
        raise BadDoor(f"{name} of a {type(owner).__name__} must not be 'async def': it does no I/O")
    try:
        signature = inspect.signature(function)
    except ValueError:  # of something in C
        return
    try:
        signature.bind(*range(arguments))
    except TypeError:
        raise BadDoor(f"{name} of a {type(owner).__name__} must take {arguments} arguments") from None


def _header(value: Any, what: str) -> None:
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or not value:
        raise BadDoor(f"the {what} must be printable ASCII")
