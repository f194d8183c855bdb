"""Existing clients send requests to a real server, and show the expected results."""

from collections.abc import Callable
from typing import Any

import pytest
from environments import CLIENTS, Client
from playing import Driver, scenarios_of
from scenarios import CHECKS

EVERYBODY = {"stream", "whole"}
MOST = set(CHECKS) - {"models", "reasoning", "length"}


def marks(client: Client) -> Any:
    return () if client.quick else pytest.mark.clients


PLAYED = [
    pytest.param(client, scenario, id=f"{client.name}-{scenario}", marks=marks(client))
    for client in CLIENTS
    for scenario in scenarios_of(client)
]


@pytest.mark.parametrize(("client", "scenario"), PLAYED)
def test_a_client_sees_what_it_must(client: Client, scenario: str, driver_of: Callable[[Client], Driver]) -> None:
    CHECKS[scenario](driver_of(client).play(scenario))


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_no_client_is_tried_with_less_than_it_can(client: Client) -> None:
    played = set(scenarios_of(client))
    assert played >= EVERYBODY
    if client.name != "aider":  # a command that prints what it wants
        assert played >= MOST
