"""A free port for a program that cannot pick one itself."""

import random
import socket
from contextlib import suppress


def free_port() -> int:
    """A port that nothing listens on, and that the system gives to no connection meanwhile: it is below those."""
    while True:
        with suppress(OSError), socket.create_server(("127.0.0.1", random.randint(12000, 32000))) as sock:
            return int(sock.getsockname()[1])
