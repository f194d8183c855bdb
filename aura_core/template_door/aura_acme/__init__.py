"""Acme's clients ask agents: `POST /acme/ask` is answered with lines of JSON, `GET /acme/agents` lists them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from aura_core import (
    AgentInfo,
    AnswerRoute,
    Door,
    Encoder,
    End,
    Failure,
    ListRoute,
    Message,
    Problem,
    Question,
    Reply,
    WholeAnswer,
    hookimpl,
)
from msgspec import Meta


class AcmeMessage(msgspec.Struct, frozen=True):
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"]
    text: str


class AcmeRequest(msgspec.Struct, frozen=True):
    """The body of `POST /acme/ask`. A field that has no place here is ignored."""

    agent: Annotated[str, Meta(min_length=1)]
    messages: list[AcmeMessage]
    stream: bool = True
    images: list[Any] = []


def read(body: AcmeRequest, parameters: Mapping[str, str]) -> Question:
    """What the client asks."""
    if body.images:
        raise Problem("invalid_request", "images: agents read text only; leave it out", field="images")
    messages = [Message(message.role, message.text) for message in body.messages if message.role != "system"]
    if not messages:
        raise Problem("invalid_request", "messages: no message of a user or an assistant is there", field="messages")
    system = [message.text for message in body.messages if message.role == "system"]
    return Question(body.agent, messages, context="\n\n".join(system), stream=body.stream)


class AcmeEncoder(Encoder):
    """An answer as lines of JSON."""

    content_type = "application/x-ndjson"
    ping = b"\n"  # Acme's clients skip blank lines

    def begin(self) -> bytes:
        return b""

    def answering(self, provider: str, model: str) -> bytes:
        return _line({"request": self.context.request_id, "model": model})

    def text(self, content: str) -> bytes:
        return _line({"text": content})

    def reasoning(self, content: str) -> bytes:
        return _line({"thinking": content})

    def done(self, end: End) -> bytes:
        return _line({"end": end.finish_reason, "tokens": end.usage.prompt + end.usage.completion})

    def error(self, failure: Failure) -> bytes:
        return _line({"error": failure.message, "code": failure.code})

    def whole(self, answer: WholeAnswer) -> bytes:
        return _line({"text": answer.text, "end": answer.end.finish_reason})


def refuse(problem: Problem, request_id: str) -> Reply:
    """A refusal in Acme's words."""
    return Reply(problem.status, _line({"error": problem.detail, "code": problem.code, "request": request_id}))


def list_agents(agents: Sequence[AgentInfo]) -> bytes:
    """The agents that can answer."""
    return _line({"agents": [{"id": agent.id, "name": agent.name} for agent in agents]})


def _line(value: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(value) + b"\n"


@hookimpl
def doors() -> list[Door]:
    """Acme's routes."""
    ask = AnswerRoute("/acme/ask", AcmeRequest, read, AcmeEncoder)
    agents = ListRoute("/acme/agents", list_agents, answering=True)
    return [Door([ask, agents], refuse)]
