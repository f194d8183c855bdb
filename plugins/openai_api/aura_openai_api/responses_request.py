"""Read a request of `POST /v1/responses`, the stateless part of it: nothing is stored, so nothing can be continued."""

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from aura_core import Problem, Question
from aura_openai_api.chat_request import Tokens, check_tool_choice
from aura_openai_api.content import TYPE_LIMIT, Content, Conversation, Typed, refused

STATELESS = "this server stores nothing; send the whole conversation in input"


class InputItem(msgspec.Struct, frozen=True, gc=False):
    """A message, or an item that an earlier response held."""

    type: str = "message"
    role: str = ""
    content: Content = None


class TextOptions(msgspec.Struct, frozen=True, gc=False):
    """How the answer's text should look."""

    format: Typed | None = None


class ResponsesRequest(msgspec.Struct, frozen=True):
    """The parameters that are read; others are ignored, `store` among them."""

    model: Annotated[str, Meta(description="the id of an agent")]
    input: Annotated[str | list[InputItem], Meta(description="the user's message, or the conversation, oldest first")]
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: Tokens | None = None
    text: TextOptions | None = None
    tool_choice: str | Typed | None = None
    background: bool | None = None
    previous_response_id: str | None = None
    conversation: str | Typed | None = None
    prompt: Typed | None = None


def read_responses(body: ResponsesRequest, _path: Mapping[str, str]) -> Question:
    """What is asked. Raises Problem for a parameter that would change the answer's meaning and cannot be kept."""
    if body.previous_response_id is not None:
        raise refused("previous_response_id", STATELESS)
    if body.conversation is not None:
        raise refused("conversation", STATELESS)
    if body.background:
        raise refused("background", "answers are not computed in the background; closing the connection stops them")
    if body.prompt is not None:
        raise refused("prompt", "there are no stored prompts; the agent's file holds its prompt")
    if body.text is not None and body.text.format is not None and body.text.format.type != "text":
        raise refused("text.format", 'only {"type": "text"} is supported; ask for the format in a message')
    check_tool_choice("tool_choice", body.tool_choice)
    conversation = Conversation("input")
    conversation.add_system(body.instructions)
    items = [InputItem(role="user", content=body.input)] if isinstance(body.input, str) else body.input
    for number, item in enumerate(items):
        if item.type == "message":
            conversation.add(item.role, item.content, number)
        elif item.type != "reasoning":  # clients send back what they were given; no provider takes it
            raise _unknown_item(conversation, number, item.type)
    conversation.check()
    return Question(
        agent=body.model,
        messages=conversation.messages,
        context=conversation.context,
        stream=bool(body.stream),
        max_tokens=body.max_output_tokens,
    )


def _unknown_item(conversation: Conversation, number: int, kind: str) -> Problem:
    if kind == "item_reference":
        return conversation.refused(number, f"an item cannot be referred to: {STATELESS} (most clients: store = false)")
    return conversation.refused(
        number, f"items of the type '{kind[:TYPE_LIMIT]}' are not supported: agents call no tools"
    )
