"""OpenAI for Aura, and every server that speaks its protocol: `POST /chat/completions` with server-sent events."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import msgspec

from aura_core import ChatRequest, Model, Token, hookimpl
from aura_openai.options import OpenAIOptions
from aura_openai.settings import OpenAISettings

if TYPE_CHECKING:
    from aura_openai.client import OpenAIClient


@hookimpl
def provider_settings() -> type[msgspec.Struct]:
    """The table `[providers.openai]`."""
    return OpenAISettings


@hookimpl
def agent_options() -> type[msgspec.Struct]:
    """Parameters of the API; others are passed on."""
    return OpenAIOptions


@hookimpl
def open_client(settings: OpenAISettings) -> "AbstractAsyncContextManager[OpenAIClient]":
    """Import the SDK and what an answer needs here, in the core's worker thread."""
    from aura_openai import chat, wire  # noqa: F401  # so that the first answer does not wait for them
    from aura_openai.connect import connect

    return connect(settings)


@hookimpl
def stream_chat(request: ChatRequest, settings: OpenAISettings, client: "OpenAIClient") -> AsyncIterator[Token]:
    """Stream an answer."""
    from aura_openai.chat import stream
    from aura_openai.wire import body, limit_parameter

    limit = limit_parameter(settings.max_tokens_parameter, settings.official(), request.model)
    content = body(request, request.model, limit, settings.include_usage)
    return stream(client, "/chat/completions", content, request.model, request.headers)


@hookimpl
async def default_model(settings: OpenAISettings) -> str | None:
    """Only the model of the settings: a paid service is never chosen automatically."""
    return settings.default_model or None


@hookimpl
async def list_models(client: "OpenAIClient") -> list[Model]:
    """What `GET /models` lists."""
    from aura_openai import chat

    return await chat.list_models(client)


@hookimpl
async def check_health(client: "OpenAIClient") -> None:
    """Ask for the models: that needs the address and the key to be right, and costs nothing."""
    from aura_openai import chat

    await chat.list_models(client)
