"""Ollama for Aura: native NDJSON from `POST /api/chat`, as Ollama's docs/api.md describes it."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import msgspec

from aura_core import ChatRequest, Model, Token, hookimpl
from aura_ollama.settings import OllamaOptions, OllamaSettings

if TYPE_CHECKING:
    from aura_ollama.client import OllamaClient


@hookimpl
def provider_settings() -> type[msgspec.Struct]:
    """The table `[providers.ollama]`."""
    return OllamaSettings


@hookimpl
def agent_options() -> type[msgspec.Struct]:
    """Ollama's own options; others are passed on."""
    return OllamaOptions


@hookimpl
def open_client(settings: OllamaSettings) -> "AbstractAsyncContextManager[OllamaClient]":
    """Import aiohttp, httpx and what an answer needs here, in the core's worker thread."""
    from aura_ollama import api  # noqa: F401  # so that the first answer does not wait for it
    from aura_ollama.client import connect

    return connect(settings)


@hookimpl
def stream_chat(request: ChatRequest, client: "OllamaClient") -> AsyncIterator[Token]:
    """Stream an answer."""
    from aura_ollama.api import answer

    return answer(client, request)


@hookimpl
async def default_model(client: "OllamaClient") -> str | None:
    """The model that was pulled last."""
    from aura_ollama import api

    return await api.newest_model(client)


@hookimpl
async def list_models(client: "OllamaClient") -> list[Model]:
    """The pulled models that can chat, newest first, with their longest context."""
    from aura_ollama import api

    return await api.list_models(client)


@hookimpl
async def check_request(request: ChatRequest, client: "OllamaClient") -> list[str]:
    """Ollama cuts a prompt that is longer than its context, silently; a long prompt is tried."""
    from aura_ollama import api, cut

    window = request.options.get("num_ctx")
    characters = cut.length(request)
    needed = characters // 4  # about four characters a token
    if isinstance(window, int) and needed >= window:
        return [f"num_ctx is {window}, but the prompt alone has about {needed} tokens: Ollama will cut it silently"]
    if characters < cut.LOOKED_AT:
        return []
    counted = await api.prompt_tokens(client, request)
    return [cut.describe(characters, counted)] if cut.is_cut(characters, counted) else []


@hookimpl
async def check_health(client: "OllamaClient") -> None:
    """Ask for the server's version."""
    from aura_ollama import api

    await api.version(client)
