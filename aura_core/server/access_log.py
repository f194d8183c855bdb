"""A log line for each HTTP request, where `[log] access` asks for it."""

import logging
import time
from typing import Any

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from aura_core.limits import REFUSED_PATH
from aura_core.server.guard import address_of, client_of, request_id
from aura_core.telemetry.records import say

log = logging.getLogger("aura.access")


class Access(msgspec.Struct, frozen=True):
    """One request. `status` is None where the client left before it was answered; the query is left out."""

    request_id: str
    client: str
    client_address: str
    method: str
    path: str
    status: int | None
    duration_ms: float


class AccessLog:
    """An ASGI application around another, which logs each request when it is over."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status: int | None = None

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            self._tell(scope, status, time.perf_counter() - began)

    @staticmethod
    def _tell(scope: Any, status: int | None, seconds: float) -> None:
        fields = Access(
            request_id(scope),
            client_of(scope).name,
            address_of(scope),
            scope["method"],
            scope["path"][:REFUSED_PATH],
            status,
            round(seconds * 1000, 1),
        )
        say(log, logging.INFO, "request", fields)
