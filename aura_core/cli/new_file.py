"""Write a file that is not there yet."""

from pathlib import Path

from aura_core.errors import ConfigError


def write_new(path: Path, text: str) -> bool:
    """Write the file and the folders above it; False where it is there already. Raises ConfigError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as exc:
        if isinstance(exc, FileExistsError) and path.exists():  # or a file stands where its folder should
            return False
        raise ConfigError(f"{exc.filename or path}: cannot be written: {exc.strerror}") from None
    return True
