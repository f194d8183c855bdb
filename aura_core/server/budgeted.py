"""Give back what a request holds of the process's budget when it is over, however it ends."""

from typing import Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from aura_core.budget import Budget, Share

SHARE = "aura_share"
"""The key of the ASGI scope under which the request's Share stands. The connection puts it there and counts the body in
it as it comes."""


class Budgeted:
    """An ASGI application around another: each request has a share of the budget, which closes with it."""

    def __init__(self, app: ASGIApp, budget: Budget) -> None:
        self._app = app
        self._budget = budget

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        own: dict[str, Any] = scope  # type: ignore[assignment]  # it holds keys of ours, too
        if SHARE not in own:  # another ASGI server, or a test's client
            own[SHARE] = Share(self._budget)
        share: Share = own[SHARE]
        try:
            await self._app(scope, receive, send)
        finally:
            share.close()


def share_of(scope: Scope) -> Share:
    """What the request of this scope holds."""
    own: dict[str, Any] = scope  # type: ignore[assignment]
    share: Share = own[SHARE]
    return share
