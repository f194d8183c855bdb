"""The `options` of an agent for an OpenAI-compatible server: known parameters are checked, others passed on."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

RESERVED = {
    "model": "set it beside options, as the agent's model",
    "messages": "they are the conversation's",
    "stream": "answers always stream",
    "stream_options": "set include_usage in the provider's table",
    "n": "an agent gives one answer",
}
"""Parameters that Aura sets itself, and what to do instead."""


class OpenAIOptions(msgspec.Struct, frozen=True):
    """An agent's `options`."""

    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    temperature: Annotated[float, Meta(ge=0)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    logit_bias: dict[str, float] | None = None
    response_format: dict[str, Any] | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    modalities: list[Literal["text"]] | None = None
    model: Any = None
    messages: Any = None
    stream: Any = None
    stream_options: Any = None
    n: Any = None

    def __post_init__(self) -> None:
        for name, remedy in RESERVED.items():
            if getattr(self, name) is not None:
                raise ValueError(f"{name!r} cannot be set here; {remedy}")
