"""Give each request a span, where traces are on; requests for the page, for metrics and of probes get none."""

from typing import Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from aura_core.server.guard import PUBLIC, PUBLIC_PREFIX, address_of, client_of, refusal_code, request_id
from aura_core.telemetry.traces import HttpRequest, Traces

_UNTRACED = PUBLIC | {"/metrics"}


class Traced:
    """An ASGI application around another."""

    def __init__(self, app: ASGIApp, traces: Traces) -> None:
        self._app = app
        self._traces = traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or _untraced(scope["path"]):
            await self._app(scope, receive, send)
            return
        status = 0
        failure = ""

        def watched(message: Message) -> Any:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            return send(message)

        with self._traces.request(_request(scope)) as span:
            try:
                await self._app(scope, receive, watched)
            except BaseException as exc:
                failure = type(exc).__name__
                raise
            finally:
                span.end(status, _route(scope), refusal_code(scope), failure, _known(scope))


def _untraced(path: str) -> bool:
    return path.startswith(PUBLIC_PREFIX) or (path.rstrip("/") or "/") in _UNTRACED


def _request(scope: Scope) -> HttpRequest:
    given = scope["headers"]
    parents = [value for name, value in given if name == b"traceparent"]
    headers = {}
    if len(parents) == 1:
        states = [value.decode("latin-1") for name, value in given if name == b"tracestate"]
        headers = {"traceparent": parents[0].decode("latin-1")} | ({"tracestate": ",".join(states)} if states else {})
    http: HTTPScope = scope  # type: ignore[assignment]  # the caller has looked
    return HttpRequest(http["method"], http["path"], http["scheme"], http["http_version"], http.get("server"), headers)


def _known(scope: Scope) -> dict[str, str]:
    """What the guard knows of a request."""
    known = {
        "aura.request_id": request_id(scope),
        "aura.client": client_of(scope).name,
        "client.address": address_of(scope),
    }
    return {name: value for name, value in known.items() if value}


def _route(scope: Scope) -> str:
    """The path of the route, with its parameters' names; "" where none was found."""
    own: dict[str, Any] = scope  # type: ignore[assignment]  # Litestar puts it there
    return str(own.get("path_template") or "")
