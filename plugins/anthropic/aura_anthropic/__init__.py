"""Claude for Aura, and every server that speaks Anthropic's Messages API (`POST /v1/messages`)."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import msgspec

from aura_anthropic.options import AnthropicOptions
from aura_anthropic.settings import AnthropicSettings
from aura_core import ChatRequest, Model, Token, hookimpl

if TYPE_CHECKING:
    from aura_anthropic.client import AnthropicClient


@hookimpl
def provider_settings() -> type[msgspec.Struct]:
    """The table `[providers.anthropic]`."""
    return AnthropicSettings


@hookimpl
def agent_options() -> type[msgspec.Struct]:
    """Parameters of the API; others are passed on."""
    return AnthropicOptions


@hookimpl
def open_client(settings: AnthropicSettings) -> "AbstractAsyncContextManager[AnthropicClient]":
    """Import the SDK and what an answer needs here, in the core's worker thread."""
    from aura_anthropic import messages  # noqa: F401  # so that the first answer does not wait for it
    from aura_anthropic.connect import connect

    return connect(settings)


@hookimpl
def stream_chat(request: ChatRequest, settings: AnthropicSettings, client: "AnthropicClient") -> AsyncIterator[Token]:
    """Stream an answer."""
    from aura_anthropic import messages

    return messages.stream(client, request, settings)


@hookimpl
async def default_model(settings: AnthropicSettings) -> str | None:
    """Only the model of the settings: a paid service is never chosen automatically."""
    return settings.default_model or None


@hookimpl
async def list_models(client: "AnthropicClient") -> list[Model]:
    """What `GET /v1/models` lists, without retired models."""
    from aura_anthropic import models

    return await models.list_models(client)


@hookimpl
async def check_health(client: "AnthropicClient") -> None:
    """Ask for the models: that needs the address and the key to be right, and costs nothing."""
    from aura_anthropic import models

    await models.check(client)
