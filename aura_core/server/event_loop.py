"""Run the server on an event loop that plugins can neither stop nor keep from ending."""

import asyncio
import logging
import signal
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

from aura_core.limits import CLEANUP_LIMIT

log = logging.getLogger("aura.server")


def run(main: Coroutine[Any, Any, None], make_loop: Callable[[], asyncio.AbstractEventLoop] | None) -> list[Any]:
    """Run `main`, then cancel the remaining tasks, which get `CLEANUP_LIMIT` seconds in all.

    Unlike `asyncio.run` it continues when a task or a callback raises SystemExit or KeyboardInterrupt, which asyncio
    passes on to the caller of the loop, and when something stops the loop. Returns the tasks and threads that did not
    end. Keep references to them and leave with `os._exit`: collecting such a task would run it once more, and the
    interpreter would wait for the threads.
    """
    loop = (make_loop or asyncio.new_event_loop)()
    try:
        _drive(loop, loop.create_task(main))
    finally:
        left = _end(loop)
        if not left:
            loop.close()
    return left


def _drive(loop: asyncio.AbstractEventLoop, task: "asyncio.Task[Any]") -> None:
    while not task.done():
        try:
            loop.run_until_complete(task)
        except BaseException as exc:
            if task.done() or loop.is_closed() or _is_ctrl_c(exc):
                raise
            log.error("a task or callback of a plugin would have ended the server, which continues", exc_info=exc)
    task.result()


def _is_ctrl_c(exc: BaseException) -> bool:
    """Whether a person pressed Ctrl-C: while the server runs, it has its own handler."""
    return (
        isinstance(exc, KeyboardInterrupt)
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )


def _end(loop: asyncio.AbstractEventLoop) -> list[Any]:
    """Cancel all tasks, and wait a limited time for them and for threads. Returns those that still run."""
    if loop.is_closed():
        return []
    end = time.monotonic() + CLEANUP_LIMIT
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    tasks |= {loop.create_task(loop.shutdown_asyncgens()), loop.create_task(loop.shutdown_default_executor())}
    _drive(loop, loop.create_task(_wait(tasks)))
    left: list[Any] = [task for task in tasks if not task.done()]
    if threading.current_thread() is threading.main_thread():
        threads = [each for each in threading.enumerate() if not each.daemon and each is not threading.main_thread()]
        for thread in threads:
            thread.join(max(0, end - time.monotonic()))
        left += [thread for thread in threads if thread.is_alive()]
    return left


async def _wait(tasks: "set[asyncio.Task[Any]]") -> None:
    done, _ = await asyncio.wait(tasks, timeout=CLEANUP_LIMIT)
    for task in done:
        if not task.cancelled() and (exc := task.exception()) is not None:
            log.error("%s failed at the end", task.get_name(), exc_info=exc)
