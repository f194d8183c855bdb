"""Servers for the whole session, and a driver for each client."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from environments import Client
from playing import Driver, Servers


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with Servers(tmp_path_factory.mktemp("servers")).running() as servers:
        yield servers


@pytest.fixture(scope="session")
def driver_of(servers: Servers) -> Iterator[Callable[[Client], Driver]]:
    """The running driver of a client; it is started once, and stopped when the next client's turn comes."""
    running: list[Driver] = []

    def driver(client: Client) -> Driver:
        if client.missing:
            pytest.skip(client.missing)
        if not running or running[-1].client is not client:
            while running:
                running.pop().stop()
            running.append(Driver(client, servers))
        return running[-1]

    yield driver
    for each in running:
        each.stop()
