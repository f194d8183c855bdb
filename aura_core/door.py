"""What a door is: routes in the dialect of some clients, and pure functions that read requests and write answers.

A plugin gives its doors in the hook `doors`. A door does no I/O and sees no HTTP objects. Sockets, the token, limits,
cancellation, retries, heartbeats, the log and the metrics are the core's, and the same for every door.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from aura_core.problems import Problem
from aura_core.types import Message, Usage


class AgentInfo(msgspec.Struct, frozen=True):
    """An agent as clients see it; None where unset. `fallback` are the providers that are asked next, in their order.
    One with an `error` cannot answer, or not as its file is now."""

    id: str
    name: str
    description: str
    provider: str | None
    model: str | None
    temperature: float | None
    streaming: bool
    tags: list[str]
    fallback: list[str] = []
    error: str | None = None


class Question(msgspec.Struct, frozen=True):
    """A request, as a door has understood it.

    `agent` is the agent's id; the core looks it up. `messages` are the turns of user and assistant, oldest first, at
    least one; text only. `context` is appended to the agent's system prompt (what a client's own system messages say);
    "" for none. `stream` tells a stream from a whole answer. `max_tokens` is an upper bound on the completion: it can
    lower the agent's own, not raise it. `wishes` is for the door's encoder alone, for example whether the client wants
    to be told the usage.
    """

    agent: str
    messages: list[Message]
    context: str = ""
    stream: bool = True
    max_tokens: int | None = None
    wishes: Any = None


class AnswerContext(msgspec.Struct, frozen=True):
    """What is known of an answer when it begins. `request_id` is that of the header X-Request-Id; `started` is in
    seconds since 1970 (Unix time)."""

    request_id: str
    started: float
    question: Question


class End(msgspec.Struct, frozen=True, gc=False):
    """How an answer ended well. `finish_reason` is `stop`, `length`, `content_filter` or `tool_calls`; the counts of
    `usage` are 0 where the provider reports none."""

    finish_reason: str
    usage: Usage


class Failure(msgspec.Struct, frozen=True, gc=False):
    """Why an answer failed. `message` is fit for a user; `code` is one of the error codes of docs/http-api.md;
    `retry_after` is in seconds, where the provider said when to come back."""

    message: str
    code: str
    retry_after: float | None = None


class WholeAnswer(msgspec.Struct, frozen=True):
    """All text and all reasoning of an answer that is sent in one piece, and how it ended."""

    text: str
    reasoning: str
    end: End


class Encoder(ABC):
    """Writes one answer as bytes, streamed or whole. The core makes an object for each answer, so it may remember.

    Of a stream, the core calls `begin` at once, `answering` when the first text, reasoning or end is there, then `text`
    and `reasoning` as they come, and last either `done` or `error`, once. Where an answer fails before any text,
    `answering` has not been called. Of a whole answer it calls `answering`, then `whole`; one that fails is told by
    the door's `refuse`, with the text so far in `partial`. Every method may return b"", which sends nothing.
    """

    content_type = "text/event-stream; charset=utf-8"
    """The Content-Type of a stream."""
    whole_content_type = "application/json"
    """The Content-Type of a whole answer."""
    ping = b": ping\n\n"
    """What is sent after `server.heartbeat` seconds without a byte; b"" where the dialect has no such thing."""
    keeps_text = False
    """Whether a stream's text is kept and sent once more at its end. Then it counts in `server.max_buffered`."""

    def __init__(self, context: AnswerContext) -> None:
        self.context = context

    def begin(self) -> bytes:
        """What leaves with the headers, before the provider has said anything."""
        return b": ok\n\n"

    def asking(self, provider: str) -> bytes:
        """What is sent when a candidate has failed before it said anything, and `provider` is asked next."""
        return b""

    def answering(self, provider: str, model: str) -> bytes:
        """What is sent before the first text: now it is known who answers. `model` is "" where nobody named one."""
        return b""

    @abstractmethod
    def text(self, content: str) -> bytes:
        """Some text of the answer; never empty, and never with half a surrogate pair. Called for every token."""

    def reasoning(self, content: str) -> bytes:
        """Some of a thinking model's reasoning, as `text`. By default it is not sent."""
        return b""

    @abstractmethod
    def done(self, end: End) -> bytes:
        """The end of a stream whose answer is complete."""

    @abstractmethod
    def error(self, failure: Failure) -> bytes:
        """The end of a stream whose answer failed, before or after some text."""

    @abstractmethod
    def whole(self, answer: WholeAnswer) -> bytes:
        """The body of a whole answer."""


class Reply(msgspec.Struct, frozen=True):
    """A refusal in a door's dialect: a status from 400 to 599, and a body. The core adds `Retry-After`,
    `WWW-Authenticate` and `Allow` where they belong, unless `headers` has them."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = {}


class Route(msgspec.Struct, frozen=True):
    """A path of a door; each is of one of the three kinds below."""

    path: str


class AnswerRoute(Route, frozen=True):
    """`POST path`: an agent answers.

    `path` is like `/v1/chat/completions` or `/api/agents/{agentId}/chat`; the parts in braces are parameters.

    `body` is what the JSON body must be: a Struct, or whatever msgspec decodes. The core decodes it, and refuses what
    does not fit with `invalid_request`, which names the field. A Struct without `forbid_unknown_fields` ignores the
    fields that it does not name.

    `ask` makes a Question of the decoded body and of the path's parameters; it raises Problem for what it refuses.

    `encoder` is a class made from Encoder.

    `instead` is the path of the route that gives whole answers, in a dialect that asks for streams by path: then an
    agent that cannot stream is refused with `streaming_not_supported`, which names this path. Without it the answer of
    such an agent is streamed as one text.
    """

    body: Any
    ask: Callable[[Any, Mapping[str, str]], Question]
    encoder: Callable[[AnswerContext], Encoder]
    instead: str = ""


class ListRoute(Route, frozen=True):
    """`GET path`: the agents. `encode` makes the body; it is called again only when one of them has changed.

    With `answering` it is given only those that can answer, else all that the client may see, broken ones too.
    """

    encode: Callable[[Sequence[AgentInfo]], bytes]
    content_type: str = "application/json"
    answering: bool = False


class AgentRoute(Route, frozen=True):
    """`GET path`: one agent. The only parameter of `path` is the agent's id; the core refuses one that does not exist
    with `agent_not_found`. `encode` makes the body.

    With `answering` an agent that cannot answer is refused as a question to it would be.
    """

    encode: Callable[[AgentInfo], bytes]
    content_type: str = "application/json"
    answering: bool = False


class Door(msgspec.Struct, frozen=True):
    """A dialect in which clients ask agents.

    `refuse` says a refusal in that dialect: whatever is wrong with a request to one of the routes, a missing token and
    a full server included, and a whole answer that failed. It is given the Problem (`code`, `status`, `detail`, and
    where they are known `field`, `retry_after`, `partial`) and the request's id.
    """

    routes: Sequence[Route]
    refuse: Callable[[Problem, str], Reply]


def system_prompt(agent_prompt: str, context: str) -> str:
    """The text of the one system message; "" for none."""
    system = f"{agent_prompt}\n\nAdditional context:\n{context}" if context.strip() else agent_prompt
    return system if system.strip() else ""
