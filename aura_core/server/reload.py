"""Notice edits while the server runs: agents and tokens are read again, settings ask for a restart.

File events only say when to look. Many edits cause none: of a file behind a link, on a network drive, in a container's
mount, or if the system has no watch left. So names, sizes and times are compared every second as well.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Literal

from watchfiles import awatch

from aura_core import files
from aura_core.config.agents import Fault
from aura_core.config.reading import leads_out, read_file
from aura_core.config.settings import FILE
from aura_core.errors import ConfigError
from aura_core.limits import RELOAD_DEBOUNCE, RELOAD_PAUSE, RELOAD_STEP, RELOAD_TIMEOUT
from aura_core.runtime import Runtime

log = logging.getLogger("aura.agents")

Wakeup = Literal["event", "timeout", "no events"]
Roots = dict[Path, tuple[int, int]]
"""Folders to watch, each with its device and inode: another folder of the same name needs a watch of its own."""


async def watch(runtime: Runtime) -> None:
    """Log a line for each change, for as long as the server runs."""
    watched = _Watched(runtime)
    edited = asyncio.Event()
    unannounced = 0  # changes in a row without an event
    fault = ""  # the last one, so that it is logged once
    async with asyncio.TaskGroup() as group:
        group.create_task(_warm(runtime, edited))
        group.create_task(_follow_key_files(runtime))
        async with aclosing(_wakeups(lambda: asyncio.to_thread(watched.roots))) as wakeups:
            async for wakeup in wakeups:
                try:
                    settings, agents = await asyncio.to_thread(watched.look)  # a large folder takes its time
                    runtime.add_secrets(runtime.settings.clients.secrets)
                    fault = ""
                except Exception as exc:
                    if fault != (fault := repr(exc)):
                        log.exception("changes are not seen until this is over")
                    continue
                if agents:
                    edited.set()
                unannounced = 0 if wakeup == "event" else unannounced + (settings or agents)
                if unannounced == 2 and wakeup == "timeout":  # the event of a single change may be late
                    log.info("changes of some files cause no events; they are seen within %g s", RELOAD_TIMEOUT / 1000)


async def _wakeups(roots: Callable[[], Awaitable[Roots]]) -> AsyncGenerator[Wakeup]:
    """Yield whenever something may have changed, and at least every RELOAD_TIMEOUT ms, with the reason."""
    refused = False
    while True:
        try:
            before = await roots()
            # Without a filter, as the changes that it hides would delay the timeout.
            changes = awatch(
                *before,
                watch_filter=None,
                recursive=False,
                debounce=RELOAD_DEBOUNCE,
                step=RELOAD_STEP,
                rust_timeout=RELOAD_TIMEOUT,
                yield_on_timeout=True,
            )
            async with aclosing(changes) as sets:
                async for changed in sets:
                    if refused:
                        log.info("file events are available again")
                        refused = False
                    yield "event" if changed else "timeout"
                    if await roots() != before:
                        break
            continue
        except FileNotFoundError:  # a folder that has just gone
            looks = 1
        except Exception as exc:  # the system has no watch left, or a folder may not be watched
            looks = max(1, round(RELOAD_PAUSE * 1000 / RELOAD_TIMEOUT))
            if not refused:
                refused = True
                why = str(exc) or type(exc).__name__
                log.warning(
                    "file events are not available (%s), so changes are seen within %g s", why, RELOAD_TIMEOUT / 1000
                )
        for _ in range(looks):
            await asyncio.sleep(RELOAD_TIMEOUT / 1000)
            yield "no events"


class _Watched:
    """The agents and settings files of a runtime, as of the last look."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        # Unresolved paths, as a link may be retargeted.
        self._directory = runtime.settings.directory.absolute()
        paths = [path.absolute() for path in runtime.settings.files or [Path(FILE)]]
        self._settings = {path: (_version(path), _text(path, _within(path, runtime))) for path in paths}
        self._problem = runtime.agents.problem

    def roots(self) -> Roots:
        """The folders to watch."""
        found = {}
        for root in _roots(self._directory, self._settings, self._runtime.agents.within):
            try:
                status = root.stat()
            except OSError:
                continue
            found[root] = status.st_dev, status.st_ino
        return found

    def look(self) -> tuple[bool, bool]:
        """Log what has changed since the last look. Returns whether settings and whether agents have changed."""
        self._runtime.settings.clients.reload()
        return self._look_at_settings(), self._look_at_agents()

    def _look_at_settings(self) -> bool:
        changed = False
        for path, (known, before) in self._settings.items():
            version = _version(path)
            if version is not None and version == known:
                continue
            text = _text(path, _within(path, self._runtime))
            self._settings[path] = version, text
            if text != before:
                self._tell_of_settings(path)
                changed = True
        return changed

    def _tell_of_settings(self, path: Path) -> None:
        """Say what a restart would make of the settings: who edits them is still there."""
        try:
            faults = self._runtime.faults_of_settings()
        except ConfigError as exc:
            log.warning("%s changed and cannot be used: %s; correct it before a restart, nothing is applied", path, exc)
            return
        for fault in faults:
            log.warning("%s changed: %s", path, fault)
        log.info("%s changed; restart to apply", path)

    def _look_at_agents(self) -> bool:
        agents = self._runtime.agents
        lines = agents.reload()
        if agents.problem != self._problem:
            if agents.problem is not None:
                log.warning("%s; the agents stay as they were", agents.problem)
            else:
                log.info("%s: can be read now", agents.directory)
            self._problem = agents.problem
        for line in lines:
            log.log(logging.WARNING if isinstance(line, Fault) else logging.INFO, "%s", line)
        return bool(lines)


def _roots(directory: Path, config: Iterable[Path], within: Path | None) -> set[Path]:
    """The folders in which an edit may happen; for an untrusted folder only those inside it."""
    named = [directory, *config]
    links = {link.parent for path in named for link in (path, *path.parents) if link.is_symlink()}
    # The directory may appear late, or vanish and come back: then the nearest folder above it is watched. On Windows
    # even the drive may be missing.
    folders = [folder for folder in (directory, *directory.parents) if not (within and leads_out(folder, within))]
    nearest = [folder.resolve() for folder in folders if folder.is_dir()][:1]
    return links | {*nearest} | {path.parent for path in config if path.parent.is_dir()}


def _within(path: Path, runtime: Runtime) -> Path | None:
    """The folder that a settings file must lie in, where that is not trusted."""
    return runtime.settings.file_within if path == Path(FILE).absolute() else None


def _version(path: Path) -> files.Version | None:
    try:
        return files.version(path.stat())
    except OSError:
        return None


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


async def _follow_key_files(runtime: Runtime) -> None:
    """Open a new client where the file of a key has changed, apart from the watch: opening may take seconds."""
    while True:
        await asyncio.sleep(RELOAD_TIMEOUT / 1000)
        try:
            await runtime.providers.follow_key_files()
        except Exception:  # the client before stays
            log.exception("a changed key could not be taken")
