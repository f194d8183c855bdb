"""Notice edits while the server runs: agents and tokens are read again, settings ask for a restart.

File events only say when to look. Many edits cause none: of a file behind a link, on a network drive, in a container's
mount, or if the system has no watch left. So names, sizes and times are compared every second as well.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import Literal

import watchfiles

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
    """Log a line for each change, for as long as the server runs.

    One thread does it all, and tells the event loop only of changes: a server that idles hardly wakes up.
    """
    loop = asyncio.get_running_loop()
    edited, rekeyed, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
    watched, stop = _Watched(runtime), threading.Event()

    def tell(call: Callable[..., object], *values: object) -> None:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(call, *values)

    def run() -> None:
        try:
            _follow(watched, stop, tell, edited, rekeyed)
        finally:
            tell(ended.set)

    # Apart from the watch: a client that does not open must delay no edit.
    async with asyncio.TaskGroup() as group:
        group.create_task(_whenever(edited, runtime.warm, "what edited agents need could not be opened"))
        group.create_task(_whenever(rekeyed, runtime.providers.follow_key_files, "a changed key could not be taken"))
        # Never a daemon, as the interpreter must not end while it is in Rust.
        threading.Thread(target=run, name="aura-reload", daemon=False).start()
        try:
            await ended.wait()
        finally:
            stop.set()
            await ended.wait()


async def _whenever(event: asyncio.Event, do: Callable[[], Awaitable[object]], fault: str) -> None:
    while True:
        await event.wait()
        event.clear()
        try:
            await do()
        except Exception:  # all stays as it was; the watch goes on
            log.exception(fault)


def _follow(
    watched: "_Watched", stop: threading.Event, tell: Callable[..., None], edited: asyncio.Event, rekeyed: asyncio.Event
) -> None:
    """Look at the files until `stop`; `tell` calls in the event loop what is due there."""
    runtime = watched.runtime
    secrets: list[str] = []
    unannounced = 0  # changes in a row without an event
    fault = ""  # the last one, so that it is logged once
    for wakeup in _wakeups(watched.roots, stop):
        if not threading.main_thread().is_alive():  # the interpreter ends, and nobody has stopped the server
            return
        try:
            settings, agents = watched.look()
            if agents:
                tell(edited.set)
            if secrets != (secrets := runtime.settings.clients.secrets):
                tell(runtime.add_secrets, secrets)
            if runtime.providers.have_new_keys():
                tell(rekeyed.set)
            fault = ""
        except Exception as exc:
            if fault != (fault := repr(exc)):
                log.exception("changes are not seen until this is over")
            continue
        unannounced = 0 if wakeup == "event" else unannounced + (settings or agents)
        if unannounced == 2 and wakeup == "timeout":  # the event of a single change may be late
            log.info("changes of some files cause no events; they are seen within %g s", RELOAD_TIMEOUT / 1000)


def _wakeups(roots: Callable[[], Roots], stop: threading.Event) -> Iterator[Wakeup]:
    """Yield whenever something may have changed, and at least every RELOAD_TIMEOUT ms, with the reason."""
    refused = False
    while not stop.is_set():
        try:
            before = roots()
            # Without a filter, as the changes that it hides would delay the timeout.
            changes = watchfiles.watch(
                *before,
                watch_filter=None,
                recursive=False,
                debounce=RELOAD_DEBOUNCE,
                step=RELOAD_STEP,
                stop_event=stop,
                rust_timeout=RELOAD_TIMEOUT,
                yield_on_timeout=True,
            )
            with closing(changes) as sets:
                for changed in sets:
                    if refused:
                        log.info("file events are available again")
                        refused = False
                    yield "event" if changed else "timeout"
                    if roots() != before:
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
            if stop.wait(RELOAD_TIMEOUT / 1000):
                return
            yield "no events"


class _Watched:
    """The agents and settings files of a runtime, as of the last look."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        # Unresolved paths, as a link may be retargeted.
        self._directory = runtime.settings.directory.absolute()
        paths = [path.absolute() for path in runtime.settings.files or [Path(FILE)]]
        self._settings = {path: (_version(path), _text(path, _within(path, runtime))) for path in paths}
        self._problem = runtime.agents.problem

    def roots(self) -> Roots:
        """The folders to watch."""
        found = {}
        for root in _roots(self._directory, self._settings, self.runtime.agents.within):
            try:
                status = root.stat()
            except OSError:
                continue
            found[root] = status.st_dev, status.st_ino
        return found

    def look(self) -> tuple[bool, bool]:
        """Log what has changed since the last look. Returns whether settings and whether agents have changed."""
        self.runtime.settings.clients.reload()
        return self._look_at_settings(), self._look_at_agents()

    def _look_at_settings(self) -> bool:
        changed = False
        for path, (known, before) in self._settings.items():
            version = _version(path)
            if version is not None and version == known:
                continue
            text = _text(path, _within(path, self.runtime))
            self._settings[path] = version, text
            if text != before:
                self._tell_of_settings(path)
                changed = True
        return changed

    def _tell_of_settings(self, path: Path) -> None:
        """Say what a restart would make of the settings: who edits them is still there."""
        try:
            faults = self.runtime.faults_of_settings()
        except ConfigError as exc:
            log.warning("%s changed and cannot be used: %s; correct it before a restart, nothing is applied", path, exc)
            return
        for fault in faults:
            log.warning("%s changed: %s", path, fault)
        log.info("%s changed; restart to apply", path)

    def _look_at_agents(self) -> bool:
        agents = self.runtime.agents
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
    named = {each for path in (directory, *config) for each in (path, *path.parents)}
    links = {each.parent for each in named if each.is_symlink()}
    # The directory may appear late, or vanish and come back: then the nearest folder above it is watched. On Windows
    # even the drive may be missing.
    folders = (folder for folder in (directory, *directory.parents) if not (within and leads_out(folder, within)))
    nearest = islice((folder.resolve() for folder in folders if folder.is_dir()), 1)
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
