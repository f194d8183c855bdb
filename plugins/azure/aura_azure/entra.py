"""Sign in with Entra ID: azure-identity finds the credential of this machine, and returns tokens for one scope."""

import importlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aura_core import ProviderError

TokenProvider = Callable[[], Awaitable[str]]


def load() -> Any:
    """Import azure-identity, an extra of this distribution. Raises ProviderError."""
    try:
        identity = importlib.import_module("azure.identity.aio")
    except ImportError:
        raise ProviderError(
            'auth = "entra" needs azure-identity: install plugins/azure of Aura\'s repository with its extra entra',
            "auth",
        ) from None
    # Its warnings contain the sign-in service's responses, with addresses and identities.
    logging.getLogger("azure.identity").setLevel(logging.ERROR)
    return identity


@asynccontextmanager
async def tokens(identity: Any, scope: str) -> AsyncIterator[TokenProvider]:
    """A function that returns a valid token, a cached one if there is one."""
    # use_env_settings=False: no proxy of the environment.
    async with identity.DefaultAzureCredential(use_env_settings=False) as credential:
        provider = identity.get_bearer_token_provider(credential, scope)

        async def token() -> str:
            try:
                return str(await provider())
            except Exception as exc:  # its message may hold a sign-in address: only its name is shown
                raise ProviderError(
                    f"Entra ID gives no token ({type(exc).__name__}); sign in with `az login`, or give this machine a"
                    " managed identity or AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET.",
                    "auth",
                ) from None

        yield token
