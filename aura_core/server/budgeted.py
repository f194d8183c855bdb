"""What a request holds of the process's budget; below another ASGI server it is given back here when it is over."""

from typing import Any

from litestar.types import ASGIApp, Receive, Scope, Send

from aura_core.budget import Budget, Share

SHARE = "aura_share"
"""The key of the ASGI scope under which the request's Share stands. Our own connections put it there, count the body in
it as it comes, and close it."""


class Budgeted:
    """An ASGI application around another, for other servers than ours: each request has a share of the budget."""

    def __init__(self, app: ASGIApp, budget: Budget) -> None:
        self._app = app
        self._budget = budget

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        own: dict[str, Any] = scope  # type: ignore[assignment]  # it holds keys of ours, too
        share = own[SHARE] = Share(self._budget)
        try:
            await self._app(scope, receive, send)
        finally:
            share.close()


def share_of(scope: Scope) -> Share:
    """What the request of this scope holds."""
    own: dict[str, Any] = scope  # type: ignore[assignment]
    share: Share = own[SHARE]
    return share
