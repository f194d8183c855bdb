"""Notice edits while the server runs: agents are read again, settings ask for a restart."""

import asyncio
import logging
from collections.abc import Iterable
from pathlib import Path

from watchfiles import awatch

from aura_core.config.reading import leads_out, read_file
from aura_core.config.settings import FILE
from aura_core.errors import ConfigError
from aura_core.limits import RELOAD_DEBOUNCE, RELOAD_PAUSE, RELOAD_TIMEOUT
from aura_core.runtime import Runtime

log = logging.getLogger("aura.agents")


async def watch(runtime: Runtime) -> None:
    """Log a line for each change, for as long as the server runs."""
    # As they were named: what is reached over a link is another folder when the link is set anew.
    directory = runtime.settings.directory.absolute()
    config = [path.absolute() for path in runtime.settings.files or [Path(FILE)]]
    texts = {path: _text(path, _within(path, runtime)) for path in config}
    edited = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(_warm(runtime, edited))
        while True:
            try:
                await _watch(runtime, directory, texts, edited)
            except Exception:  # a limit of the system, a folder that may not be looked at: answers go on
                log.exception("changes are not seen for the next %g s", RELOAD_PAUSE)
                await asyncio.sleep(RELOAD_PAUSE)


async def _watch(runtime: Runtime, directory: Path, texts: dict[Path, bytes | None], edited: asyncio.Event) -> None:
    """Until there are other folders to watch. `texts` are the files of the settings, as they were told of."""
    within = runtime.agents.within
    roots = _roots(directory, texts, within)
    settled = False  # events only tell when to look, and between two watches they are lost
    async for changes in awatch(
        *roots, recursive=False, debounce=RELOAD_DEBOUNCE, step=50, rust_timeout=RELOAD_TIMEOUT, yield_on_timeout=True
    ):
        if changes or not settled:  # once after a timeout: what happened before the watch began
            settled = not changes
            for path, before in texts.items():
                texts[path] = _text(path, _within(path, runtime))
                if texts[path] != before:
                    log.info("%s changed; restart to apply", path)
            for line in await asyncio.to_thread(runtime.agents.reload):  # a large folder takes its time
                log.info("%s", line)
                edited.set()
        if _roots(directory, texts, within) != roots:
            return


def _roots(directory: Path, config: Iterable[Path], within: Path | None) -> set[Path]:
    """The folders in which something may happen that matters; of an untrusted folder only those inside."""
    named = [directory, *config]
    links = {link.parent for path in named for link in (path, *path.parents) if link.is_symlink()}
    # The directory may appear late, or go away and come back: then the nearest folder above it tells. On Windows there
    # may be none, not even the drive.
    folders = [folder for folder in (directory, *directory.parents) if not (within and leads_out(folder, within))]
    nearest = [folder.resolve() for folder in folders if folder.is_dir()][:1]
    return links | {*nearest} | {path.parent for path in config if path.parent.is_dir()}


def _within(path: Path, runtime: Runtime) -> Path | None:
    """The folder that a settings file must lie in, where that is not trusted."""
    return runtime.settings.file_within if path == Path(FILE).absolute() else None


def _text(path: Path, within: Path | None = None) -> bytes | None:
    try:
        return read_file(path, within)
    except (OSError, ConfigError):
        return None


async def _warm(runtime: Runtime, edited: asyncio.Event) -> None:
    """Open what edited agents need, apart from the watch: a client that does not open must delay no edit."""
    while True:
        await edited.wait()
        edited.clear()
        try:
            await runtime.warm()
        except Exception:  # the next request tries again; the watch goes on
            log.exception("what edited agents need could not be opened")
