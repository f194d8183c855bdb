"""Aura's plugin API: everything that a plugin may import. What is not listed here is private."""

from aura_core.credentials import secret, secret_place
from aura_core.door import (
    AgentInfo,
    AgentRoute,
    AnswerContext,
    AnswerRoute,
    Door,
    Encoder,
    End,
    Failure,
    ListRoute,
    Question,
    Reply,
    WholeAnswer,
)
from aura_core.errors import ProviderError
from aura_core.hookspecs import hookimpl
from aura_core.problems import Problem
from aura_core.types import ChatRequest, Message, Model, Token, Usage

__all__ = [
    "AgentInfo",
    "AgentRoute",
    "AnswerContext",
    "AnswerRoute",
    "ChatRequest",
    "Door",
    "Encoder",
    "End",
    "Failure",
    "ListRoute",
    "Message",
    "Model",
    "Problem",
    "ProviderError",
    "Question",
    "Reply",
    "Token",
    "Usage",
    "WholeAnswer",
    "hookimpl",
    "secret",
    "secret_place",
]
