"""The settings of Anthropic's API, or of a server that is compatible with it."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from aura_core.streams import web_address

ANTHROPIC_URL = "https://api.anthropic.com"
ANTHROPIC_KEY = "ANTHROPIC_API_KEY"
ANTHROPIC_TOKEN = "ANTHROPIC_AUTH_TOKEN"
PATH = "/v1/messages"
SAMPLING_VERSION = "2023-06-01"
"""The last version of the API that accepts temperature, top_p and top_k."""


class AnthropicSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[providers.anthropic]`, or another table with `plugin = "anthropic"`; that one must name its own `base_url`."""

    base_url: Annotated[
        str,
        Meta(
            description=f"address of the server, without {PATH}",
            extra={"env": "ANTHROPIC_BASE_URL", "own_default": ANTHROPIC_URL},
        ),
    ]
    api_key_env: Annotated[
        str,
        Meta(
            description="variable that holds the API key; a server without keys needs none",
            extra={"own_default": ANTHROPIC_KEY},
        ),
    ] = ""
    api_key_file: Annotated[str, Meta(description="file that holds the API key; it goes before api_key_env")] = ""
    api_key_header: Annotated[
        Literal["authorization", "x-api-key"],
        Meta(description="header of the API key; authorization sends it as a bearer token, as the SDK does"),
    ] = "authorization"
    auth_token_env: Annotated[
        str,
        Meta(
            description="variable that holds a gateway's bearer token, used where there is no API key",
            extra={"own_default": ANTHROPIC_TOKEN},
        ),
    ] = ""
    auth_token_file: Annotated[
        str, Meta(description="file that holds the bearer token; it goes before auth_token_env")
    ] = ""
    api_version: Annotated[
        str,
        Meta(
            pattern=r"\A(\d{4}-\d{2}-\d{2})?\Z",
            description=f"anthropic-version, a date; without one the SDK's, and {SAMPLING_VERSION} for agents that set"
            " temperature, top_p or top_k",
        ),
    ] = ""
    default_model: Annotated[str, Meta(description="model of agents that name none")] = ""
    max_tokens: Annotated[
        int,
        Meta(
            ge=1,
            description="longest answer of agents without max_tokens, which the protocol demands;"
            " a thinking budget is added",
        ),
    ] = 16_384
    connect_timeout: Annotated[float, Meta(gt=0, le=600, description="seconds to wait for a connection")] = 10.0

    def __post_init__(self) -> None:
        self.url()

    def url(self) -> str:
        """`base_url` without the `/v1` at its end, which other clients want and the SDK adds."""
        return web_address("base_url", self.base_url, PATH).removesuffix("/v1")

    def official(self) -> bool:
        """Whether the server is Anthropic's own."""
        host = urlsplit(self.url()).hostname or ""
        return host == "anthropic.com" or host.endswith(".anthropic.com")
