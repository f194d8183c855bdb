"""Request an answer and read its stream, and the list of models."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from functools import partial
from typing import Any

import msgspec

from aura_core import Model, Token
from aura_core.streams import ServerSentEvent, bad_response, count, sse_answer, words_as_error
from aura_openai.client import NO_HEADERS, OpenAIClient
from aura_openai.odd import inside
from aura_openai.wire import DONE, is_cut, token


def stream(
    client: OpenAIClient, path: str, content: bytes, model: str, headers: Mapping[str, str] = NO_HEADERS
) -> AsyncGenerator[Token, None]:
    """Send a request and yield its answer."""
    server = client.server

    def read_event(event: ServerSentEvent) -> Token | None:
        data = words_as_error(event.data) if event.name == "error" else event.data
        if data[0] == 91 and data.strip() == DONE:  # "["
            return None
        return token(data, server, model)

    return sse_answer(partial(client.post, path, content, model, headers), server, model, read_event, is_cut)


async def list_models(client: OpenAIClient) -> list[Model]:
    """The models that the server lists, by name. Raises ProviderError."""
    try:
        listed = msgspec.json.decode(await client.get("/models"), type=_Models | list[_Listed])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise bad_response(client.server) from None
    models = listed.data if isinstance(listed, _Models) else listed  # Together AI lists them bare
    return [model.described() for model in sorted(models or [], key=lambda model: model.id)]


class _Listed(msgspec.Struct):
    """A model as servers list it. OpenAI's own list has no limits; the others have names of their own for them."""

    id: str
    context_length: Any = None  # OpenRouter, Together
    context_window: Any = None  # Groq
    max_context_length: Any = None  # Mistral, LM Studio
    max_model_len: Any = None  # vLLM, SGLang
    max_completion_tokens: Any = None  # Groq
    top_provider: Any = None  # OpenRouter
    meta: Any = None  # llama.cpp

    def described(self) -> Model:
        contexts = (
            self.context_length,
            self.context_window,
            self.max_context_length,
            self.max_model_len,
            inside(self.meta, "n_ctx"),
            inside(self.meta, "n_ctx_train"),
        )
        outputs = self.max_completion_tokens, inside(self.top_provider, "max_completion_tokens")
        return Model(self.id, "", _first(contexts), _first(outputs))


def _first(values: Iterable[Any]) -> int | None:
    return next((number for value in values if (number := count(value))), None)


class _Models(msgspec.Struct):
    data: list[_Listed] | None
