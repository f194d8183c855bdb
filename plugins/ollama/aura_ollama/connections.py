"""aiohttp's connections, on which a body ends where its framing breaks; aiohttp alone lets its reader wait for ever."""

import functools
import ssl
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

from aura_ollama.interim import InterimLimit


class Connection(InterimLimit):
    """aiohttp's own, which says that no more HTTP comes (3.14: only for the next answer's head) to the body as well."""

    def set_exception(self, exc: Any, *cause: Any) -> None:
        super().set_exception(exc, *cause)
        body = getattr(self, "_payload", None)
        if isinstance(exc, HttpProcessingError) and body is not None and not (body.is_eof() or body.exception()):
            body.set_exception(aiohttp.ClientPayloadError("broken off by what is no HTTP"))


def connector(context: ssl.SSLContext) -> aiohttp.TCPConnector:
    """Connections without a limit: aiohttp's own would let the 101st stream wait, and httpx's don't reach it
    (httpx-aiohttp 0.2)."""
    made = aiohttp.TCPConnector(limit=0, ssl=context)
    # There is no public way. With an aiohttp that has another one, a broken body hangs, which only tests may notice.
    factory = getattr(made, "_factory", None)
    if isinstance(factory, functools.partial) and factory.func is ResponseHandler:
        own: type[ResponseHandler] = Connection
        made._factory = functools.partial(own, *factory.args, **factory.keywords)
    return made
