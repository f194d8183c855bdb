"""Tell Ctrl-C, which ends a command, from a KeyboardInterrupt that a plugin raises, which costs only that plugin."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def plugin_code() -> Iterator[None]:
    """Run a plugin's code. A KeyboardInterrupt of its own becomes a RuntimeError.

    Raises KeyboardInterrupt only where Ctrl-C was pressed meanwhile, even where the plugin has swallowed it.
    """
    pressed: list[int] = []
    try:
        with _recorded(pressed):
            yield
    except KeyboardInterrupt as exc:
        if not pressed:
            raise RuntimeError("it raises KeyboardInterrupt") from exc
        raise
    except BaseException as exc:
        if pressed:
            raise KeyboardInterrupt from exc
        raise
    if pressed:
        raise KeyboardInterrupt


@contextmanager
def _recorded(pressed: list[int]) -> Iterator[None]:
    """Note each Ctrl-C, which raises KeyboardInterrupt as before."""

    def note(number: int, frame: FrameType | None) -> None:
        pressed.append(number)
        signal.default_int_handler(number, frame)

    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is not signal.default_int_handler:
        yield  # Ctrl-C goes to a handler of the server, of asyncio, or of a block around this one
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
