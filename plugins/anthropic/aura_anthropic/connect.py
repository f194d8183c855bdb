"""Open the client of an instance; imports the SDK, so that the core calls it in a worker thread."""

import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from anthropic import Omit, omit

from aura_anthropic.client import Anthropic, AnthropicClient
from aura_anthropic.errors import PROTOCOL, remedy
from aura_anthropic.settings import ANTHROPIC_KEY, ANTHROPIC_TOKEN, AnthropicSettings
from aura_core import secret, secret_place
from aura_core.streams import Endpoint, Scrub, certificates, http_client

NO_KEY = "aura-sends-no-key"


def connect(settings: AnthropicSettings) -> AbstractAsyncContextManager[AnthropicClient]:
    """A client for one server. Raises ProviderError where a key is missing."""
    # The default variables are those of [providers.anthropic], which may be a local server without keys.
    key = secret(settings, "api_key", required=settings.api_key_env not in ("", ANTHROPIC_KEY))
    token = "" if key else secret(settings, "auth_token", settings.auth_token_env not in ("", ANTHROPIC_TOKEN))
    if not (key or token) and settings.official():
        secret(settings, "api_key", required=True)
    return _open(settings, key, token, certificates(settings.url()))


@asynccontextmanager
async def _open(
    settings: AnthropicSettings, key: str, token: str, context: ssl.SSLContext
) -> AsyncIterator[AnthropicClient]:
    official = settings.official()
    async with http_client(context, settings.connect_timeout) as http:
        # A credential that is given keeps those of variables, profiles and files out, and so does each other argument.
        sdk = Anthropic(
            api_key=key or token or NO_KEY,
            base_url=settings.url(),
            http_client=http,
            max_retries=0,
            timeout=http.timeout,
            open_telemetry={"traces": False, "propagation": False},
        )
        sdk._custom_headers = {}  # those of ANTHROPIC_CUSTOM_HEADERS, which would go to any server
        headers: dict[str, str | Omit] = {}
        if not (key or token):
            headers = {"Authorization": omit}
        elif key and settings.api_key_header == "x-api-key":
            headers = {"Authorization": omit, "X-Api-Key": key}
        server = _server(settings, key or token, bool(token), official)
        yield AnthropicClient(sdk, server, settings.connect_timeout, official, headers)


def _server(settings: AnthropicSettings, credential: str, by_token: bool, official: bool) -> Endpoint:
    place = secret_place(settings, "auth_token" if by_token else "api_key")
    return Endpoint(
        "Anthropic" if official else f"The server at {settings.url()}",
        Scrub(credential),
        f"check the key in {place}" if place else "set api_key_env, if the server wants a key",
        "is base_url right? /v1/messages is added to it.",
        PROTOCOL,
        "" if official else "GET /v1/models lists what it has.",
        remedy=remedy,
    )
