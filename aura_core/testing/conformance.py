"""The description of a plugin for the conformance kit: its settings, its protocol, and transcripts."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from aura_core.errors import CODES
from aura_core.testing.dialects import Dialect
from aura_core.testing.upstream import Reply, Request
from aura_core.types import ChatRequest, Message, Usage

URL = "{url}"
GROUP = "aura.conformance"
KEY = "Zq4vR9kT2xW7mB5dL8nC3jF6"
"""The secret that every `…_env` setting leads to while the kit runs; a transcript may hold it. Random from its first
character on, so that each part of it is recognized."""
REQUIRABLE = ("temperature", "max_tokens")
FINISHES = ("stop", "length", "content_filter", "tool_calls")


class Transcript(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes in the provider's own protocol, preferably recorded ones, and their meaning.

    `tokens` and `reasoning` are the texts as the provider cut them. `usage` is None if the bytes contain none.
    `options` are an agent's.
    """

    name: str
    body: bytes = b""
    tokens: Sequence[str] = ()
    reasoning: Sequence[str] = ()
    finish_reason: str = "stop"
    usage: Usage | None = None
    options: Mapping[str, Any] = {}

    def __post_init__(self) -> None:
        _check_types(self)
        if self.finish_reason not in FINISHES:
            raise ValueError(
                f"{self.name}: there is no finish reason {self.finish_reason!r}; known are {', '.join(FINISHES)}"
            )


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A response that reports an error, and the code that it must become.

    With `status` 200 the body is a stream that fails after `tokens`.
    """

    name: str
    code: str
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = {}
    retry_after: float | None = None
    tokens: Sequence[str] = ()
    options: Mapping[str, Any] = {}

    def __post_init__(self) -> None:
        _check_types(self)
        if self.code not in CODES:
            raise ValueError(f"there is no code {self.code!r}; known are {', '.join(CODES)}")


def _check_types(described: Transcript | Failure) -> None:
    """Refuse two slips that would look like a broken plugin."""
    if not isinstance(described.body, bytes):
        raise ValueError(f"{described.name}: body is {type(described.body).__name__}, not bytes")
    for field in ("tokens", "reasoning"):
        if isinstance(getattr(described, field, ()), str):
            raise ValueError(f"{described.name}: {field} is a text; write a list of texts, as the provider cut it")


def question(model: str) -> ChatRequest:
    """The request that `Conformance(request=…)` is about."""
    turns = [
        Message("system", "You are brief."),
        Message("user", "Hello?"),
        Message("assistant", "Hello."),
        Message("user", "How are you?"),
    ]
    return ChatRequest(turns, model, temperature=0.5, max_tokens=100)


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """The description of a plugin for the kit.

    `settings` is its table in aura.toml, where `{url}` stands for the address of the kit's server. `write` gives the
    bytes of a whole answer of these tokens, which ends with `stop`. `dialect` brings the content type and the other
    spellings of the framing. `replies` answer requests to other paths than that of the chat (a login, say). `required`
    are those of `temperature` and `max_tokens` that the protocol demands, set or not. `request` is the JSON that the
    plugin must send for the system message `You are brief.`, the turns `Hello?`, `Hello.` and `How are you?`, the
    description's model, temperature 0.5 and max_tokens 100; or a function that is given that Request, and raises
    AssertionError or returns False for a wrong one. `unsent_options` are those of `agent_options` that change nothing
    in the request. A provider without a server, as `echo` is one, leaves out `write`.
    """

    plugin: str
    settings: Mapping[str, Any] = {}
    write: Callable[[list[str]], bytes] | None = None
    dialect: Dialect | None = None
    transcripts: Sequence[Transcript] = ()
    failures: Sequence[Failure] = ()
    replies: Mapping[str, Reply] = {}
    required: Sequence[Literal["temperature", "max_tokens"]] = ()
    model: str = "test-model"
    request: Mapping[str, Any] | Callable[[Request], Any] | None = None
    unsent_options: Sequence[str] = ()

    def __post_init__(self) -> None:
        if wrong := [name for name in self.required if name not in REQUIRABLE]:
            raise ValueError(f"required: there is no parameter {wrong[0]!r}; known are {', '.join(REQUIRABLE)}")
        if self.write is not None and not any(URL in str(value) for value in self.settings.values()):
            raise ValueError(f"no setting of {self.plugin!r} holds {URL}, the address of the kit's server")

    def table(self, url: str) -> dict[str, Any]:
        """The settings, for a server at this address."""
        return {k: v.replace(URL, url) if isinstance(v, str) else v for k, v in self.settings.items()}

    def whole(self, tokens: Sequence[str]) -> bytes:
        """An answer of these tokens."""
        assert self.write is not None
        return self.write(list(tokens))

    def begun(self, tokens: Sequence[str]) -> bytes:
        """The beginning of an answer of these tokens: the common prefix of two longer answers."""
        one, other = self.whole([*tokens, "x"]), self.whole([*tokens, "yy"])
        same = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
        return one[:same]
