"""The settings of an Ollama server, and the options of agents that use it."""

from ipaddress import IPv6Address
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

PORT = 11434
HOSTED = "ollama.com"


class OllamaSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[providers.ollama]`, or another table with `plugin = "ollama"`; that one must name its own `base_url`."""

    base_url: Annotated[
        str,
        Meta(
            description="address of the server; host, host:port or URL",
            extra={"env": "OLLAMA_HOST", "own_default": f"http://127.0.0.1:{PORT}"},
        ),
    ]
    api_key_env: Annotated[
        str,
        Meta(
            description="variable that holds the API key of a hosted server; local ones need none",
            extra={"own_default": "OLLAMA_API_KEY"},
        ),
    ] = ""
    api_key_file: Annotated[str, Meta(description="file that holds the API key; it goes before api_key_env")] = ""
    connect_timeout: Annotated[float, Meta(gt=0, le=600, description="seconds to wait for a connection")] = 5.0

    def __post_init__(self) -> None:
        self.url()

    def url(self) -> str:
        """`base_url` as a URL, by the rules of Ollama's own OLLAMA_HOST (envconfig/config.go): no scheme means port
        11434, but TLS for ollama.com; an address that a server listens on (0.0.0.0) means this machine."""
        text = self.base_url.strip().strip("\"'")
        bare = "://" not in text
        if bare and _is_ipv6(host := text.partition("/")[0]):
            text = text.replace(host, f"[{host}]", 1)
        try:
            parts = urlsplit(f"http://{text}" if bare else text)
            port = parts.port
        except ValueError:
            raise ValueError(f"base_url: {text!r} is not an address") from None
        if parts.scheme not in ("http", "https"):
            raise ValueError("base_url: it must begin with http:// or https://")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError("base_url: no user, password, query or fragment may stand in it")
        host = parts.hostname or "127.0.0.1"
        if bare and host == HOSTED and port in (None, 443):
            return f"https://{HOSTED}:443{parts.path.rstrip('/')}"  # as Ollama itself has it: a key goes there
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared, not listened on
        if port is None and bare:
            port = PORT
        where = f"[{host}]" if ":" in host else host
        return f"{parts.scheme}://{where}{f':{port}' if port is not None else ''}{parts.path.rstrip('/')}"


def _is_ipv6(text: str) -> bool:
    try:
        return IPv6Address(text).scope_id is None
    except ValueError:
        return False


class OllamaOptions(msgspec.Struct, frozen=True):
    """An agent's `options`: Ollama's known ones are checked, others are passed on as they are."""

    think: bool | Literal["low", "medium", "high", "max"] | None = None
    format: str | dict[str, Any] | None = None
    keep_alive: str | float | None = None
    truncate: bool | None = None
    num_ctx: Annotated[int, Meta(ge=1)] | None = None
    num_predict: int | None = None
    num_keep: int | None = None
    num_batch: int | None = None
    num_gpu: int | None = None
    main_gpu: int | None = None
    num_thread: int | None = None
    numa: bool | None = None
    use_mmap: bool | None = None
    seed: int | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    typical_p: float | None = None
    repeat_last_n: int | None = None
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    mirostat: int | None = None
    mirostat_tau: float | None = None
    mirostat_eta: float | None = None
    penalize_newline: bool | None = None
    stop: list[str] | None = None


TOP_LEVEL = ("think", "format", "keep_alive", "truncate")
"""The options that go beside `model` in a request, not into its `options`."""
