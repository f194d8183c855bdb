"""The routes of Aura, as a Litestar application behind the guard."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from litestar import Litestar, Request, Response, Router, get, head, post
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, Example, SecurityScheme
from litestar.params import Body, Parameter
from litestar.plugins import PluginProtocol
from litestar.plugins.core import MsgspecDIPlugin
from litestar.types import ASGIApp, Scope

from aura_core._version import __version__
from aura_core.door import AgentInfo
from aura_core.doors.native import AGENT, LIST, STREAM, WHOLE, AgentList, Answer, ChatBody
from aura_core.errors import CODES
from aura_core.plugins.infos import ProviderInfo, provider_infos
from aura_core.problems import Problem, ProblemBody
from aura_core.runtime import Runtime
from aura_core.server.access_log import AccessLog
from aura_core.server.answers import Answers, as_problem
from aura_core.server.budgeted import Budgeted
from aura_core.server.door_routes import DoorRoutes
from aura_core.server.guard import Guard, client_of, refuse
from aura_core.server.page import page_routes
from aura_core.server.request_body import json_request
from aura_core.server.responses import Passed
from aura_core.telemetry.answer_log import log_answer
from aura_core.telemetry.logs import lines_dropped
from aura_core.telemetry.tracing import open_traces

if TYPE_CHECKING:
    from aura_core.telemetry.metrics import Metrics

AgentId = Annotated[str, Parameter(description="the agent's id; case does not matter")]


class ProviderList(msgspec.Struct, frozen=True):
    """All provider instances and plugins, broken ones with their remedy."""

    providers: list[ProviderInfo]


class Health(msgspec.Struct, frozen=True):
    """The server is there."""

    status: Literal["ok", "ready"]


_STREAM = [
    Example(
        summary="an answer",
        value=': ok\n\nevent: token\ndata: {"content": "Hello"}\n\n'
        'event: done\ndata: {"totalTokens": 12, "finishReason": "stop"}\n\n',
    )
]


class _Litestar(Litestar):
    """Litestar without its plugins for pydantic and attrs: wherever these are installed it would import them, which
    costs a third of the start-up time and 13 MiB."""

    @staticmethod
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        return [*plugins, MsgspecDIPlugin()]


def create_app(runtime: Runtime) -> ASGIApp:
    """The whole server as one ASGI application, for any ASGI server."""
    return Budgeted(own_app(runtime), runtime.budget)


def own_app(runtime: Runtime) -> ASGIApp:
    """The application for our own connections, which give each request its share of the budget themselves."""
    # The routes of the door `native` do what those of any door do; they are written out for the document.
    native = DoorRoutes(runtime, runtime.doors.native)

    @get("/api/agents", summary="List the agents", responses=_problems(*_GUARD))
    async def list_agents(scope: Scope) -> Response[AgentList]:
        return await native.agents(LIST, scope)

    @get("/api/agents/{agentId:str}", summary="Show one agent", responses=_problems(*_GUARD, 404))
    async def get_agent(agentId: AgentId, scope: Scope) -> Response[AgentInfo]:  # noqa: N803  # the name in the public path
        return await native.agent(AGENT, agentId, scope)

    @post(
        "/api/agents/{agentId:str}/chat/stream",
        status_code=200,
        summary="Answer as a stream of events: token, reasoning, done, error",
        request_class=json_request(STREAM.body),
        responses={200: ResponseSpec(str, media_type="text/event-stream", description="Events", examples=_STREAM)}
        | _problems(*_GUARD, *_CHAT),
    )
    async def stream_chat(agentId: AgentId, data: Annotated[ChatBody, Body()], scope: Scope) -> Response[None]:  # noqa: N803
        return Passed(await native.answer(STREAM, data, {"agentId": agentId}, scope))

    @post(
        "/api/agents/{agentId:str}/chat",
        status_code=200,
        summary="Answer in one piece",
        request_class=json_request(WHOLE.body),
        responses={200: ResponseSpec(Answer, description="The answer", generate_examples=False)}
        | _problems(*_GUARD, *_CHAT, *_FAILURES),
    )
    async def chat(agentId: AgentId, data: Annotated[ChatBody, Body()], scope: Scope) -> Response[None]:  # noqa: N803
        return Passed(await native.answer(WHOLE, data, {"agentId": agentId}, scope))

    @get("/api/providers", summary="List the providers, to operators", responses=_problems(*_GUARD, 404))
    async def list_providers(scope: Scope) -> ProviderList:
        _check_operator(scope)
        return ProviderList(provider_infos(runtime.providers))

    @get("/health", summary="Is the process alive?", responses=_problems(*_HTTP))
    async def health() -> Health:
        return Health("ok")

    @get("/health/ready", summary="Does it take new answers?", responses=_problems(*_HTTP, 503))
    async def ready() -> Health:
        if runtime.stopping or runtime.draining:
            raise Problem("server_shutdown", "The server is shutting down.")
        return Health("ready")

    @head(["/health", "/health/ready"], include_in_schema=False)
    async def probe(request: Request[Any, Any, Any]) -> None:
        if request.url.path.endswith("ready"):
            await ready.fn()

    runtime.observers.append(log_answer)
    metrics = _metrics(runtime)

    @get("/metrics", summary="Figures for Prometheus", media_type="text/plain", responses=_problems(*_GUARD, 404))
    async def show_metrics(scope: Scope) -> Response[bytes]:
        _check_operator(scope)
        if metrics is None:
            raise Problem("not_found", "There are no metrics: Aura is installed without its extra metrics.")
        runtime.tell()
        metrics.look()
        text = await asyncio.to_thread(metrics.render)  # with workers it reads a file of each
        return Response(text, headers={"content-type": metrics.CONTENT_TYPE})

    others = [DoorRoutes(runtime, opened) for opened in runtime.doors.all if opened is not runtime.doors.native]
    foreign = [handler for door in others for handler in door.handlers()]

    @asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        yield
        await runtime.close()

    app = _Litestar(
        route_handlers=[
            list_agents,
            get_agent,
            stream_chat,
            chat,
            list_providers,
            health,
            ready,
            probe,
            show_metrics,
            *page_routes(),
            *foreign,
        ],
        exception_handlers={Problem: _on_problem, HTTPException: _on_http_exception, Exception: _on_exception},
        openapi_config=OpenAPIConfig(
            title="Aura",
            version=__version__,
            description="Where the server wants a token (server.token_env), send it: Authorization: Bearer TOKEN.",
            components=Components(security_schemes={"token": SecurityScheme(type="http", scheme="bearer")}),
            security=[{}, {"token": []}],
            render_plugins=[JsonRenderPlugin()],
            openapi_router=Router(
                "/schema",
                route_handlers=[],
                include_in_schema=False,
                before_request=_make_schema,
                after_request=_no_page,
            ),
        ),
        request_max_body_size=runtime.settings.server.max_body,
        lifespan=[lifespan],
        logging_config=None,
    )
    answers = Answers(app, [native, *others], runtime.settings.server.max_body)
    guarded = Guard(answers, runtime.settings, runtime.doors, runtime.refused)
    return _traced(AccessLog(guarded) if runtime.settings.log.access else guarded, runtime)


def _traced(app: ASGIApp, runtime: Runtime) -> ASGIApp:
    """The application with a span for each request, where OpenTelemetry's variables ask for traces."""
    runtime.traces = open_traces(os.environ, runtime.redact)
    if runtime.traces is None:
        return app
    from aura_core.server.traced import Traced  # it imports OpenTelemetry

    return Traced(app, runtime.traces)


