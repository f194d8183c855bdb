"""The values that travel between the core and a provider plugin: what is asked, and what is answered."""

from typing import Any, Literal

import msgspec

Role = Literal["system", "user", "assistant"]


class Message(msgspec.Struct, frozen=True, gc=False):
    """One turn of a conversation."""

    role: Role
    content: str


class ChatRequest(msgspec.Struct, frozen=True):
    """What an agent asks of a provider. None, "" and {} mean that nobody set it: then it is not sent.

    `messages` holds at most one system message, which is then the first. `model` is "" where nobody named one and the
    plugin has no `default_model` hook. `max_tokens` limits the completion. `options` are those of the agent file, as
    written, already checked against the plugin's `agent_options`.
    """

    messages: list[Message]
    model: str
    temperature: float | None = None
    max_tokens: int | None = None
    options: dict[str, Any] = {}


class Usage(msgspec.Struct, frozen=True, gc=False):
    """What a request cost, in tokens, as the provider counts them; what is no whole number from 0 to 2**53 - 1 is
    made one."""

    prompt: int = 0
    completion: int = 0


class Token(msgspec.Struct, frozen=True, gc=False):
    """One step of an answer: text, reasoning, the end, the cost, or any of these together.

    An empty `Token()` is a sign of life and is never sent: it never extends `first_token_timeout`, and later resets the
    idle timer, at most five times without text. `finish_reason` is said once: `stop`, `length`, `content_filter` or
    `tool_calls`; other words are mapped to the nearest of these. Of several `usage` the last counts.
    """

    content: str = ""
    reasoning: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None


class Model(msgspec.Struct, frozen=True):
    """A model that a provider offers; `name` is what an agent file may name."""

    name: str
    description: str = ""
