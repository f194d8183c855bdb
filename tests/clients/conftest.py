"""Servers for the whole session, and a driver for each client."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from environments import Client
from playing import Driver, Servers


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with Servers(tmp_path_factory.mktemp("servers")).running() as servers:
        yield servers


@pytest.fixture(scope="module")
def driver(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Driver]:
    """The client of the test's parameter."""
    client: Client = request.param
    if client.missing:
        pytest.skip(client.missing)
    driver = Driver(client, servers)
    yield driver
    driver.stop()
