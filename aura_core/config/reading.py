"""Read what people wrote: of an untrusted folder only plain files that lie in it and that no other user can change."""

import os
import stat
import sys
from pathlib import Path

from aura_core.config.untrusted import NotTrusted, Refusal


def read_text(path: Path, within: Path | None, shown: Path | None = None) -> str:
    """The text of a file; `within` is the real path of the untrusted folder that it belongs to, `shown` its path as
    errors have it.

    Raises NotTrusted, OSError and UnicodeDecodeError.
    """
    with open(_source(path, within, shown), encoding="utf-8-sig") as file:  # noqa: PTH123  # a descriptor, too
        return file.read()


def read_bytes(path: Path, within: Path | None) -> bytes:
    """The bytes of a file, as `read_text` has its text."""
    with open(_source(path, within), "rb") as file:  # noqa: PTH123  # a descriptor, too
        return file.read()


def _source(path: Path, within: Path | None, shown: Path | None = None) -> Path | int:
    """What to open: the path; for a file of an untrusted folder a descriptor of what was looked at."""
    return path if within is None else _open(path, within, shown or path)


def leads_out(path: Path, within: Path) -> bool:
    """Whether a path, with all its links, ends outside of the folder."""
    return not Path(os.path.realpath(path)).is_relative_to(within)


def check_folder(path: Path, within: Path | None, shown: Path) -> None:
    """Raises NotTrusted where a folder ends outside of the untrusted one that it belongs to."""
    if within is not None and leads_out(path, within):
        raise _leaving(path, shown)


def _open(path: Path, within: Path, shown: Path) -> int:
    real = Path(os.path.realpath(path))
    if not real.is_relative_to(within):
        raise _leaving(path, shown)
    descriptor = _walk(within, real.relative_to(within).parts)
    try:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise _refused(shown, "it is not a plain file", "not a plain file")
        if state.st_nlink > 1:
            # Where the other names are nobody can tell: an archive may have linked ~/.ssh/id_rsa.
            raise _refused(shown, "it is a hard link, which may be of a file outside", "a hard link")
        if found := _exposed(state):
            raise _refused(shown, found, found)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _walk(folder: Path, parts: tuple[str, ...]) -> int:
    """Open a file step by step, so that no step becomes a link after it was looked at."""
    if sys.platform == "win32":
        return os.open(folder.joinpath(*parts), os.O_RDONLY | os.O_BINARY)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for number, part in enumerate(parts, 1):
        # Not blocking: it may have become a pipe.
        wanted = os.O_NONBLOCK if number == len(parts) else os.O_DIRECTORY
        try:
            following = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | wanted, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = following
    return descriptor


def _leaving(path: Path, shown: Path) -> NotTrusted:
    return _refused(shown, "it leads out of the folder", f"leads to {os.path.realpath(path)}")


def _refused(path: Path, found: str, asks: str) -> NotTrusted:
    why = f"{found}, and the folder is not trusted"
    printable = "".join(c if c.isprintable() else "?" for c in f"{path}: {asks}")
    return NotTrusted(Refusal(str(path), "", why, printable))


def exposed(path: Path) -> str | None:
    """Which other user can change a file that is there; None where none can, or the system does not tell."""
    try:
        return _exposed(path.stat())
    except OSError:
        return None


def _exposed(state: os.stat_result) -> str | None:
    if sys.platform == "win32":
        return None
    if state.st_uid not in (0, os.geteuid()):
        return f"it belongs to another user (uid {state.st_uid})"
    if state.st_mode & stat.S_IWOTH:
        return "everybody may write it"
    return None
