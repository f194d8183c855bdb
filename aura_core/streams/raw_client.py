"""Ask a server with a generated SDK over httpx2, which does all but decoding: bodies come as they are.

It needs the extra `aura-server[sdk]`.
"""

from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any

import httpx2

from aura_core.streams.aiohttp_body import AiohttpBody
from aura_core.streams.failure import Endpoint
from aura_core.streams.transport import request_error

_NO_HEADERS: Mapping[str, str] = {}


class RawClient:
    """One server. The SDK (openai's and anthropic's are alike) does authentication, addresses and status errors.

    `headers` go with every request; a value is a text, or what the SDK has for a header that is left out.
    """

    def __init__(
        self,
        sdk: Any,
        stream_class: Any,
        error: type[Exception],
        server: Endpoint,
        connect_timeout: float,
        headers: Mapping[str, Any] = _NO_HEADERS,
    ) -> None:
        """`error` is the base of the SDK's exceptions, `stream_class` its type for streams; `connect_timeout` is in
        seconds."""
        self.server = server
        self._sdk = sdk
        self._stream_class = stream_class
        self._error = error
        self._connect_timeout = connect_timeout
        self._headers = headers
        # What an SDK makes anew for each request although it is the same: the options, whose defaults it copies deeply,
        # and the address, which it parses and merges. If it changes how it does that, this is only slower.
        self._options = lru_cache(maxsize=64)(self._make_options)
        if prepare := getattr(sdk, "_prepare_url", None):
            sdk._prepare_url = lru_cache(maxsize=64)(prepare)

    async def post(
        self, path: str, content: bytes, model: str, headers: Mapping[str, str] = _NO_HEADERS
    ) -> AiohttpBody:
        """Send a request; the caller reads the response's body, and then closes it. Raises ProviderError."""
        own = {**self._headers, **headers}
        options = self._options(path)
        # An SDK has no type for a raw streamed response; it returns a `cast_to`.
        how = {"cast_to": httpx2.Response, "stream": True, "stream_cls": self._stream_class}
        try:
            if options is None:
                response = await self._sdk.post(path, content=content, options={"headers": own}, **how)
            else:  # what its own `post` calls
                asked = options.model_copy(update={"headers": own, "content": content})
                response = await self._sdk.request(options=asked, **how)
        except self._error as exc:
            raise request_error(self.server, exc, model, self._connect_timeout) from exc
        return AiohttpBody(response, self.server.name)

    def _make_options(self, path: str) -> Any:
        """An SDK's options of a request, without headers and content; None if it has none that can be kept."""
        sdk = self._sdk
        package, _, _ = self._stream_class.__module__.partition(".")
        try:
            kind = import_module(f"{package}._models").FinalRequestOptions
            # An SDK makes this key with random numbers of the system, even where it has no header for it.
            key = {"idempotency_key": "-"} if sdk._idempotency_header is None else {}
            made = kind.construct(method="post", url=path, max_retries=sdk.max_retries, timeout=sdk.timeout, **key)
        except (AttributeError, ImportError):
            return None
        return made if hasattr(made, "model_copy") else None

    async def get(self, path: str) -> bytes:
        """The body of a response. Raises ProviderError."""
        try:
            response = await self._sdk.get(path, cast_to=httpx2.Response, options={"headers": self._headers})
        except self._error as exc:
            raise request_error(self.server, exc, "", self._connect_timeout) from exc
        content: bytes = response.content
        return content
