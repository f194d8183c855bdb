"""Read a file that a person wrote: a regular one, of a size that has a limit, and without ever waiting for it."""

import os
import stat
from pathlib import Path

from aura_core.errors import ConfigError
from aura_core.limits import FILE_LIMIT

# A FIFO would wait for its writer, a terminal would become ours, a child of ours would get the file.
FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY"))


def read_file(path: Path) -> bytes:
    """The bytes of a regular file of at most FILE_LIMIT. Raises OSError, and ConfigError for another file,
    whose text says what it is, without its name."""
    _check(path.stat())  # before it is opened, which alone can rewind a tape
    return read_descriptor(os.open(path, FLAGS))


def read_descriptor(descriptor: int) -> bytes:
    """The same of a file that is open, with FLAGS, and closed then."""
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        status = os.fstat(descriptor)
        _check(status)
        if not status.st_size:
            return b""  # as /proc says of its files, which may make a reader wait, or lose what is read
        data = bytearray()
        while len(data) <= FILE_LIMIT and (piece := file.read(FILE_LIMIT + 1 - len(data))):
            data += piece
    if len(data) > FILE_LIMIT:
        raise _too_large()
    return bytes(data)


def as_text(data: bytes) -> str:
    """The text of such a file, which is UTF-8. Raises ConfigError."""
    try:
        # As Path.read_text has it: a BOM is not part of the text, and each line ends in LF.
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError("is not UTF-8 text; save it as UTF-8") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _check(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise ConfigError("is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError("is not a regular file")
    if status.st_size > FILE_LIMIT:
        raise _too_large()


def _too_large() -> ConfigError:
    return ConfigError(f"is larger than {FILE_LIMIT // 1024**2} MiB")
