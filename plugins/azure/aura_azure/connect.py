"""Open the client of an Azure instance; imports the SDK, so that the core calls it in a worker thread."""

import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import httpx2
from aura_openai.client import OpenAI, OpenAIClient, OwnHeaders
from aura_openai.errors import PROTOCOL, remedy
from openai import AsyncAzureOpenAI, AsyncOpenAI

from aura_azure import entra
from aura_azure.settings import AzureSettings
from aura_core import secret, secret_place
from aura_core.streams import Endpoint, Scrub, certificates, http_client


class Classic(OwnHeaders, AsyncAzureOpenAI):
    """The SDK's client of the classic API."""


def connect(settings: AzureSettings) -> AbstractAsyncContextManager[OpenAIClient]:
    """A client for one resource. Raises ProviderError where a key or azure-identity is missing."""
    by_key = settings.auth == "key"
    key = secret(settings, "api_key", required=True) if by_key else ""
    identity = None if by_key else entra.load()
    return _open(settings, key, identity, certificates(settings.url()))


@asynccontextmanager
async def _open(
    settings: AzureSettings, key: str, identity: Any, context: ssl.SSLContext
) -> AsyncIterator[OpenAIClient]:
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(http_client(context, settings.connect_timeout))
        token = await stack.enter_async_context(entra.tokens(identity, settings.entra_scope)) if identity else None
        yield OpenAIClient(_sdk(settings, key, token, http), _server(settings, key), settings.connect_timeout)


def _sdk(settings: AzureSettings, key: str, token: entra.TokenProvider | None, http: httpx2.AsyncClient) -> AsyncOpenAI:
    """The SDK's client of the API in use; a credential that is given keeps AZURE_OPENAI_AD_TOKEN out."""
    url, timeout = settings.url(), http.timeout
    if not settings.api_version:
        return OpenAI(api_key=token or key, base_url=url, http_client=http, max_retries=0, timeout=timeout)
    version = settings.api_version
    if token is None:
        return Classic(api_key=key, base_url=url, api_version=version, http_client=http, max_retries=0, timeout=timeout)
    return Classic(
        azure_ad_token_provider=token,
        base_url=url,
        api_version=version,
        http_client=http,
        max_retries=0,
        timeout=timeout,
    )


def _server(settings: AzureSettings, key: str) -> Endpoint:
    check = (
        f"check the key in {secret_place(settings, 'api_key')}"
        if settings.auth == "key"
        else "give the identity the role Cognitive Services OpenAI User on the resource"
    )
    version = "and api_version " if settings.api_version else ""
    return Endpoint(
        f"Azure OpenAI at {settings.resource()}",
        Scrub(key),
        check,
        f"is endpoint {version}right?",
        PROTOCOL,
        "It must be a deployment's name; deployments in the provider's table gives each model its own.",
        remedy=remedy,
    )
