"""The place of one answer at a provider instance: it counts in `max_streams`, and keeps the answer's client open."""

from typing import Any

from aura_core.plugins.instance import Instance
from aura_core.plugins.opened import Opened


class Place:
    """A place that an answer may take, and leaves when its plugin has ended."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._taken = False
        self._opened: Opened | None = None

    @property
    def free(self) -> bool:
        """Whether the instance has room for one more answer."""
        return not self._instance.full

    def take(self) -> None:
        """The answer begins."""
        self._taken = True
        self._instance.places += 1

    def leave(self) -> None:
        """The answer is over; to say so again does nothing."""
        if self._taken:
            self._taken = False
            self._instance.places -= 1
            self._hold(None)

    async def client(self) -> Any:
        """The client for this attempt, None where the plugin has none. Raises ProviderError."""
        opened = self._instance.opened()
        if self._taken:  # else it was abandoned, or its client has left
            self._hold(opened)
        return None if opened is None else await opened.client()

    def _hold(self, opened: Opened | None) -> None:
        """Keep this one open, and no longer the one before."""
        if opened is not self._opened:
            if opened is not None:
                opened.hold()
            if self._opened is not None:
                self._opened.let_go()
            self._opened = opened
