"""The settings of an OpenAI-compatible server, and how an address is validated."""

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

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
            header(name, getattr(self, name))

    def url(self) -> str:
        """`base_url` without the slash at its end."""
        return address("base_url", self.base_url)

    def official(self) -> bool:
        """Whether the server is OpenAI's own."""
        host = urlsplit(self.url()).hostname or ""
        return host == "openai.com" or host.endswith(".openai.com")


def key_place(settings: Any) -> str:
    """Where an instance has its key, for messages: the variable, or the setting that names the file; "" for nowhere."""
    return "api_key_file" if settings.api_key_file else str(settings.api_key_env)


def address(name: str, text: str) -> str:
    """A URL that a person wrote, without the slash at its end. Raises ValueError."""
    text = text.strip()
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ValueError(f"{name}: it is not an address") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{name}: it must begin with http:// or https:// and name a host")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError(f"{name}: no user, password, query or fragment may stand in it")
    if not text.isascii() or re.search(r"\s", text):
        raise ValueError(f"{name}: no spaces and no letters beyond ASCII may stand in it")
    if parts.path.rstrip("/").endswith("/chat/completions"):
        raise ValueError(f"{name}: leave out /chat/completions; it is added")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def header(name: str, text: str) -> None:
    """Check that a text can be sent in a header. Raises ValueError, without the text."""
    if not (text.isascii() and text.isprintable()):
        raise ValueError(f"{name}: it holds characters that no header can carry")
