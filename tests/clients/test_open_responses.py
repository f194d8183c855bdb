"""What `/v1/responses` sends is what Open Responses publishes: every event and every response, of every demo agent."""

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from environments import TYPES
from playing import Servers

AGENTS = ["echo", "thinker", "cut", "filtered", "silent", "whole", "fails-midway", "fails-at-once"]
ENDS = {
    "cut": "response.incomplete",
    "filtered": "response.incomplete",
    "fails-midway": "response.failed",
    "fails-at-once": "response.failed",
}


Faults = Callable[[list[Any]], list[str]]


@pytest.fixture(scope="module")
def faults() -> Iterator[Faults]:
    """What the published types say against values, in an environment of their own."""
    if TYPES.missing:
        pytest.skip(TYPES.missing)
    with subprocess.Popen(TYPES.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        ins, outs = process.stdin, process.stdout
        assert ins is not None
        assert outs is not None

        def of(values: list[Any]) -> list[str]:
            found: list[str] = []
            for value in values:
                ins.write(json.dumps(value) + "\n")
                ins.flush()
                found += json.loads(outs.readline())
            return found

        yield of


def ask(servers: Servers, agent: str, stream: bool) -> httpx.Response:
    body = {"model": agent, "input": "Hello world", "stream": stream}
    return httpx.post(f"{servers.demo.url}/v1/responses", json=body, timeout=60, trust_env=False)


@pytest.mark.parametrize("agent", AGENTS)
def test_events_are_as_published(servers: Servers, faults: Faults, agent: str) -> None:
    blocks = [block for block in ask(servers, agent, stream=True).text.split("\n\n") if block.startswith("event: ")]
    values = [json.loads(block.partition("\ndata: ")[2]) for block in blocks]
    assert faults(values) == []
    assert values[0]["type"] == "response.created"
    assert values[-1]["type"] == ENDS.get(agent, "response.completed")


@pytest.mark.parametrize("agent", [agent for agent in AGENTS if not agent.startswith("fails")])
def test_responses_are_as_published(servers: Servers, faults: Faults, agent: str) -> None:
    assert faults([ask(servers, agent, stream=False).json()]) == []


def test_faults_are_seen(servers: Servers, faults: Faults) -> None:
    good = ask(servers, "echo", stream=False).json()
    assert faults([good | {"created_at": "today"}]) != []
    assert faults([{name: value for name, value in good.items() if name != "output"}]) != []
    assert faults([{"type": "response.output_text.delta", "sequence_number": 1, "delta": "a"}]) != []
    assert faults([{"type": "response.invented", "sequence_number": 1}]) != []
