"""Read a request of `POST /v1/chat/completions`: what is asked, of which agent, and what cannot be promised."""

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from aura_core import Question
from aura_openai_api.content import Content, Conversation, Typed, refused, smaller

Tokens = Annotated[int, Meta(ge=1, description="the longest answer in tokens; the agent's own limit stays above it")]


class ChatMessage(msgspec.Struct, frozen=True, gc=False):
    """A message of the conversation, oldest first."""

    role: str
    content: Content = None


class StreamOptions(msgspec.Struct, frozen=True, gc=False):
    """What a stream should hold besides the answer."""

    include_usage: bool | None = None


class ChatCompletionRequest(msgspec.Struct, frozen=True):
    """The parameters that are read. Others are ignored: clients send dozens, and few mean anything to an agent."""

    model: Annotated[str, Meta(description="the id of an agent")]
    messages: list[ChatMessage]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    modalities: list[str] | None = None
    response_format: Typed | None = None
    tool_choice: str | Typed | None = None
    function_call: str | Typed | None = None


class Wishes(msgspec.Struct, frozen=True):
    """What only the encoder needs to know."""

    include_usage: bool


def read_chat(body: ChatCompletionRequest, _path: Mapping[str, str]) -> Question:
    """What is asked. Raises Problem for a parameter that would change the answer's meaning and cannot be kept."""
    if body.n is not None and body.n != 1:
        raise refused("n", "only one answer is given; expected 1")
    if body.stop and any(body.stop):
        raise refused("stop", "stop sequences are not supported; leave it out")
    if body.modalities and any(each != "text" for each in body.modalities):
        raise refused("modalities", "agents answer with text only")
    if body.response_format is not None and body.response_format.type != "text":
        raise refused("response_format", 'only {"type": "text"} is supported; ask for the format in a message')
    check_tool_choice("tool_choice", body.tool_choice)
    check_tool_choice("function_call", body.function_call)
    conversation = Conversation("messages")
    for number, message in enumerate(body.messages):
        conversation.add(message.role, message.content, number)
    conversation.check()
    options = body.stream_options
    return Question(
        agent=body.model,
        messages=conversation.messages,
        context=conversation.context,
        stream=bool(body.stream),
        max_tokens=smaller(body.max_tokens, body.max_completion_tokens),
        wishes=Wishes(options is not None and bool(options.include_usage)),
    )


def check_tool_choice(field: str, choice: str | Typed | None) -> None:
    """Raise Problem where a tool must be called: agents call none, so a promise to call one cannot be kept."""
    if choice not in (None, "auto", "none"):
        raise refused(field, "agents call no tools; expected auto or none")
