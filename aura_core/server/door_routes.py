"""The routes of doors: one way for all of them from a decoded body to an answer, and from the agents to a list."""

from collections.abc import Mapping
from typing import Any

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.types import Scope

from aura_core.door import AgentRoute, AnswerRoute, ListRoute, Question, Route
from aura_core.doors.table import DoorFault, OpenDoor, fault, made
from aura_core.problems import Problem
from aura_core.runtime import Runtime
from aura_core.server.guard import client_of
from aura_core.server.listing import Listing
from aura_core.server.request_body import JsonRequest, json_request
from aura_core.server.responses import EventStream, OnePiece, Passed

_ROLES = ("user", "assistant")


class DoorRoutes:
    """What the routes of one door do."""

    def __init__(self, runtime: Runtime, opened: OpenDoor) -> None:
        self._runtime = runtime
        self._opened = opened
        self.answer_routes = [route for route in opened.door.routes if isinstance(route, AnswerRoute)]
        self._listings = {
            route.path: Listing(runtime, opened, route) for route in opened.door.routes if isinstance(route, ListRoute)
        }

    async def answer(
        self, route: AnswerRoute, body: Any, parameters: Mapping[str, str], scope: Scope
    ) -> EventStream | OnePiece:
        """The answer of the agent, which begins when it is sent. Raises Problem for what is refused."""
        try:
            question = _ask(route, body, parameters)
        except BaseException as exc:  # SystemExit, too: it is the door's
            raise fault(self._opened, f"ask of {route.path}", exc) from None
        client = client_of(scope)
        bound = await self._runtime.bindings.bind(question.agent, client)
        if question.stream and route.instead and not self._runtime.bindings.streams(bound):
            self._runtime.check_room(client)
            instead = route.instead
            for name, value in parameters.items():
                instead = instead.replace(f"{{{name}}}", bound.agent.id if value == question.agent else value)
            raise Problem("streaming_not_supported", f"This agent's model cannot stream: POST {instead} instead.")
        response = EventStream if question.stream else OnePiece
        return response(self._runtime, bound, self._opened, route, question)

    async def agents(self, route: ListRoute, scope: Scope) -> Response[Any]:
        """All agents that the client may see."""
        return Response(await self._listings[route.path].body(client_of(scope)), media_type=route.content_type)

    async def agent(self, route: AgentRoute, agent_id: str, scope: Scope) -> Response[Any]:
        """One agent. Raises Problem."""
        runtime, client = self._runtime, client_of(scope)
        entry = runtime.bindings.entry(agent_id, client)
        if route.answering:
            await runtime.bindings.bind(agent_id, client)
        else:
            await runtime.bindings.choose()
        body = made(self._opened, "encode", route.path, route.encode, runtime.bindings.agent_info(entry))
        return Response(body, media_type=route.content_type)

    def handlers(self) -> list[HTTPRouteHandler]:
        """The door's routes for the application, which its document does not show."""
        return [self._handler(route) for route in self._opened.door.routes]

    def _handler(self, route: Route) -> HTTPRouteHandler:
        path = route.path.replace("}", ":str}")
        if isinstance(route, AnswerRoute):

            @post(path, status_code=200, request_class=json_request(route.body), include_in_schema=False)
            async def answer(request: JsonRequest) -> Response[Any]:
                body = await request.json()
                return Passed(await self.answer(route, body, request.path_params, request.scope))

            return answer
        if isinstance(route, ListRoute):

            @get(path, include_in_schema=False)
            async def agents(request: Request[Any, Any, Any]) -> Response[Any]:
                return await self.agents(route, request.scope)

            return agents
        assert isinstance(route, AgentRoute)  # the loader has looked

        @get(path, include_in_schema=False)
        async def agent(request: Request[Any, Any, Any]) -> Response[Any]:
            return await self.agent(route, next(iter(request.path_params.values())), request.scope)

        return agent


def _ask(route: AnswerRoute, body: Any, parameters: Mapping[str, str]) -> Question:
    """What the door makes of a body. Raises Problem, or DoorFault."""
    question = route.ask(body, parameters)
    if type(question) is not Question:
        raise DoorFault(f"it returned {type(question).__name__}, not Question")
    if not question.messages:
        raise DoorFault("it returned a Question without messages")
    for message in question.messages:
        if message.role not in _ROLES or type(message.content) is not str:
            raise DoorFault(f"it returned a message of {message.role!r} with {type(message.content).__name__}")
    if type(question.agent) is not str or type(question.context) is not str:
        raise DoorFault("it returned a Question whose agent or context is not a string")
    limit = question.max_tokens
    if limit is not None and (type(limit) is not int or limit < 1):
        raise DoorFault(f"it returned {limit!r} as max_tokens")
    return question
