"""Request an answer and read its stream."""

from collections.abc import AsyncGenerator
from functools import partial

from aura_anthropic import request as outgoing
from aura_anthropic.client import AnthropicClient
from aura_anthropic.settings import PATH, AnthropicSettings
from aura_anthropic.wire import Events, is_cut
from aura_core import ChatRequest, Token
from aura_core.streams import sse_answer


def stream(client: AnthropicClient, request: ChatRequest, settings: AnthropicSettings) -> AsyncGenerator[Token, None]:
    """Send a request and yield its answer."""
    content = outgoing.body(request, settings.max_tokens)
    headers = outgoing.headers(request, settings.api_version)
    ask = partial(client.post, PATH, content, request.model, headers)
    return sse_answer(ask, client.server, request.model, Events(client.server, request.model).token, is_cut)
