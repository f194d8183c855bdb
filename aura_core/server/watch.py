"""Notice edits while the server runs: agents are read again, settings ask for a restart."""

import asyncio
import logging
from collections.abc import Iterable
from pathlib import Path

from watchfiles import awatch

from aura_core.runtime import Runtime
from aura_core.settings import FILE

log = logging.getLogger("aura.agents")

DEBOUNCE = 200  # milliseconds; an editor writes a file in several steps
TIMEOUT = 1000  # milliseconds
PAUSE = 10.0  # seconds after a failure


async def watch(runtime: Runtime) -> None:
    """Log a line for each change, for as long as the server runs."""
    # As they were named: what is reached over a link is another folder when the link is set anew.
    directory = runtime.settings.directory.absolute()
    config = [path.absolute() for path in runtime.settings.files or [Path(FILE)]]
    texts = {path: _text(path) for path in config}
    while True:
        try:
            await _watch(runtime, directory, texts)
        except Exception:  # a limit of the system, a folder that may not be looked at: answers go on
            log.exception("changes are not seen for the next %g s", PAUSE)
            await asyncio.sleep(PAUSE)


async def _watch(runtime: Runtime, directory: Path, texts: dict[Path, bytes | None]) -> None:
    """Until there are other folders to watch. `texts` are the files of the settings, as they were told of."""
    roots = _roots(directory, texts)
    settled = False  # events only tell when to look, and between two watches they are lost
    async for changes in awatch(
        *roots, recursive=False, debounce=DEBOUNCE, step=50, rust_timeout=TIMEOUT, yield_on_timeout=True
    ):
        if changes or not settled:  # once after a timeout: what happened before the watch began
            settled = not changes
            for path, before in texts.items():
                texts[path] = _text(path)
                if texts[path] != before:
                    log.info("%s changed; restart to apply", path)
            await _reload(runtime)
        if _roots(directory, texts) != roots:
            return


def _roots(directory: Path, config: Iterable[Path]) -> set[Path]:
    """The folders in which something may happen that matters."""
    named = [directory, *config]
    links = {link.parent for path in named for link in (path, *path.parents) if link.is_symlink()}
    # The directory may appear late, or go away and come back: then its parent tells.
    return links | {_existing(directory)} | {path.parent for path in config if path.parent.is_dir()}


def _text(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


async def _reload(runtime: Runtime) -> None:
    lines = await asyncio.to_thread(runtime.agents.reload)  # a large folder takes its time
    for line in lines:
        log.info("%s", line)
    if lines:
        await runtime.warm()


def _existing(directory: Path) -> Path:
    """Where it is, or the nearest folder above it that is there."""
    while not directory.is_dir():
        directory = directory.parent
    return directory.resolve()
