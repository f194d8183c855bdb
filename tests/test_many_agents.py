"""Thousands of agents: the list is built once for all requests, outside the event loop, and always up to date."""

import asyncio
import threading
from pathlib import Path

import httpx
import msgspec
import pytest

from aura_core.clients import DEFAULT, Client
from aura_core.config import settings
from aura_core.door import AgentInfo
from aura_core.doors.native import LIST, AgentList
from aura_core.runtime import Runtime
from aura_core.server.listing import Listing
from aura_core.testing import AuraServer

AGENT = "---\nname: Agent {0}\nprovider: echo\nmodel: m\noptions: {{text: hi}}\n---\nYou are {0}.\n"


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    for number in range(50):
        (tmp_path / f"agent{number}.md").write_text(AGENT.format(number))
    return Runtime(settings.load({"agents.directory": str(tmp_path)}, {}), {"AURA_PLUGINS": "echo"})


def _names(body: bytes) -> list[str]:
    return [agent.name for agent in msgspec.json.decode(body, type=AgentList).agents]


def test_a_list_is_built_once_for_all_requests_and_not_on_the_loop(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []
    infos = runtime.bindings.agent_infos

    def counted(answering: bool = False, client: Client = DEFAULT) -> list[AgentInfo]:
        threads.append(threading.current_thread())
        return infos()

    monkeypatch.setattr(runtime.bindings, "agent_infos", counted)
    listing = Listing(runtime, runtime.doors.native, LIST)

    async def ask() -> list[bytes]:
        return [*await asyncio.gather(*(listing.body(DEFAULT) for _ in range(20))), await listing.body(DEFAULT)]

    answers = asyncio.run(ask())
    assert len(_names(answers[0])) == 50
    assert set(answers) == {answers[0]}
    assert [thread is threading.main_thread() for thread in threads] == [False]


def test_a_list_is_up_to_date(runtime: Runtime) -> None:
    listing = Listing(runtime, runtime.doors.native, LIST)

    async def ask() -> None:
        assert "Agent 7" in _names(await listing.body(DEFAULT))
        (runtime.agents.directory / "agent7.md").write_text(AGENT.format("seven"))
        await asyncio.to_thread(runtime.agents.reload)
        assert "Agent seven" in _names(await listing.body(DEFAULT))
        before = msgspec.json.decode(await listing.body(DEFAULT), type=AgentList).agents
        (runtime.agents.directory / "agent7.md").write_text("Hi.")
        runtime.agents.reload()
        runtime.providers.instances["echo"].remember_model("another")
        after = msgspec.json.decode(await listing.body(DEFAULT), type=AgentList).agents
        assert (before[0].model, {agent.model for agent in after}) == ("m", {"m", "another"})

    asyncio.run(ask())


def test_a_change_while_a_list_is_made_is_in_the_next(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = Listing(runtime, runtime.doors.native, LIST)
    infos = runtime.bindings.agent_infos

    def changing(answering: bool = False, client: Client = DEFAULT) -> list[AgentInfo]:
        found = infos()
        monkeypatch.setattr(runtime.bindings, "agent_infos", infos)
        (runtime.agents.directory / "agent7.md").write_text(AGENT.format("seven"))
        runtime.agents.reload()
        return found

    monkeypatch.setattr(runtime.bindings, "agent_infos", changing)
    assert "Agent seven" in _names(asyncio.run(listing.body(DEFAULT)))


def test_a_list_that_cannot_be_made_fails_its_own_request_alone(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(answering: bool = False, client: Client = DEFAULT) -> list[AgentInfo]:
        monkeypatch.undo()
        raise ValueError

    monkeypatch.setattr(runtime.bindings, "agent_infos", broken)
    listing = Listing(runtime, runtime.doors.native, LIST)

    async def ask() -> None:
        with pytest.raises(ValueError, match=r"^$"):
            await listing.body(DEFAULT)
        assert len(_names(await listing.body(DEFAULT))) == 50

    asyncio.run(ask())


def test_the_route_gives_it(tmp_path: Path) -> None:
    with AuraServer(tmp_path, {"a.md": AGENT.format("a")}) as aura:
        response = httpx.get(f"{aura.url}/api/agents", trust_env=False, timeout=30)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert [agent["name"] for agent in response.json()["agents"]] == ["Agent a"]
