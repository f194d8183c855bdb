"""All doors that are open: which of them a path belongs to, and how it refuses a request."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from aura_core.door import Door, Reply
from aura_core.doors.native import NATIVE
from aura_core.doors.paths import fits
from aura_core.problems import Problem

log = logging.getLogger("aura.doors")

NATIVE_NAME = "native"


class DoorFault(Exception):
    """A door did not do what it promised; `str()` is what, in a line."""


class OpenDoor(msgspec.Struct, frozen=True):
    """A door and the name of the plugin that it comes from; `native` for the core's own."""

    plugin: str
    door: Door


class Doors:
    """The doors of this process: `native` and those of plugins."""

    def __init__(self, plugins: Mapping[str, Sequence[Door]]) -> None:
        """`plugins` gives the doors of each plugin by its name; their paths do not clash."""
        self.native = OpenDoor(NATIVE_NAME, NATIVE)
        self.all = [self.native]
        self.all += [OpenDoor(name, door) for name, doors in plugins.items() for door in doors]
        self._below: dict[str, OpenDoor | None] = {}
        for opened in self.all:
            for route in opened.door.routes:
                first = route.path.split("/")[1]
                alone = self._below.get(first, opened) is opened
                self._below[first] = opened if alone else None

    def of(self, path: str) -> OpenDoor:
        """The door that a request for this path is for: that which has the path, else the only one that has others with
        the same first part, else `native`."""
        requested = [part for part in path.split("/") if part]
        for opened in self.all:
            if any(fits(route.path, requested) for route in opened.door.routes):
                return opened
        return self._below.get(requested[0] if requested else "") or self.native

    def refuse(self, path: str, problem: Problem, request_id: str) -> Reply:
        """The refusal in the words of the path's door, with the headers that belong to it whatever the door says."""
        opened = self.of(path)
        try:
            reply = _checked(opened.door.refuse(problem, request_id))
        except BaseException as exc:  # SystemExit, too: it is the door's
            _tell(opened, "refuse", exc)
            reply = self.native.door.refuse(problem, request_id)
        headers = problem.headers() | {name.lower(): value for name, value in reply.headers.items()}
        return msgspec.structs.replace(reply, headers=headers | {"content-type": reply.content_type})


def made(opened: OpenDoor, what: str, path: str, make: Callable[..., bytes], *given: Any) -> bytes:
    """What a function of a door makes, which is `what` of this path. Raises Problem: the door's own, or one that says
    that the server failed."""
    try:
        answer = make(*given)
        if type(answer) is not bytes:
            raise DoorFault(f"it returned {type(answer).__name__}, not bytes")
    except BaseException as exc:  # SystemExit, too: it is the door's
        raise fault(opened, f"{what} of {path}", exc) from None
    return answer


def fault(opened: OpenDoor, what: str, exc: BaseException) -> Problem:
    """What a client is told of an exception of a door: the door's Problem, or one that says that the server failed."""
    if isinstance(exc, Problem):
        return exc
    _tell(opened, what, exc)
    return Problem("internal_error", "The server failed; its log says more.")


def _tell(opened: OpenDoor, what: str, exc: BaseException) -> None:
    log.error("plugin %r: its door failed in %s", opened.plugin, what, exc_info=exc)


def _checked(reply: object) -> Reply:
    if type(reply) is not Reply:
        raise DoorFault(f"refuse returned {type(reply).__name__}, not Reply")
    if type(reply.body) is not bytes:
        raise DoorFault(f"refuse returned a body of {type(reply.body).__name__}, not bytes")
    if type(reply.status) is not int or not 400 <= reply.status <= 599:
        raise DoorFault(f"refuse returned the status {reply.status!r}, not one from 400 to 599")
    for text in (reply.content_type, *reply.headers, *reply.headers.values()):
        if not text.isascii() or not text.isprintable() or not text:
            raise DoorFault("refuse returned a header that is not printable ASCII")
    return reply
