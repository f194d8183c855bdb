"""Write a file that does not exist yet."""

from pathlib import Path

from aura_core.errors import ConfigError


def write_new(path: Path, text: str) -> bool:
    """Write the file and the folders above it; False where it exists already. Raises ConfigError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as exc:
        if isinstance(exc, FileExistsError) and path.exists():  # else a file has the name of its folder
            return False
        raise ConfigError(f"{exc.filename or path}: cannot be written: {exc.strerror}") from None
    return True
