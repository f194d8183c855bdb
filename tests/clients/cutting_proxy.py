"""A server in front of another that breaks the connection in the middle of every stream."""

import socket
import threading
from contextlib import suppress

BLOCKS = 9
"""Events, comments among them, that come through: enough for some text in each of the APIs."""


class CuttingProxy:
    """Listens on a loopback port; a context manager."""

    def __init__(self, port: int) -> None:
        self._port = port

    def __enter__(self) -> "CuttingProxy":
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):  # it is closed
            while True:
                client, _ = self._server.accept()
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._port)) as server, suppress(OSError):
            threading.Thread(target=_copy, args=[client, server], daemon=True).start()
            blocks = 0
            while blocks < BLOCKS and (data := server.recv(65536)):
                client.sendall(data)
                blocks += data.count(b"\n\n")
            client.shutdown(socket.SHUT_RDWR)


def _copy(origin: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := origin.recv(65536):
            target.sendall(data)
