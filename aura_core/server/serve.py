"""Run the server: listen, open what agents need, answer, drain on SIGTERM and Ctrl-C, leave."""

import asyncio
import ctypes
import gc
import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import Any

import uvicorn

from aura_core.budget import Budget
from aura_core.limits import (
    BACKLOG,
    FORCED_SHUTDOWN,
    LAST_EVENT_TIME,
    MAPPED_SIZE,
    SAME_SIGNAL,
    TICK,
    TRIM_SIZE,
)
from aura_core.runtime import Runtime
from aura_core.server import event_loop
from aura_core.server.app import own_app
from aura_core.server.departures import Departures
from aura_core.server.reload import watch
from aura_core.server.systemd import Overseer, Systemd
from aura_core.server.uvicorn_protocol import Protocol
from aura_core.server.vitals import Vitals

log = logging.getLogger("aura.server")

# mallopt(3)
M_ARENA_MAX = -8
M_MMAP_THRESHOLD = -3


class DrainingServer(uvicorn.Server):
    """uvicorn that drains: running answers continue, new ones are refused, and after a time limit each remaining answer
    ends with an error event."""

    def __init__(
        self,
        runtime: Runtime,
        listening: Callable[[], None] | None = None,
        chosen: Callable[[str], None] | None = None,
        settled: Callable[[], None] | None = None,
        overseer: Overseer | None = None,
    ) -> None:
        """`listening` is called as soon as the server listens; `chosen` is called with a sentence that says which
        provider serves agents without one, if there are such; `settled` is called when the agents' clients are open.
        `overseer` hears how the server does.
        """
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waking = asyncio.Event()
        super().__init__(
            uvicorn.Config(
                own_app(runtime),
                interface="asgi3",  # it would look for a coroutine function
                # uvicorn only calls it; it need not be a class.
                http=partial(  # type: ignore[arg-type]
                    Protocol,
                    write_timeout=runtime.settings.server.write_timeout,
                    budget=runtime.budget,
                    refusals=runtime.refused,
                    departures=Departures(),
                ),
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=BACKLOG,
                timeout_keep_alive=runtime.settings.server.keep_alive,  # type: ignore[arg-type]  # a float works
                timeout_graceful_shutdown=FORCED_SHUTDOWN,
            )
        )
        self._runtime = runtime
        runtime.connections = lambda: len(self.server_state.connections)
        self._listening = listening
        self._chosen = chosen
        self._settled = settled
        self._overseer = overseer or Systemd({})
        self._tasks: set[asyncio.Task[None]] = set()
        self._signalled_at = 0.0
        self.left: list[Any] = []

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal ends it. Afterwards `left` holds the tasks and threads of plugins that did not end."""
        try:
            self.left = event_loop.run(self.serve(sockets), self.config.get_loop_factory())
        finally:
            self._runtime.tell()  # of answers that a second signal cut

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen; then open the clients that agents use, in the background."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self._listening is not None:
            self._listening()
        self._overseer.ready()
        if self._overseer.sign_every is not None:
            self._background(self._give_signs(self._overseer.sign_every))
        self._background(self._warm())
        self._background(watch(self._runtime))

    @property
    def should_exit(self) -> bool:
        """Whether the server ends; uvicorn sets it as well."""
        return self._should_exit

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        self._should_exit = value
        if value and self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._waking.set)

    async def main_loop(self) -> None:
        """Wait until the server ends, and do each second what a server does unasked, all of it at once: an idle process
        that looks ten times a second whether it ends, as uvicorn's own loop does, takes half a percent of a core."""
        loop = asyncio.get_running_loop()
        vitals, memory = Vitals(self._runtime), _Memory(self._runtime.budget)
        while not await self.on_tick(0):  # it sets the header Date, too
            due = loop.time() + TICK
            timer = loop.call_at(due, self._waking.set)
            await self._waking.wait()
            self._waking.clear()
            timer.cancel()
            vitals.look(max(0.0, loop.time() - due))
            memory.look()

    async def _warm(self) -> None:
        choice = await self._runtime.bindings.choose()
        if choice is not None and self._chosen is not None:
            self._chosen(choice)
        await self._runtime.warm()
        if self._settled is not None:
            self._settled()

    async def _give_signs(self, every: float) -> None:
        while True:
            self._overseer.alive()
            await asyncio.sleep(every)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let SIGHUP drain, too: a closed terminal sends it, and some supervisors do."""
        with super().capture_signals():
            hangup = getattr(signal, "SIGHUP", None)
            # `nohup` ignores it; keep that.
            if (
                hangup is None
                or threading.current_thread() is not threading.main_thread()
                or signal.getsignal(hangup) is signal.SIG_IGN
            ):
                yield
                return
            previous = signal.signal(hangup, self.handle_exit)
            try:
                yield
            finally:
                signal.signal(hangup, previous)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal drains, a second one exits at once."""
        now = time.monotonic()
        if self._loop is None:
            self.should_exit = self.force_exit = True
            return
        if self._runtime.stopping:
            if now - self._signalled_at > SAME_SIGNAL:
                self.should_exit = self.force_exit = True
                logging.getLogger("uvicorn.error").disabled = True  # no tracebacks of cut requests
            return
        self._signalled_at = now
        self._runtime.stopping = True
        # At once, not when the loop gets to it.
        self._runtime.draining = not self._runtime.settings.server.drain_delay
        self._overseer.stopping()
        self._loop.call_soon_threadsafe(self._background, self._drain())

    async def _drain(self) -> None:
        if delay := self._runtime.settings.server.drain_delay:
            log.info("shutting down; new requests are taken for %g s, until balancers know it", delay)
            await asyncio.sleep(delay)
            self._runtime.draining = True
        relays = self._runtime.relays
        limit = self._runtime.settings.server.drain_timeout
        if relays:
            log.info("shutting down; answers under way: %d, which get %g s to end", len(relays), limit)
        await self._until_idle(limit)
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End what still runs with an event, then stop listening and close what clients agents had."""
        self._runtime.stopping = self._runtime.draining = True
        for relay in list(self._runtime.relays):
            relay.fail("server_shutdown", "The server is shutting down; try again in a moment.")
        if not self.force_exit:
            await self._until_idle(LAST_EVENT_TIME)
        for task in self._tasks:
            task.cancel()
        await super().shutdown(sockets)

    async def _until_idle(self, seconds: float) -> None:
        end = asyncio.get_running_loop().time() + seconds
        while self._runtime.relays and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.02)

    def _background(self, coroutine: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def serve(
    runtime: Runtime,
    sockets: list[socket.socket],
    listening: Callable[[], None] | None = None,
    chosen: Callable[[str], None] | None = None,
    overseer: Overseer | None = None,
) -> list[Any]:
    """Serve on listening sockets until a signal ends it; see DrainingServer for the functions and the overseer.

    Returns the tasks and threads of plugins that did not end; while there are any, leave with `os._exit`.
    """

    def settled() -> None:
        # These objects live until the end: scanning them again and again costs 13-15 % of a request.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)

    _set_up_memory()
    server = DrainingServer(runtime, listening, chosen, settled, overseer)
    server.run(sockets)
    if server.left:
        log.error("ended without waiting for: %s", ", ".join(map(_name, server.left)))
    return server.left


def _name(left: "asyncio.Task[Any] | threading.Thread") -> str:
    return f"thread {left.name}" if isinstance(left, threading.Thread) else f"task {left.get_name()}"


class _Memory:
    """Gives memory back to the system each time that a crowd of clients has gone: glibc keeps what it freed."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._high = 0
        self._trim = _libc("malloc_trim")

    def look(self) -> None:
        """Do so if they have gone since the last time."""
        held = self._budget.held
        self._high = max(self._high, held)
        if self._trim is not None and self._high > TRIM_SIZE and held < self._high / 4:
            self._trim(0)
            self._high = held


def _set_up_memory() -> None:
    """Let glibc keep less memory.

    One arena for all threads, as only the loop's thread allocates much, saves 4 MiB that the short-lived threads which
    open clients would leave behind. A fixed size from which on an allocation is mapped by itself, and so returned when
    it is freed: glibc raises that size to the largest one freed so far, megabytes after the first long prompt.
    """
    if (mallopt := _libc("mallopt")) is not None:
        mallopt(M_ARENA_MAX, 1)
        mallopt(M_MMAP_THRESHOLD, MAPPED_SIZE)


def _libc(function: str) -> Any:
    """A function of glibc; None with another C library, or on Windows."""
    with suppress(AttributeError, OSError, TypeError):
        return getattr(ctypes.CDLL(None), function)
    return None
