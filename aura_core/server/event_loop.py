"""Run the server to its end on an event loop that no plugin can stop, and whose end no plugin can hold up."""

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
    """Run `main`, then cancel what is left, which gets `CLEANUP_LIMIT` seconds in all.

    Unlike `asyncio.run` it goes on when a task or a callback raises SystemExit or KeyboardInterrupt, which asyncio lets
    through to whoever runs the loop, and when something stops the loop. Returns the tasks and threads that did not end.
    Keep them until the process ends, without the interpreter's own clean-up: whoever collects such a task runs it once
    more, and the interpreter waits for threads.
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
            log.error("what a plugin had started would have ended the server, which goes on", exc_info=exc)
    task.result()


def _is_ctrl_c(exc: BaseException) -> bool:
    """Whether a person asked for it: the server has a handler of its own while it runs."""
    return (
        isinstance(exc, KeyboardInterrupt)
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )


def _end(loop: asyncio.AbstractEventLoop) -> list[Any]:
    """Cancel all tasks, and wait for them and for threads, not for ever. Gives those that go on."""
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
