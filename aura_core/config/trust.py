"""Know which folders a person trusts: `./aura.toml` and `./agents` are in whatever folder a command is run in."""

import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

from aura_core.config.environment import variable
from aura_core.errors import ConfigError

VARIABLE = "AURA_TRUST"


def why_trusted(folder: Path, environ: Mapping[str, str]) -> str | None:
    """Why this folder (a real path) is trusted; None if it is not."""
    if (own := own_folder()) is not None and _same(folder, own):
        return "your own configuration folder"
    if any(_same(folder, other) for other in named(environ)):
        return VARIABLE
    if any(_same(folder, other) for other in recorded()):
        return "aura trust"
    return None


def named(environ: Mapping[str, str]) -> list[Path]:
    """The folders in AURA_TRUST, separated as in PATH. A relative one is left out, as it would mean every folder."""
    return [path for path in _entries(environ) if path.is_absolute()]


def warnings(environ: Mapping[str, str]) -> list[str]:
    """A warning for each folder that is left out of AURA_TRUST."""
    left_out = [path for path in _entries(environ) if not path.is_absolute()]
    return [f"{VARIABLE}: {str(path)!r} is left out: a relative path would mean every folder" for path in left_out]


def _entries(environ: Mapping[str, str]) -> list[Path]:
    entries = [entry for entry in variable(environ, VARIABLE).split(os.pathsep) if entry]
    return [Path(os.path.expanduser(entry)) for entry in entries]  # noqa: PTH111  # Path's own raises without a home


def recorded() -> list[Path]:
    """The folders that `aura trust` has recorded."""
    store = _store()
    try:
        lines = store.read_bytes().splitlines() if store else []
    except OSError:
        return []
    paths = [Path(os.fsdecode(line)) for line in lines]
    return [path for path in paths if path.is_absolute()]


def record(folder: Path) -> None:
    """Trust this folder from now on. Raises ConfigError if that cannot be recorded."""
    path = os.path.realpath(folder)
    if any(_same(path, other) for other in recorded()):
        return
    if "\n" in path or "\r" in path:
        raise ConfigError(f"{path!r}: a folder with a line break in its name cannot be recorded")
    store = _store()
    if store is None:
        raise ConfigError(f"no configuration folder is known to record it in; set {VARIABLE} to the folder instead")
    try:
        store.parent.mkdir(parents=True, exist_ok=True)
        # A single short append, so that two commands at once both record their line.
        with os.fdopen(os.open(store, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab", buffering=0) as file:
            file.write(os.fsencode(path) + b"\n")
    except OSError as exc:
        why = exc.strerror or exc
        raise ConfigError(f"{store}: cannot be written: {why}; set {VARIABLE} to the folder instead") from None


def forget(folder: Path) -> bool:
    """Stop trusting this folder; False if it was not recorded. Raises ConfigError."""
    before = recorded()
    after = [other for other in before if not _same(folder, other)]
    store = _store()
    if store is None or len(after) == len(before):
        return False
    fresh = store.with_name(f"{store.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.writelines(os.fsencode(path) + b"\n" for path in after)
        fresh.replace(store)
    except OSError as exc:
        raise ConfigError(f"{store}: cannot be written: {exc.strerror or exc}") from None
    return True


def by_root(path: Path) -> bool:
    """Whether only root can change this path, and we are not root: it and each folder above it belong to root.

    A sticky folder above it, such as /tmp, may be writable: only root can replace root's files in it.
    """
    if sys.platform == "win32" or os.geteuid() == 0:
        return False
    real = Path(os.path.realpath(path))
    try:
        states = [each.lstat() for each in (real, *real.parents)]
    except OSError:
        return False
    return all(
        state.st_uid == 0 and (not state.st_mode & 0o022 or (number and state.st_mode & stat.S_ISVTX))
        for number, state in enumerate(states)
    )


def _same(one: Path | str, other: Path) -> bool:
    return os.path.normcase(os.path.realpath(one)) == os.path.normcase(os.path.realpath(other))


def own_folder() -> Path | None:
    """The user's own configuration folder, which is trusted; None without a home folder."""
    from platformdirs import user_config_path

    try:
        path = user_config_path("aura", appauthor=False)
    except RuntimeError:  # a container's user without a home
        return None
    return path if path.is_absolute() else None


def _store() -> Path | None:
    folder = own_folder()
    return folder / "trusted-folders" if folder else None
