"""One turn of a conversation: what a client may say, and what becomes of it for the provider."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from aura_core.types import Message


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


def messages(body: ChatBody, system_prompt: str) -> list[Message]:
    """The messages for the provider: one system message (none when it would be blank), the history, the prompt."""
    system = system_prompt
    if body.additional_context.strip():
        system = f"{system_prompt}\n\nAdditional context:\n{body.additional_context}"
    result = [Message("system", system)] if system.strip() else []
    result += [Message(turn.role, turn.content) for turn in body.conversation_history]
    result.append(Message("user", body.prompt))
    return result
