"""Agents as OpenAI lists models: `GET /v1/models` and `GET /v1/models/{id}`."""

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from aura_core import AgentInfo

CREATED = int(time.time())
"""OpenAI's field for a model's date. Agents have none: it is when this server started."""


def encode_models(agents: Sequence[AgentInfo]) -> bytes:
    """All of them."""
    return msgspec.json.encode({"object": "list", "data": [_model(agent) for agent in agents]})


def encode_model(agent: AgentInfo) -> bytes:
    """One agent."""
    return msgspec.json.encode(_model(agent))


def _model(agent: AgentInfo) -> dict[str, Any]:
    """`name` and `description` are not OpenAI's; Open WebUI shows the name."""
    return {
        "id": agent.id,
        "object": "model",
        "created": CREATED,
        "owned_by": "aura",
        "name": agent.name,
        "description": agent.description,
    }
