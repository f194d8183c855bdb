"""Open the client of an OpenAI instance; imports the SDK, so that the core calls it in a worker thread."""

import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from aura_core import secret, secret_place
from aura_core.streams import Endpoint, Scrub, certificates, http_client
from aura_openai.client import OpenAI, OpenAIClient
from aura_openai.errors import PROTOCOL, remedy
from aura_openai.settings import OPENAI_KEY, OpenAISettings

NO_KEY = "aura-sends-no-key"


def connect(settings: OpenAISettings) -> AbstractAsyncContextManager[OpenAIClient]:
    """A client for one server. Raises ProviderError where a key is missing."""
    # OPENAI_API_KEY is the default of [providers.openai], which may be a local server without keys.
    required = settings.official() or settings.api_key_env not in ("", OPENAI_KEY)
    key = secret(settings, "api_key", required)
    return _open(settings, key, certificates(settings.url()))


@asynccontextmanager
async def _open(settings: OpenAISettings, key: str, context: ssl.SSLContext) -> AsyncIterator[OpenAIClient]:
    place, url, official = secret_place(settings, "api_key"), settings.url(), settings.official()
    server = Endpoint(
        "OpenAI" if official else f"The server at {url}",
        Scrub(key),
        f"check the key in {place}" if place else "set api_key_env, if the server wants a key",
        "is base_url right? It usually ends in /v1.",
        PROTOCOL,
        "" if official else "GET /models lists what it has.",
        remedy=remedy,
    )
    async with http_client(context, settings.connect_timeout) as http:
        sdk = OpenAI(api_key=key or NO_KEY, base_url=url, http_client=http, max_retries=0, timeout=http.timeout)
        sdk.own_headers = {
            name: value
            for name, value in (("OpenAI-Organization", settings.organization), ("OpenAI-Project", settings.project))
            if value
        }
        yield OpenAIClient(sdk, server, settings.connect_timeout, authorized=bool(key))
