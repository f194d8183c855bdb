"""The door `native`: Aura's own dialect, docs/http-api.md byte for byte, made with the contract of every door."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from aura_core.answer.counts import total
from aura_core.door import (
    AgentInfo,
    AgentRoute,
    AnswerRoute,
    Door,
    Encoder,
    End,
    Failure,
    ListRoute,
    Question,
    Reply,
    WholeAnswer,
)
from aura_core.problems import Problem
from aura_core.types import Message

_encode = msgspec.json.Encoder().encode

OK = b": ok\n\n"
PING = b": ping\n\n"


class HistoryMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """An earlier turn."""

    role: Literal["user", "assistant"]
    content: str


class ChatBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What a client sends. It can choose neither provider, model, address, key nor system prompt."""

    # A pattern for the document only: msgspec would look for it each time that a client repeats the key.
    prompt: Annotated[str, Meta(extra_json_schema={"pattern": r"\S"}, description="the user's message; not blank")]
    conversation_history: Annotated[list[HistoryMessage], Meta(description="earlier turns, oldest first")] = []
    additional_context: Annotated[
        str, Meta(description="context for this turn: a selection, a file, a step's input")
    ] = ""

    def __post_init__(self) -> None:
        """Raise ValueError, which names the field, for a blank prompt."""
        if not self.prompt or self.prompt.isspace():
            raise ValueError("prompt: it must not be blank")


class Answer(msgspec.Struct, frozen=True, rename="camel"):
    """A whole answer, as `/chat` gives it."""

    content: str
    total_tokens: int
    finish_reason: str


class AgentList(msgspec.Struct, frozen=True):
    """All agents, broken ones with their error."""

    agents: Sequence[AgentInfo]


class NativeEncoder(Encoder):
    """Server-Sent Events, and one JSON object where the answer is whole."""

    ping = PING

    @staticmethod
    def begin() -> bytes:
        return OK

    @staticmethod
    def asking(provider: str) -> bytes:
        return b": asking %b\n\n" % provider.encode()

    @staticmethod
    def text(content: str) -> bytes:
        return b'event: token\ndata: {"content": ' + _encode(content) + b"}\n\n"

    @staticmethod
    def reasoning(content: str) -> bytes:
        return b'event: reasoning\ndata: {"content": ' + _encode(content) + b"}\n\n"

    @staticmethod
    def done(end: End) -> bytes:
        return b'event: done\ndata: {"totalTokens": %d, "finishReason": %b}\n\n' % (
            total(end.usage),
            _encode(end.finish_reason),
        )

    @staticmethod
    def error(failure: Failure) -> bytes:
        retry = b"" if failure.retry_after is None else b', "retryAfter": %b' % _number(failure.retry_after)
        return b'event: error\ndata: {"message": %b, "code": %b%b}\n\n' % (
            _encode(failure.message),
            _encode(failure.code),
            retry,
        )

    @staticmethod
    def whole(answer: WholeAnswer) -> bytes:
        return _encode(Answer(answer.text, total(answer.end.usage), answer.end.finish_reason))


def question(agent: str, body: ChatBody, stream: bool = True) -> Question:
    """What a body asks."""
    turns = [Message(turn.role, turn.content) for turn in body.conversation_history]
    return Question(agent, [*turns, Message("user", body.prompt)], body.additional_context, stream)


def _ask_streamed(body: ChatBody, parameters: Mapping[str, str]) -> Question:
    return question(parameters["agentId"], body)


def _ask_whole(body: ChatBody, parameters: Mapping[str, str]) -> Question:
    return question(parameters["agentId"], body, stream=False)


def _encode_list(agents: Sequence[AgentInfo]) -> bytes:
    return _encode(AgentList(agents))


def refuse(problem: Problem, request_id: str) -> Reply:
    """A refusal as problem details (RFC 9457)."""
    return Reply(problem.status, problem.body(request_id), "application/problem+json")


def _number(seconds: float) -> bytes:
    """A number of seconds, without a fraction where it has none."""
    return _encode(int(seconds) if seconds == int(seconds) else round(seconds, 3))


LIST = ListRoute("/api/agents", _encode_list)
AGENT = AgentRoute("/api/agents/{agentId}", _encode)
WHOLE = AnswerRoute("/api/agents/{agentId}/chat", ChatBody, _ask_whole, NativeEncoder)
STREAM = AnswerRoute("/api/agents/{agentId}/chat/stream", ChatBody, _ask_streamed, NativeEncoder, instead=WHOLE.path)
NATIVE = Door([LIST, AGENT, STREAM, WHOLE], refuse)
"""The core's own door. Its paths are reserved."""
