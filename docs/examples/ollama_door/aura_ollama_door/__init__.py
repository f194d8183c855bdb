"""Programs that speak to Ollama ask Aura's agents: `POST /api/chat`, `GET /api/tags`, `GET /api/version`."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from aura_core import (
    AgentInfo,
    AnswerContext,
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

encode = msgspec.json.encode


class ChatMessage(msgspec.Struct, frozen=True):
    """A message of the conversation."""

    role: str
    content: str | None = None
    images: list[Any] | None = None


class Options(msgspec.Struct, frozen=True):
    """The only option of a model that a client may set: how many tokens an answer has at most; -1 is no limit."""

    num_predict: int | None = None


class ChatRequest(msgspec.Struct, frozen=True):
    """The body of `POST /api/chat`; what it does not name is ignored."""

    model: str
    messages: list[ChatMessage] | None = None
    stream: bool | None = None
    format: Any = None
    options: Options | None = None


def read(body: ChatRequest, parameters: Mapping[str, str]) -> Question:
    """What the client asks; Ollama streams unless it is told not to."""
    if body.format not in (None, ""):
        raise Problem("invalid_request", "format: agents answer with plain text; leave it out", field="format")
    turns: list[Message] = []
    system: list[str] = []
    for index, message in enumerate(body.messages or []):
        if message.images:
            raise _refused(f"messages[{index}].images", "agents read text only")
        if message.role == "user":
            turns.append(Message("user", message.content or ""))
        elif message.role == "assistant":
            turns.append(Message("assistant", message.content or ""))
        elif message.role == "system":
            system.append(message.content or "")
        else:
            raise _refused(f"messages[{index}].role", "expected system, user or assistant")
    if not turns:
        raise _refused("messages", "there is no message of a user")
    limit = body.options.num_predict if body.options else None
    return Question(
        body.model,
        turns,
        context="\n\n".join(system),
        stream=body.stream is not False,
        max_tokens=limit if limit is not None and limit > 0 else None,
    )


def _refused(field: str, why: str) -> Problem:
    return Problem("invalid_request", f"{field}: {why}", field=field)


class ChatEncoder(Encoder):
    """An answer as lines of JSON, each with a piece of the message."""

    content_type = "application/x-ndjson"
    ping = b""  # a line would be read as a part of the answer

    def __init__(self, context: AnswerContext) -> None:
        super().__init__(context)
        self._created = datetime.fromtimestamp(context.started, UTC).isoformat()
        self.answering("", "")

    def begin(self) -> bytes:
        return b""

    def answering(self, provider: str, model: str) -> bytes:
        head = {"model": self.context.question.agent, "created_at": self._created}
        self._head = encode(head)[:-1]
        self._text = self._head + b',"message":{"role":"assistant","content":'
        self._thinking = self._head + b',"message":{"role":"assistant","content":"","thinking":'
        return b""

    def text(self, content: str) -> bytes:
        return self._text + encode(content) + b'},"done":false}\n'

    def reasoning(self, content: str) -> bytes:
        return self._thinking + encode(content) + b'},"done":false}\n'

    def done(self, end: End) -> bytes:
        return self._text + b'""},' + _end(end) + b"}\n"

    def error(self, failure: Failure) -> bytes:
        return encode({"error": failure.message}) + b"\n"

    def whole(self, answer: WholeAnswer) -> bytes:
        message = {"role": "assistant", "content": answer.text}
        if answer.reasoning:
            message["thinking"] = answer.reasoning
        return self._head + b',"message":' + encode(message) + b"," + _end(answer.end) + b"}"


def _end(end: End) -> bytes:
    reason = "length" if end.finish_reason == "length" else "stop"
    counts = {"prompt_eval_count": end.usage.prompt, "eval_count": end.usage.completion}
    return encode({"done": True, "done_reason": reason, **counts})[1:-1]


def refuse(problem: Problem, request_id: str) -> Reply:
    """A refusal in Ollama's words."""
    return Reply(problem.status, encode({"error": problem.detail}))


def tags(agents: Sequence[AgentInfo]) -> bytes:
    """The agents that can answer, as models."""
    return encode({"models": [_model(agent) for agent in agents]})


def _model(agent: AgentInfo) -> dict[str, Any]:
    details = {"format": "", "family": "aura", "families": ["aura"], "parameter_size": "", "quantization_level": ""}
    model = {"name": agent.id, "model": agent.id, "modified_at": "1970-01-01T00:00:00Z", "size": 0, "digest": ""}
    return model | {"details": details}


def version(agents: Sequence[AgentInfo]) -> bytes:
    """A version that clients take for a recent one."""
    return encode({"version": "0.12.0"})


@hookimpl
def doors() -> list[Door]:
    """The routes."""
    chat = AnswerRoute("/api/chat", ChatRequest, read, ChatEncoder)
    return [Door([chat, ListRoute("/api/tags", tags, answering=True), ListRoute("/api/version", version)], refuse)]
