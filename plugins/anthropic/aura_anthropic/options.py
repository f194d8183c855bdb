"""The `options` of an agent for the Messages API: known parameters are checked, others passed on."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

RESERVED = {
    "model": "set it beside options, as the agent's model",
    "messages": "they are the conversation's",
    "system": "it is the agent's prompt",
    "stream": "answers always stream",
}
"""Parameters that Aura sets itself, and what to do instead."""
SAMPLING = ("temperature", "top_p", "top_k")
SMALLEST_BUDGET = 1024

Budget = Annotated[int, Meta(ge=SMALLEST_BUDGET)]


class Thinking(msgspec.Struct, frozen=True):
    """The API's own object `thinking`."""

    type: Literal["enabled", "disabled", "adaptive", "between_tools"] = "enabled"
    budget_tokens: Budget | None = None
    display: Literal["summarized", "omitted"] | None = None

    def __post_init__(self) -> None:
        if (self.type == "enabled") != (self.budget_tokens is not None):
            raise ValueError('budget_tokens goes with type "enabled", and only with it')


class AnthropicOptions(msgspec.Struct, frozen=True):
    """An agent's `options`. `effort`, `cache_system` and `betas` are Aura's names: they go into `output_config`, the
    system prompt and a header."""

    thinking: bool | Budget | dict[str, Any] | None = None
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=0)] | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    stop_sequences: list[Annotated[str, Meta(min_length=1)]] | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    cache_system: bool | Literal["5m", "1h"] | None = None
    betas: list[Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._-]+\Z")]] | None = None
    output_config: dict[str, Any] | None = None
    metadata: dict[str, str] | None = None
    model: Any = None
    messages: Any = None
    system: Any = None
    stream: Any = None

    def __post_init__(self) -> None:
        for name, remedy in RESERVED.items():
            if getattr(self, name) is not None:
                raise ValueError(f"{name!r} cannot be set here; {remedy}")
        if isinstance(self.thinking, dict):
            thinking_of(self.thinking)
        if self.effort is not None and "effort" in (self.output_config or {}):
            raise ValueError("'effort' and 'output_config.effort' are the same; set one of them")


def thinking_of(value: dict[str, Any]) -> Thinking:
    """The checked object. Raises ValueError."""
    try:
        return msgspec.convert(value, Thinking)
    except msgspec.ValidationError as exc:
        raise ValueError(f"thinking: {exc}") from None
