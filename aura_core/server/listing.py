"""A list of agents as it is sent: encoded once for all who see the same, and made off the loop, as it may be long."""

import asyncio
from typing import Any

from aura_core.clients import Client
from aura_core.door import ListRoute
from aura_core.doors.table import OpenDoor, made
from aura_core.runtime import Runtime


class Listing:
    """Gives the body of a door's list, as it is now for a client."""

    def __init__(self, runtime: Runtime, opened: OpenDoor, route: ListRoute) -> None:
        self._runtime = runtime
        self._opened = opened
        self._route = route
        self._views: dict[tuple[str, ...], _View] = {}  # by what clients may see, which few settings say

    async def body(self, client: Client) -> bytes:
        """The encoded list. Raises Problem where the door fails."""
        if self._runtime.providers.undecided:
            await self._runtime.bindings.choose()
        view = self._views.setdefault(client.agents, _View())
        while view.state != self._runtime.bindings.listed_state:
            if view.making is None or view.making.done():
                view.making = asyncio.create_task(self._make(view, client), name="aura-agent-list")
            await asyncio.shield(view.making)
        return view.body

    async def _make(self, view: "_View", client: Client) -> None:
        state = self._runtime.bindings.listed_state  # as it was before: what changes meanwhile is made anew
        view.body = await asyncio.to_thread(self._encode, client)
        view.state = state

    def _encode(self, client: Client) -> bytes:
        infos = self._runtime.bindings.agent_infos(self._route.answering, client)
        return made(self._opened, "encode", self._route.path, self._route.encode, infos)


class _View:
    """The list as one set of clients sees it; `state` is what it was made of."""

    def __init__(self) -> None:
        self.state: Any = None
        self.body = b""
        self.making: asyncio.Task[None] | None = None
