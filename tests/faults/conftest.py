"""Servers that misbehave below HTTP, and a check that a fault leaks nothing."""

import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from leak_check import LeakCheck

from aura_core.testing import AuraServer, SseEvent

Talk = Callable[[socket.socket, int], None]
Checked = Callable[..., list[SseEvent]]


class RawServer:
    """A listening socket: `talk(connection, number)` runs in a thread for each accepted connection."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection, self.connections), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        connection.settimeout(30)
        try:
            with connection:
                self._talk(connection, number)
        except OSError:
            pass

    def close(self) -> None:
        # Closing the socket does not wake a thread in accept().
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture(scope="module")
def raw_server() -> Iterator[Callable[[Talk], RawServer]]:
    """Start servers whose behaviour is a function."""
    started: list[RawServer] = []

    def start(talk: Talk) -> RawServer:
        started.append(RawServer(talk))
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture
def asked() -> Checked:
    """Send a request to a faulty agent: one terminal event, no leak, and the next request (to `ok`) is served."""

    def ask(aura: AuraServer, agent: str, prompt: str = "Hello") -> list[SseEvent]:
        assert aura.ask("ok")[-1].name == "done"
        rest = LeakCheck(aura)
        events = aura.ask(agent, prompt)
        names = [event.name for event in events]
        assert [name for name in names if name in ("done", "error")] == names[-1:], names[-3:]
        assert aura.ask("ok")[-1].name == "done", "the next request must be served"
        rest.check()
        return events

    return ask