def _metrics(runtime: Runtime) -> "Metrics | None":
    try:
        from aura_core.telemetry.metrics import Metrics
    except ModuleNotFoundError:
        return None
    instances = runtime.providers.instances
    gauges = {
        "aura_active_streams": lambda: len(runtime.relays),
        "aura_buffered_bytes": lambda: runtime.budget.held,
        "aura_resting_candidates": lambda: len(runtime.rests),
        "aura_open_connections": lambda: runtime.connections(),
    }
    counts = {
        "abandonments": runtime.abandonments,
        "lines_dropped": lines_dropped,
        "restarts": lambda: runtime.restarts,
    }
    metrics = Metrics(lambda name: instances[name].kind if name in instances else name, gauges, counts)
    runtime.observers.append(metrics.observe)
    runtime.refused.observers.append(metrics.refused)
    runtime.looks.append(metrics.look)
    return metrics


def _problems(*statuses: int) -> dict[int, ResponseSpec]:
    return {
        status: ResponseSpec(
            ProblemBody, media_type="application/problem+json", description="Problem details", generate_examples=False
        )
        for status in statuses
    }


_HTTP = (400, 403, 408, 431)  # what is wrong with any request
_GUARD = (*_HTTP, 401, 421)
_CHAT = (404, 413, 415, 429, 503)
_FAILURES = {info.status for info in CODES.values()}


def _on_problem(request: Request[Any, Any, Any], problem: Problem) -> Response[bytes]:
    reply = refuse(problem, request.scope)
    return Response(reply.body, status_code=reply.status, headers=reply.headers)


def _check_operator(scope: Scope) -> None:
    """Raises Problem, as for a path that does not exist, where the client may not see how the server is run."""
    if not client_of(scope).operator:
        raise _no_route()


def _no_route() -> Problem:
    return Problem("not_found", "There is no such route; docs/http-api.md lists them.")


async def _make_schema(request: Request[Any, Any, Any]) -> None:
    """Make the document, which takes 300 ms, beside the loop; Litestar keeps it."""
    await asyncio.to_thread(lambda: request.app.openapi_schema)


def _no_page(response: Response[Any]) -> Response[Any]:
    """Litestar answers below its schema with a page of its own where there is nothing."""
    if response.status_code == 404:
        raise _no_route()
    return response


def _on_http_exception(request: Request[Any, Any, Any], exc: HTTPException) -> Response[bytes]:
    if exc.status_code == 404:
        problem = _no_route()
    elif exc.status_code == 405:
        problem = Problem("method_not_allowed", "This route does not take this method; see the header Allow.")
    elif 400 <= exc.status_code < 500:
        problem = Problem("invalid_request", "The request is not valid.")
    else:
        return _on_exception(request, exc)
    response = _on_problem(request, problem)
    if exc.headers and "allow" in {name.lower() for name in exc.headers}:
        response.headers["allow"] = next(value for name, value in exc.headers.items() if name.lower() == "allow")
    return response


def _on_exception(request: Request[Any, Any, Any], exc: Exception) -> Response[bytes]:
    return _on_problem(request, as_problem(exc, request.scope))
