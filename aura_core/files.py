"""Read a file that a user wrote: only a regular file of limited size, and never blocking."""

import os
import stat
import time
from collections.abc import Iterable
from pathlib import Path

from aura_core.errors import ConfigError
from aura_core.limits import FILE_LIMIT, JUST_WRITTEN

# Without them, a FIFO would block, a terminal would become ours, and child processes would inherit the file.
FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY"))


def read_file(path: Path) -> bytes:
    """The bytes of a regular file of at most FILE_LIMIT. Raises OSError, and ConfigError for any other file,
    with a text that says what it is, without its name."""
    _check(path.stat())  # before opening, which alone can rewind a tape
    return read_descriptor(os.open(path, FLAGS))


def read_descriptor(descriptor: int) -> bytes:
    """The same for a descriptor opened with FLAGS; closes it."""
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        status = os.fstat(descriptor)
        _check(status)
        if not status.st_size:
            return b""  # files of /proc have size 0; reading one may block, or consume data
        data = bytearray()
        while len(data) <= FILE_LIMIT and (piece := file.read(FILE_LIMIT + 1 - len(data))):
            data += piece
    if len(data) > FILE_LIMIT:
        raise _too_large()
    return bytes(data)


def as_text(data: bytes) -> str:
    """The text of such a file, which must be UTF-8. Raises ConfigError."""
    try:
        # As with Path.read_text, a BOM is not part of the text, and each line ends in LF.
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError("is not UTF-8 text; save it as UTF-8") from None
    if "\0" in text:  # UTF-16 of ASCII letters
        raise ConfigError("holds the character NUL; save it as UTF-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")


Version = tuple[int, ...]


def version(status: os.stat_result) -> Version | None:
    """What changes with each edit of a file; None where that is not certain, as it has just been written."""
    if time.time() - max(status.st_mtime, status.st_ctime) < JUST_WRITTEN:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


class Versions:
    """The versions of some files, so that an edit is noticed without reading them."""

    def __init__(self) -> None:
        self._known: dict[Path, Version | None] = {}

    def changed(self, paths: Iterable[Path | str]) -> bool:
        """Whether one of them may have changed since the last call; at the first call each may."""
        before, self._known = self._known, {Path(path): _version(Path(path)) for path in paths}
        return any(version is None or version != before.get(path) for path, version in self._known.items())


def _version(path: Path) -> Version | None:
    try:
        return version(path.stat())
    except (OSError, ValueError):  # ValueError: a NUL in its name
        return None


def _check(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise ConfigError("is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError("is not a regular file")
    if status.st_size > FILE_LIMIT:
        raise _too_large()


def _too_large() -> ConfigError:
    return ConfigError(f"is larger than {FILE_LIMIT // 1024**2} MiB")
