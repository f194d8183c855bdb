"""Compare a request with the limits that a provider lists for its model."""

from collections.abc import Sequence

from aura_core.types import ChatRequest, Model

CHARACTERS_PER_TOKEN = 4
"""Of prose in English; source code and other scripts have fewer, so that the estimate is low rather than high."""


def limit_warnings(request: ChatRequest, models: Sequence[Model]) -> list[str]:
    """What does not fit into the model's limits, a sentence each; nothing where they are not known."""
    model = next((each for each in models if each.name in (request.model, f"{request.model}:latest")), None)
    if model is None:
        return []
    found, asked = [], request.max_tokens
    if asked is not None and model.max_output is not None and asked > model.max_output:
        found.append(f"max_tokens is {asked}, but {model.name!r} writes at most {model.max_output} tokens")
    if model.context is None:
        return found
    if asked is not None and asked >= model.context:
        found.append(f"max_tokens is {asked}, which leaves no room for a prompt in {_context(model)}")
    needed = sum(len(message.content) for message in request.messages) // CHARACTERS_PER_TOKEN
    if needed > model.context:
        found.append(f"the prompt alone has about {needed} tokens, more than {_context(model)}")
    return found


def _context(model: Model) -> str:
    return f"the context of {model.name!r}, {model.context} tokens"
