"""A request to the Messages API: its body in JSON, and the headers of an agent's options."""

from collections.abc import Mapping
from typing import Any

import msgspec

from aura_anthropic.options import RESERVED, SAMPLING
from aura_anthropic.settings import SAMPLING_VERSION
from aura_core import ChatRequest

_WRITTEN = {*RESERVED, "thinking", "effort", "cache_system", "betas"}


def body(request: ChatRequest, longest: int) -> bytes:
    """A request in JSON. Only what was set is sent, and `max_tokens`, which the protocol demands: `longest` where the
    agent sets none. An agent's options add to it and never replace Aura's fields."""
    options = request.options
    fields = {name: value for name, value in options.items() if value is not None and name not in _WRITTEN}
    thinking = _thinking(options.get("thinking"))
    if thinking is not None:
        fields["thinking"] = thinking
    if options.get("effort") is not None:
        fields["output_config"] = {**(options.get("output_config") or {}), "effort": options["effort"]}
    if request.temperature is not None:
        fields["temperature"] = request.temperature
    # The budget counts as output: without it a long thought would leave nothing of the limit to the answer.
    budget = (thinking or {}).get("budget_tokens") or 0
    fields["max_tokens"] = request.max_tokens or fields.get("max_tokens") or longest + budget
    fields |= {"model": request.model, "stream": True}
    system = [message.content for message in request.messages if message.role == "system"]
    if system:
        fields["system"] = _system(system[0], options.get("cache_system"))
    # The API refuses messages without text, as an answer that was only thought about leaves them in a history.
    fields["messages"] = [
        message for message in request.messages if message.role != "system" and message.content.strip()
    ]
    return msgspec.json.encode(fields)


def headers(request: ChatRequest, version: str) -> Mapping[str, str]:
    """The request's own headers, the features in beta that the agent asks for, and the `version` of the API: "" stands
    for the SDK's, and for an older one where the agent sets what newer versions refuse."""
    found = dict(request.headers)
    options = request.options
    if options.get("betas"):
        found["anthropic-beta"] = ",".join(options["betas"])
    sampled = request.temperature is not None or any(options.get(name) is not None for name in SAMPLING)
    if version or sampled:
        found["anthropic-version"] = version or SAMPLING_VERSION
    return found


def _thinking(value: Any) -> dict[str, Any] | None:
    """The API's object: true lets the model decide, a number is a budget in tokens."""
    if isinstance(value, bool):
        return {"type": "adaptive" if value else "disabled"}
    if isinstance(value, int):
        return {"type": "enabled", "budget_tokens": value}
    return {"type": "enabled", **value} if isinstance(value, dict) else None


def _system(prompt: str, cache: Any) -> str | list[dict[str, Any]]:
    if not cache:
        return prompt
    control = {"type": "ephemeral"} if cache is True else {"type": "ephemeral", "ttl": cache}
    return [{"type": "text", "text": prompt, "cache_control": control}]
