"""Read the metadata of installed distributions; one that is damaged or left over never hides the others."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.metadata import Distribution, EntryPoint, distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from packaging.requirements import Requirement
    from packaging.version import Version

LEFTOVER = "~"
"""The first letter of a folder that pip was uninstalling when it failed. pip ignores such folders."""


def published(group: str) -> tuple[list[EntryPoint], list[str]]:
    """The entry points of a group, and a warning for each distribution that cannot be read, or is a leftover.

    Of several distributions of one name the first on sys.path counts, as it is the one that is imported.
    """
    found, warnings = list[EntryPoint](), list[str]()
    for same in _by_name().values():
        dist = _installed(same)
        leftover = _is_leftover(dist)
        try:
            selected = list(dist.entry_points.select(group=group))
        except Exception as exc:  # one is not UTF-8, or has a line without "="
            why = type(exc).__name__
            if not leftover:
                warnings.append(
                    f"the entry points of {name_of(dist)} cannot be read ({why}); reinstall or uninstall it"
                )
            continue
        if not selected:
            continue
        if leftover:
            warnings.append(f"{_folder(dist)} is left over from what pip has uninstalled, and is ignored; delete it")
        else:
            found += selected
            warnings += _leftovers(dist, same)
    return found, warnings


def _by_name() -> dict[str, list[Distribution]]:
    """All distributions by name, in the order of sys.path; one that is found twice stands once."""
    by_name: dict[str, list[Distribution]] = {}
    seen = set[Path]()
    for dist in distributions():
        folder = _folder(dist)
        if folder is not None:
            if folder in seen:
                continue
            seen.add(folder)
        by_name.setdefault(_key(dist, folder), []).append(dist)
    return by_name


def _key(dist: Distribution, folder: Path | None) -> str:
    """The name in a form to compare. It stands in the folder's name, too; to read METADATA takes 0.3 ms."""
    named = folder is not None and folder.suffix in (".dist-info", ".egg-info")
    name = folder.stem.partition("-")[0] if folder is not None and named else name_of(dist)
    return re.sub(r"[-_.]+", "-", name).lower()


def _installed(same: Sequence[Distribution]) -> Distribution:
    """The one of several distributions of one name that is installed: of the first folder with metadata the newest.

    An update that was interrupted leaves an empty folder behind, or that of the older version.
    """
    if len(same) == 1:
        return same[0]
    whole = [dist for dist in same if _has_metadata(dist)] or same
    first = _parent(whole[0])
    return max((dist for dist in whole if _parent(dist) == first), key=_sorted_version)


def _is_leftover(dist: Distribution) -> bool:
    folder = _folder(dist)
    return folder is not None and folder.name.startswith(LEFTOVER)


def _leftovers(installed: Distribution, same: Sequence[Distribution]) -> list[str]:
    """A warning for each folder that stands beside the metadata of a distribution, in its name."""
    parent = _parent(installed)
    others = [dist for dist in same if dist is not installed and parent is not None and _parent(dist) == parent]
    whose = f"{name_of(installed)} {version_of(installed)}"
    return [f"{_folder(dist)} is left over beside {whose}, and is ignored; delete it" for dist in others]


def _folder(dist: Distribution) -> Path | None:
    """The folder of its metadata, if it has one."""
    path: Any = getattr(dist, "_path", None)
    return path if isinstance(path, Path) else None


def _parent(dist: Distribution) -> Path | None:
    folder = _folder(dist)
    return folder.parent if folder is not None else None


def _has_metadata(dist: Distribution) -> bool:
    with suppress(Exception):
        return any(dist.read_text(name) for name in ("METADATA", "PKG-INFO", ""))
    return True  # it has some, which cannot be read


def _sorted_version(dist: Distribution) -> "Version":
    from packaging.version import InvalidVersion, Version  # only where two distributions have one name

    try:
        return Version(version_of(dist))
    except InvalidVersion:
        return Version("0")


def name_of(dist: Distribution | None) -> str:
    """Its name; without one, the name of the folder of its metadata."""
    with suppress(Exception):
        if dist is not None and (name := dist.name):  # it reads the file each time
            return name
    return str(getattr(getattr(dist, "_path", None), "name", "?"))


def version_of(dist: Distribution | None) -> str:
    """Its version, or `?`."""
    with suppress(Exception):
        if dist is not None and (version := dist.version):
            return version
    return "?"


def strangers(package: str, ours: str) -> list[str]:
    """A warning for each distribution other than `ours` with files in our package: they may replace ours."""
    found = {}
    for dist in distributions():
        if _is_leftover(dist):
            continue
        record = ""
        with suppress(Exception):
            record = dist.read_text("RECORD") or ""
        owns = any(line.startswith((f"{package}/", f"{package}.py,")) for line in record.splitlines())
        if owns and name_of(dist) != ours:
            found[name_of(dist)] = (
                f"{name_of(dist)} {version_of(dist)} owns files of {package} and is not ours, which is {ours}: "
                f"pip uninstall {name_of(dist)}, then install {ours} again from where you got it"
            )
    return list(found.values())


def requirements_of(dist: Distribution | None) -> Iterator["Requirement"]:
    """Its requirements, as far as they can be read."""
    from packaging.requirements import InvalidRequirement, Requirement  # takes 40 ms, only where something is wrong

    texts = None
    with suppress(Exception):
        texts = dist.requires if dist is not None else None
    for text in texts or ():
        with suppress(InvalidRequirement):
            yield Requirement(text)
