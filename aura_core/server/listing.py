"""The list of agents as it is sent: encoded once for all who ask, and made off the loop, as there may be thousands."""

import asyncio
from typing import Any

import msgspec

from aura_core.door import AgentInfo
from aura_core.runtime import Runtime


class AgentList(msgspec.Struct, frozen=True):
    """All agents, broken ones with their error."""

    agents: list[AgentInfo]


class Listing:
    """Gives the JSON of the list, as it is now."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._state: Any = None
        self._json = b""
        self._making: asyncio.Task[None] | None = None

    async def json(self) -> bytes:
        """The encoded AgentList."""
        if self._runtime.providers.undecided:
            await self._runtime.choose()
        while self._state != self._runtime.listed_state:
            if self._making is None or self._making.done():
                self._making = asyncio.create_task(self._make(), name="aura-agent-list")
            await asyncio.shield(self._making)
        return self._json

    async def _make(self) -> None:
        state = self._runtime.listed_state  # as it was before: what changes meanwhile is made anew
        self._json = await asyncio.to_thread(lambda: msgspec.json.encode(AgentList(self._runtime.agent_infos())))
        self._state = state
