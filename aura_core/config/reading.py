"""Read files that people wrote; in an untrusted folder only regular files inside it that no other user can change."""

import os
import stat
import sys
from pathlib import Path

from aura_core import files
from aura_core.config.untrusted import NotTrusted, Refusal


def read_file(path: Path, within: Path | None, shown: Path | None = None) -> bytes:
    """The bytes of a file. `within` is the real path of the untrusted folder that it belongs to, `shown` its path in
    errors.

    Raises NotTrusted, and what `files.read_file` does.
    """
    if within is None:
        return files.read_file(path)
    return files.read_descriptor(_open(path, within, shown or path))


def read_text(path: Path, within: Path | None, shown: Path | None = None) -> str:
    """The text of such a file. Raises ConfigError and OSError."""
    return files.as_text(read_file(path, within, shown))


def why_unreadable(path: Path, exc: OSError) -> str:
    """What to say of a file that could not be opened."""
    if isinstance(exc, FileNotFoundError) and path.is_symlink():
        return "is a link to a file that is not there"
    return f"cannot be read: {exc.strerror}"


def leads_out(path: Path, within: Path) -> bool:
    """Whether a path, with all its links, ends outside of the folder."""
    return not Path(os.path.realpath(path)).is_relative_to(within)


def check_folder(path: Path, within: Path | None, shown: Path) -> None:
    """Raises NotTrusted if a folder is outside of the untrusted one that it belongs to."""
    if within is not None and leads_out(path, within):
        raise _leaving(path, shown)


def _open(path: Path, within: Path, shown: Path) -> int:
    real = Path(os.path.realpath(path))
    if not real.is_relative_to(within):
        raise _leaving(path, shown)
    descriptor = _walk(within, real.relative_to(within).parts)
    try:
        state = os.fstat(descriptor)
        if state.st_nlink > 1:
            # Its other names are unknown: an archive may contain a hard link to ~/.ssh/id_rsa.
            raise _refused(shown, "it is a hard link, which may be of a file outside", "a hard link")
        if found := _exposed(state):
            raise _refused(shown, found, found)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _walk(folder: Path, parts: tuple[str, ...]) -> int:
    """Open a path component by component, so that none can be replaced by a link after the check."""
    if sys.platform == "win32":
        return os.open(folder.joinpath(*parts), files.FLAGS)
    descriptor = os.open(folder, files.FLAGS | os.O_DIRECTORY)
    for number, part in enumerate(parts, 1):
        wanted = files.FLAGS | os.O_NOFOLLOW | (os.O_DIRECTORY if number < len(parts) else 0)
        try:
            following = os.open(part, wanted, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = following
    return descriptor


def _leaving(path: Path, shown: Path) -> NotTrusted:
    return _refused(shown, "it leads out of the folder", f"leads to {os.path.realpath(path)}")


def _refused(path: Path, found: str, asks: str) -> NotTrusted:
    why = f"{found}, and the folder is not trusted"
    return NotTrusted(Refusal(str(path), "", why, f"{path}: {asks}"))


def exposed(path: Path) -> str | None:
    """Which other user can change a file; None if none can, or if the system does not say."""
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
