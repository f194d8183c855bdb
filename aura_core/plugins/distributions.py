"""What installed distributions say of themselves; one whose metadata is damaged never hides the others."""

import re
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import Distribution, EntryPoint, distributions, entry_points
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.requirements import Requirement


def published(group: str) -> tuple[list[EntryPoint], list[str]]:
    """The entry points of a group, and a warning for each distribution whose entry points cannot be read."""
    try:
        return list(entry_points(group=group)), []
    except Exception:  # it reads all at once, and one is no UTF-8, or has a line without "="
        return _one_by_one(group)


def _one_by_one(group: str) -> tuple[list[EntryPoint], list[str]]:
    found, warnings, seen = list[EntryPoint](), list[str](), set[str]()
    for dist in distributions():
        name = name_of(dist)
        normal = re.sub(r"[-_.]+", "-", name).lower()
        if normal in seen:
            continue  # as Python's own: the first on sys.path is the one that is imported
        seen.add(normal)
        try:
            found += dist.entry_points.select(group=group)
        except Exception as exc:
            why = type(exc).__name__
            warnings.append(f"the entry points of {name} cannot be read ({why}); reinstall or uninstall it")
    return found, warnings


def name_of(dist: Distribution | None) -> str:
    """Its name; where it does not say one, that of the folder of its metadata."""
    with suppress(Exception):
        if dist is not None and dist.name:
            return dist.name
    return str(getattr(getattr(dist, "_path", None), "name", "?"))


def version_of(dist: Distribution | None) -> str:
    """Its version, or `?`."""
    with suppress(Exception):
        if dist is not None and dist.version:
            return dist.version
    return "?"


def strangers(package: str, ours: str) -> list[str]:
    """A warning for each distribution but `ours` that has files in the folder of our package: some may replace ours."""
    found = {}
    for dist in distributions():
        record = ""
        with suppress(Exception):
            record = dist.read_text("RECORD") or ""
        if re.search(rf"^{package}(/|\.py,)", record, re.MULTILINE) and name_of(dist) != ours:
            found[name_of(dist)] = (
                f"{name_of(dist)} {version_of(dist)} owns files of {package} and is not ours, which is {ours}: "
                f"pip uninstall {name_of(dist)}, then install {ours} again from where you got it"
            )
    return list(found.values())


def requirements_of(dist: Distribution | None) -> Iterator["Requirement"]:
    """What it requires, as far as that can be read."""
    from packaging.requirements import InvalidRequirement, Requirement  # takes 40 ms, only where something is wrong

    texts = None
    with suppress(Exception):
        texts = dist.requires if dist is not None else None
    for text in texts or ():
        with suppress(InvalidRequirement):
            yield Requirement(text)
