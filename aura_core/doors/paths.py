"""The paths of doors: how they are written, which are reserved, and when two of them are the same to a router."""

import re

_PATH = re.compile(r"(?:/(?:[A-Za-z0-9._~-]+|\{[A-Za-z][A-Za-z0-9_]*\}))+")
RESERVED = ("/web", "/health", "/metrics", "/schema", "/api/agents", "/api/providers")
"""Neither these paths nor any below them can be a plugin's."""


def parameters(path: str) -> list[str]:
    """The names of the path's parameters."""
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]


def fault(path: object) -> str | None:
    """Why a plugin's door cannot have this path, or None."""
    if not isinstance(path, str) or not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
        return f"{path!r} is not a path like /v1/chat or /v1/agents/{{id}}, where {{id}} is a whole part"
    names = parameters(path)
    if len(set(names)) < len(names):
        return f"the path {path} has two parameters of one name"
    if path.startswith("/{"):
        return f"the path {path} begins with a parameter, so it could be any other's path"
    taken = next((reserved for reserved in RESERVED if _below(path, reserved)), None)
    return None if taken is None else f"the path {path} is Aura's own (everything at and below {taken} is)"


def clash(path: str, other: str) -> bool:
    """Whether some request fits both paths, or a router that takes a path part by part could not keep them apart: it
    prefers a literal part to a parameter, and does not go back.
    """
    parts, others = path.split("/"), other.split("/")
    for part, their in zip(parts, others, strict=False):
        if part.startswith("{") != their.startswith("{"):
            return True
        if part != their and not part.startswith("{"):
            return False
    return len(parts) == len(others)


def fits(path: str, requested: list[str]) -> bool:
    """Whether a request for these parts is one for this path."""
    parts = path.split("/")[1:]
    return len(parts) == len(requested) and all(
        part.startswith("{") or part == given for part, given in zip(parts, requested, strict=True)
    )


def _below(path: str, reserved: str) -> bool:
    """Whether the path may be the reserved one, or one below it."""
    parts, kept = path.split("/"), reserved.split("/")
    return len(parts) >= len(kept) and all(
        part == their or part.startswith("{") for part, their in zip(parts, kept, strict=False)
    )
