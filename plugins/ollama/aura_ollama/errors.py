"""The texts of messages about an Ollama server: how to check its address, get a model, and fit a prompt."""

from aura_core import secret_place
from aura_core.streams import Endpoint, Scrub
from aura_ollama.settings import OllamaSettings


def server(settings: OllamaSettings, key: str) -> Endpoint:
    """The server of an instance; no message contains its key."""
    place = secret_place(settings, "api_key")
    access = f"check the key in {place}" if place else "set api_key_env, if the server wants a key"
    return Endpoint(
        f"Ollama at {settings.url()}",
        Scrub(key),
        f"{access}, or sign in there",
        'is base_url right? A server that is not Ollama, but speaks OpenAI\'s protocol, wants plugin = "openai".',
        "Ollama's protocol",
        "Get it with: ollama pull {model}",
        "shorten it or raise num_ctx",
    )
