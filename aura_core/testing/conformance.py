"""The description of a plugin for the conformance kit: its settings, its protocol, and transcripts."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from aura_core.errors import CODES
from aura_core.testing.dialects import Dialect
from aura_core.testing.upstream import Reply
from aura_core.types import Usage

URL = "{url}"
GROUP = "aura.conformance"
KEY = "sk-aura-4f9c2e7b81d05a63"
"""The secret that every `…_env` setting leads to while the kit runs; a transcript may hold it."""


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
        if self.code not in CODES:
            raise ValueError(f"there is no code {self.code!r}; known are {', '.join(CODES)}")


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """The description of a plugin for the kit.

    `settings` is its table in aura.toml, where `{url}` stands for the address of the kit's server. `write` gives the
    bytes of a whole answer of these tokens, which ends with `stop`. `dialect` brings the content type and the other
    spellings of the framing. `replies` answer requests to other paths than that of the chat (a login, say). `required`
    are those of `temperature` and `max_tokens` that the protocol demands, set or not. A provider without a server, as
    `echo` is one, leaves out `write`.
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

    def __post_init__(self) -> None:
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
