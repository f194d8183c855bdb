"""A list of agents as it is sent: encoded once for all who ask, and made off the loop, as there may be thousands."""

import asyncio
from typing import Any

from aura_core.door import ListRoute
from aura_core.doors.table import OpenDoor, as_bytes, made
from aura_core.runtime import Runtime


class Listing:
    """Gives the body of a door's list, as it is now."""

    def __init__(self, runtime: Runtime, opened: OpenDoor, route: ListRoute) -> None:
        self._runtime = runtime
        self._opened = opened
        self._route = route
        self._state: Any = None
        self._body = b""
        self._making: asyncio.Task[None] | None = None

    async def body(self) -> bytes:
        """The encoded list. Raises Problem where the door fails."""
        if self._runtime.providers.undecided:
            await self._runtime.choose()
        while self._state != self._runtime.listed_state:
            if self._making is None or self._making.done():
                self._making = asyncio.create_task(self._make(), name="aura-agent-list")
            await asyncio.shield(self._making)
        return self._body

    async def _make(self) -> None:
        state = self._runtime.listed_state  # as it was before: what changes meanwhile is made anew
        self._body = await asyncio.to_thread(self._encode)
        self._state = state

    def _encode(self) -> bytes:
        infos = self._runtime.agent_infos(self._route.answering)
        return made(self._opened, f"encode of {self._route.path}", as_bytes, self._route.encode, infos)
