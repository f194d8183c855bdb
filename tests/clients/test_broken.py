"""Each scenario fails with an intentionally broken door: every client's test can fail."""

from collections.abc import Iterator

import pytest
from broken_door import BREAKS
from environments import CLIENTS, Client
from playing import Driver, Servers, broken_command, scenarios_of
from scenarios import CHECKS

FIRST = CLIENTS[0]


@pytest.fixture(scope="module", params=BREAKS)
def broken(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Servers]]:
    folder = tmp_path_factory.mktemp("broken")
    with Servers(folder, broken_command(request.param)).running() as servers:
        yield request.param, servers


@pytest.mark.parametrize(
    "client",
    [pytest.param(c, id=c.name, marks=() if c is FIRST else pytest.mark.clients) for c in CLIENTS],
)
def test_a_broken_door_is_seen(broken: tuple[str, Servers], client: Client) -> None:
    name, servers = broken
    if client.missing:
        pytest.skip(client.missing)
    wanted = [scenario for scenario in BREAKS[name][1] if scenario in scenarios_of(client)]
    driver = Driver(client, servers)
    try:
        for scenario in wanted:
            with pytest.raises(AssertionError):
                CHECKS[scenario](driver.play(scenario))
    finally:
        driver.stop()


def test_every_scenario_is_broken_by_something() -> None:
    assert {scenario for _, scenarios in BREAKS.values() for scenario in scenarios} == set(CHECKS)
