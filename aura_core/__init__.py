"""Aura's plugin API: everything that a provider plugin may import. What is not listed here is private."""

from aura_core.credentials import secret
from aura_core.errors import ProviderError
from aura_core.hookspecs import hookimpl
from aura_core.types import ChatRequest, Message, Model, Token, Usage

__all__ = [
    "ChatRequest",
    "Message",
    "Model",
    "ProviderError",
    "Token",
    "Usage",
    "hookimpl",
    "secret",
]
