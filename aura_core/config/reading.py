"""Read what people wrote: of an untrusted folder only plain files that lie in it and that no other user can change."""

import os
import stat
import sys
from pathlib import Path

from aura_core import files
from aura_core.config.untrusted import NotTrusted, Refusal


def read_file(path: Path, within: Path | None, shown: Path | None = None) -> bytes:
    """The bytes of a file; `within` is the real path of the untrusted folder that it belongs to, `shown` its path as
    errors have it.

    Raises NotTrusted, and what `files.read_file` does.
    """
    if within is None:
        return files.read_file(path)
    return files.read_descriptor(_open(path, within, shown or path))


def read_text(path: Path, within: Path | None, shown: Path | None = None) -> str:
    """The text of such a file. Raises ConfigError and OSError."""
    return files.as_text(read_file(path, within, shown))


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
