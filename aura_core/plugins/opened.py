"""A plugin's client for one instance: opened in the background, owned by one task, kept while answers use it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from aura_core.errors import ProviderError
from aura_core.limits import CLEANUP_LIMIT

log = logging.getLogger("aura.providers")

Enter = Callable[[], Awaitable[tuple[AbstractAsyncContextManager[Any], Any]]]


class Opened:
    """One client; opening it starts at once. `name` is the instance's, `enter` opens and enters the client.

    One task enters and leaves it, so that cancel scopes of its plugin are closed where they were opened. It is left
    when it is closed, or retired and the last of its users has gone.
    """

    def __init__(self, name: str, plugin: str, enter: Enter) -> None:
        self._name = name
        self._plugin = plugin
        self._enter = enter
        self._users = 0
        self._retired = False
        self._leave = asyncio.Event()
        self._ready: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._owner = asyncio.create_task(self._own(), name=f"aura-client-{name}")

    @property
    def over(self) -> bool:
        """Whether it could not be opened, or has been left."""
        return self._owner.done()

    @property
    def ready(self) -> bool:
        """Whether it has been opened."""
        return self._ready.done() and not self.over

    async def client(self) -> Any:
        """The client. Raises ProviderError where it cannot be opened."""
        ready = self._ready
        return ready.result() if ready.done() else await asyncio.shield(ready)

    def hold(self) -> None:
        """Keep it open for one more user."""
        self._users += 1

    def let_go(self) -> None:
        """The user is done with it."""
        self._users -= 1
        self._leave_if_unused()

    def retire(self) -> None:
        """Leave it as soon as nobody uses it."""
        self._retired = True
        self._leave_if_unused()

    def _leave_if_unused(self) -> None:
        if self._retired and not self._users:
            self._leave.set()

    async def close(self) -> None:
        """Leave it now, if it was entered, and wait for that within limits."""
        self._leave.set()
        if not self._ready.done():
            self._owner.cancel()
        await asyncio.wait({self._owner}, timeout=CLEANUP_LIMIT + 0.5)

    async def _own(self) -> None:
        """Enter the client, keep it until the end, leave it: all in this one task."""
        ready = self._ready
        try:
            context, client = await self._enter()
        except ProviderError as exc:
            ready.set_exception(exc)
            ready.exception()  # mark it as retrieved: nobody may be waiting
            return
        except BaseException as exc:
            if self._leave.is_set():  # it was closed while it opened
                ready.cancel()
                return
            log.error("plugin %r could not open its client for %r", self._plugin, self._name, exc_info=exc)
            message = f"The provider {self._name!r} could not start ({type(exc).__name__}); the server's log says more."
            ready.set_exception(ProviderError(message, "unavailable" if isinstance(exc, TimeoutError) else "llm_error"))
            ready.exception()
            return
        ready.set_result(client)
        try:
            await self._leave.wait()
        finally:
            try:
                async with asyncio.timeout(CLEANUP_LIMIT):
                    await context.__aexit__(None, None, None)
            except BaseException as exc:
                log.error("plugin %r could not close its client for %r", self._plugin, self._name, exc_info=exc)
