"""Notice that Ollama has cut a prompt, which it does silently if the prompt is longer than the model's context."""

import logging

from aura_core import ChatRequest

log = logging.getLogger("aura.ollama")

LOOKED_AT = 8_000
"""Shorter prompts, in characters, are not checked: Ollama's smallest usual context has 4096 tokens."""
PER_TOKEN = 6
"""No text has so many characters in each token: prose has four to five, source code three."""
REMEDY = "raise num_ctx, or let options: {truncate: false} make it an error"


def length(request: ChatRequest) -> int:
    """The characters of all messages."""
    return sum([len(message.content) for message in request.messages])


def is_cut(characters: int, counted: int) -> bool:
    """Whether Ollama read far less than was sent. It reports 0 tokens if the whole prompt was cached."""
    return characters >= LOOKED_AT and 0 < counted * PER_TOKEN < characters


def describe(characters: int, counted: int) -> str:
    """What happened and what to do."""
    return f"Ollama cut the prompt: {characters:,} characters were sent, and it read {counted:,} tokens; {REMEDY}"


def warn(request: ChatRequest, counted: int) -> None:
    """Log a warning if the prompt of an answer was cut."""
    characters = length(request)
    if is_cut(characters, counted):
        log.warning("model %r: %s", request.model, describe(characters, counted))
