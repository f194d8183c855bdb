"""One server, reached with the official SDK: it does authentication, addresses and status errors, but no decoding."""

from collections.abc import Mapping

import anthropic
from anthropic import AnthropicError, AsyncAnthropic, AsyncStream, Omit

from aura_core.streams import Endpoint, RawClient


class Anthropic(AsyncAnthropic):
    """The SDK's client, which sends no headers that tell about this machine."""

    @property
    def default_headers(self) -> dict[str, str | Omit]:
        return {
            **self.auth_headers,
            "anthropic-version": super().default_headers["anthropic-version"],
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
            "User-Agent": f"aura-anthropic anthropic-python/{anthropic.__version__}",
        }


class AnthropicClient(RawClient):
    """An SDK client, and the texts for its errors. `official`: whether the server is Anthropic's own; `headers` go with
    every request."""

    def __init__(
        self,
        sdk: AsyncAnthropic,
        server: Endpoint,
        connect_timeout: float,
        official: bool,
        headers: Mapping[str, str | Omit],
    ) -> None:
        super().__init__(sdk, AsyncStream[object], AnthropicError, server, connect_timeout, headers)
        self.official = official
