"""The settings of an OpenAI-compatible server, and how an address is validated."""

from functools import lru_cache
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from aura_core.streams import header_value, web_address

OPENAI_URL = "https://api.openai.com/v1"
OPENAI_KEY = "OPENAI_API_KEY"

LimitParameter = Literal["auto", "max_tokens", "max_completion_tokens"]
ConnectTimeout = Annotated[float, Meta(gt=0, le=600, description="seconds to wait for a connection")]
MaxTokensParameter = Annotated[
    LimitParameter,
    Meta(description="name under which an agent's max_tokens is sent; auto knows OpenAI's servers and model names"),
]
IncludeUsage = Annotated[
    bool, Meta(description="ask for the token counts with stream_options; false for servers that refuse it")
]
ApiKeyFile = Annotated[str, Meta(description="file that holds the API key; it goes before api_key_env")]
DefaultModel = Annotated[str, Meta(description="model of agents that name none")]


class OpenAISettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[providers.openai]`, or another table with `plugin = "openai"`; that one must name its own `base_url`."""

    base_url: Annotated[
        str,
        Meta(
            description="address of the server, up to and without /chat/completions",
            extra={"env": "OPENAI_BASE_URL", "own_default": OPENAI_URL},
        ),
    ]
    api_key_env: Annotated[
        str,
        Meta(
            description="variable that holds the API key; a server without keys needs none",
            extra={"own_default": OPENAI_KEY},
        ),
    ] = ""
    api_key_file: ApiKeyFile = ""
    default_model: DefaultModel = ""
    max_tokens_parameter: MaxTokensParameter = "auto"
    include_usage: IncludeUsage = True
    organization: Annotated[
        str, Meta(description="OpenAI organization to bill, of several", extra={"env": "OPENAI_ORG_ID"})
    ] = ""
    project: Annotated[
        str, Meta(description="OpenAI project to bill, of several", extra={"env": "OPENAI_PROJECT_ID"})
    ] = ""
    connect_timeout: ConnectTimeout = 10.0

    def __post_init__(self) -> None:
        self.url()
        for name in ("organization", "project"):
            header_value(name, getattr(self, name))

    def url(self) -> str:
        """`base_url` without the slash at its end."""
        return web_address("base_url", self.base_url, "/chat/completions")

    def official(self) -> bool:
        """Whether the server is OpenAI's own."""
        return _is_official(self.url())


@lru_cache(maxsize=64)
def _is_official(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host == "openai.com" or host.endswith(".openai.com")
