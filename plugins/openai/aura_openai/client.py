"""One server, reached with the official SDK: it does authentication, addresses and status errors, but no decoding."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import openai
from openai import AsyncOpenAI, AsyncStream, Omit, OpenAIError, omit

from aura_core.streams import Endpoint, RawClient

if TYPE_CHECKING:
    Base = AsyncOpenAI
else:
    Base = object

NO_HEADERS: Mapping[str, str] = {}


class OwnHeaders(Base):
    """An SDK client that sends the headers of its instance, and none from OPENAI_CUSTOM_HEADERS and the like."""

    own_headers: Mapping[str, str] = {}

    @property
    def default_headers(self) -> dict[str, str | Omit]:
        return {
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
            "User-Agent": f"aura-openai openai-python/{openai.__version__}",
            **self.own_headers,
        }


class OpenAI(OwnHeaders, AsyncOpenAI):
    """The SDK's client."""


class OpenAIClient(RawClient):
    """An SDK client, and the texts for its errors. `authorized`: whether it has a credential to send."""

    def __init__(self, sdk: AsyncOpenAI, server: Endpoint, connect_timeout: float, authorized: bool = True) -> None:
        # The SDK requires a key even if the server does not; then the header is left out.
        headers = {} if authorized else {"Authorization": omit}
        super().__init__(sdk, AsyncStream[object], OpenAIError, server, connect_timeout, headers)
