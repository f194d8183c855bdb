"""The models that a server lists, and whether it can be reached."""

from typing import Any

import msgspec

from aura_anthropic.client import AnthropicClient
from aura_core import Model, ProviderError
from aura_core.streams import bad_response, count

MODELS = "/v1/models?limit=1000"
"""1000 is the longest page; there are some dozens of models."""
_NO_LIST = {404, 405, 501}


class _Listed(msgspec.Struct):
    id: str
    display_name: Any = None
    max_input_tokens: Any = None
    max_tokens: Any = None
    lifecycle: Any = None

    def described(self) -> Model:
        name = self.display_name if isinstance(self.display_name, str) else ""
        return Model(self.id, name, count(self.max_input_tokens) or None, count(self.max_tokens) or None)


class _Models(msgspec.Struct):
    data: list[_Listed] | None


async def list_models(client: AnthropicClient) -> list[Model]:
    """The models that can be asked, by name. Raises ProviderError."""
    try:
        listed = msgspec.json.decode(await client.get(MODELS), type=_Models)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise bad_response(client.server) from None
    usable = [model for model in listed.data or () if model.lifecycle != "retired"]
    return [model.described() for model in sorted(usable, key=lambda model: model.id)]


async def check(client: AnthropicClient) -> None:
    """Raise ProviderError for what is wrong. A compatible server need not have a list of models."""
    try:
        await list_models(client)
    except ProviderError as exc:
        if client.official or exc.upstream_status not in _NO_LIST:
            raise
