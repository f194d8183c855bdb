"""Azure OpenAI for Aura: the v1 API or the classic one, with a key or Entra ID; aura-openai does the streaming."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import msgspec
from aura_openai.options import OpenAIOptions

from aura_azure.settings import AzureSettings
from aura_core import ChatRequest, Model, Token, hookimpl

if TYPE_CHECKING:
    from aura_openai.client import OpenAIClient


@hookimpl
def provider_settings() -> type[msgspec.Struct]:
    """The table `[providers.azure]`."""
    return AzureSettings


@hookimpl
def telemetry_name() -> str:
    """Azure OpenAI in the words of OpenTelemetry's conventions."""
    return "azure.ai.openai"


@hookimpl
def agent_options() -> type[msgspec.Struct]:
    """Parameters of OpenAI's API; others are passed on."""
    return OpenAIOptions


@hookimpl
def open_client(settings: AzureSettings) -> "AbstractAsyncContextManager[OpenAIClient]":
    """Import the SDK and what an answer needs here, in the core's worker thread."""
    from aura_openai import chat, wire  # noqa: F401  # so that the first answer does not wait for them

    from aura_azure.connect import connect

    return connect(settings)


@hookimpl
def stream_chat(request: ChatRequest, settings: AzureSettings, client: "OpenAIClient") -> AsyncIterator[Token]:
    """Stream an answer of the model's deployment."""
    from aura_openai import chat, wire

    deployment = settings.deployment(request.model)
    limit = wire.limit_parameter(settings.max_tokens_parameter, False, request.model, deployment)
    body = wire.body(request, deployment, limit, settings.include_usage)
    return chat.stream(client, settings.path(deployment), body, deployment, request.headers)


@hookimpl
async def default_model(settings: AzureSettings) -> str | None:
    """Only the model of the settings: a paid service is never chosen automatically."""
    return settings.default_model or None


@hookimpl
async def list_models(settings: AzureSettings) -> list[Model]:
    """The models that the settings name: a key cannot list a resource's deployments, and Azure's own list has all
    models that could be deployed."""
    names = dict(settings.deployments)
    if settings.default_model:
        names.setdefault(settings.default_model, settings.default_model)
    return [Model(model, f"deployment {name}") for model, name in sorted(names.items())]


@hookimpl
async def check_health(client: "OpenAIClient") -> None:
    """Ask for Azure's models: that needs endpoint, API version and credential to be right, and costs nothing."""
    from aura_openai import chat

    await chat.list_models(client)


@hookimpl
async def check_request(request: ChatRequest, settings: AzureSettings) -> list[str]:
    """Warn of a deployment that is named like a model: often its deployment has another name."""
    model = request.model
    if model in settings.deployments or not model.lower().startswith(("gpt-", "o1", "o3", "o4", "chatgpt-", "codex")):
        return []
    return [
        f"{model!r} is a model's name and is asked for as a deployment of that name; if yours has another, say so with "
        f'deployments = {{ "{model}" = "its-name" }}'
    ]
