"""The values that travel between the core and a provider plugin: the request, and the tokens of the answer."""

from typing import Any, Literal

import msgspec

Role = Literal["system", "user", "assistant"]


class Message(msgspec.Struct, frozen=True, gc=False):
    """One turn of a conversation."""

    role: Role
    content: str


class ChatRequest(msgspec.Struct, frozen=True):
    """The request of an agent to a provider. None, "" and {} mean that nobody set it: then it is not sent.

    `messages` holds at most one system message, which is then the first. `model` is "" where nobody named one and the
    plugin has no `default_model` hook. `max_tokens` limits the completion. `options` are those of the agent file, as
    written, already checked against the plugin's `agent_options`. `headers` are added to the request that the plugin
    sends: at most `x-request-id`, `traceparent` and `tracestate`, names in lower case, values that every header can carry.
    """

    messages: list[Message]
    model: str
    temperature: float | None = None
    max_tokens: int | None = None
    options: dict[str, Any] = {}
    headers: dict[str, str] = {}


class Usage(msgspec.Struct, frozen=True, gc=False):
    """The cost of a request in tokens, as the provider counts them; a value that is not a whole number from 0 to
    2**53 - 1 is made one.

    `prompt` is all input and `completion` all output. The others say which part of these it was: `cache_read` and
    `cache_write` are prompt tokens that were read from and written to the provider's cache, `reasoning` completion
    tokens of the reasoning. 0 means none, or that the provider does not say. A provider that counts cached tokens
    beside its prompt tokens (Anthropic) needs them added to `prompt`.
    """

    prompt: int = 0
    completion: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0


class Token(msgspec.Struct, frozen=True, gc=False):
    """One step of an answer: text, reasoning, the end, the cost, or any of these together.

    An empty `Token()` is a sign of life and is never sent: it never extends `first_token_timeout`, and later resets the
    idle timer, at most five times without text. `finish_reason` is said once: `stop`, `length`, `content_filter` or
    `tool_calls`; other words are mapped to the nearest of these. Of several `usage` the last counts.

    `detail` and `upstream_id` are for the log and never reach a client. `detail` goes with `finish_reason`: what the
    provider says about the end, such as why it refused, or its own word `pause_turn`. `upstream_id` is the id that the
    provider gave the request, on any token; the last counts.
    """

    content: str = ""
    reasoning: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None
    detail: str = ""
    upstream_id: str = ""


class Model(msgspec.Struct, frozen=True):
    """A model that a provider offers; `name` is what an agent file may name.

    `context` is how many tokens a prompt and its answer may have together, `max_output` how many the answer may have;
    None where the provider does not say.
    """

    name: str
    description: str = ""
    context: int | None = None
    max_output: int | None = None
