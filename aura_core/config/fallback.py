"""Read the `fallback` of an agent file: who is asked next, in which order, while nothing has been said."""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from aura_core.config.decode import decode
from aura_core.errors import ConfigError
from aura_core.limits import FALLBACK_LIMIT

Temperature = Annotated[float, Meta(ge=0, le=2)]
Positive = Annotated[int, Meta(ge=1)]


class FallbackEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One provider that is asked next. What it leaves out of temperature and max_tokens is the agent's; a model and
    options are never the agent's, as they belong to a provider."""

    provider: Annotated[str, Meta(min_length=1)]
    model: str | None = None
    temperature: Temperature | None = None
    max_tokens: Positive | None = None
    options: dict[str, Any] = {}


def read_fallback(value: Any, own: FallbackEntry, where: Callable[[str], str]) -> list[FallbackEntry]:
    """The entries of an agent's `fallback`. `own` is the agent's own provider ("" if it names none) and model; `where`
    gives the place of `fallback` and of each `fallback[N]`. Raises ConfigError."""
    if not isinstance(value, list):
        raise ConfigError(f"{where('fallback')}: fallback: expected a list, such as [{{provider: NAME}}]")
    if len(value) > FALLBACK_LIMIT:
        count = f"{len(value)} providers are listed, and at most {FALLBACK_LIMIT} may be"
        raise ConfigError(f"{where('fallback')}: fallback: {count}")
    entries = list[FallbackEntry]()
    for number, item in enumerate(value):
        place = f"{where(f'fallback[{number}]')}: fallback[{number}]"
        entry = _entry(item, own, place)
        if entry.provider == own.provider and entry.model in (None, own.model):
            raise ConfigError(
                f"{place}: {entry.provider!r} is the agent's own provider; name another, or another model"
            )
        if any((entry.provider, entry.model) == (other.provider, other.model) for other in entries):
            raise ConfigError(f"{place}: {entry.provider!r} is listed twice; name another, or another model")
        entries.append(entry)
    return entries


def _entry(item: Any, own: FallbackEntry, place: str) -> FallbackEntry:
    if not isinstance(item, dict):
        raise ConfigError(f"{place}: expected a provider and what it is asked, such as {{provider: NAME}}")
    inherited = {"temperature": own.temperature, "max_tokens": own.max_tokens}
    written = {str(key): value for key, value in item.items() if value is not None}
    return decode(inherited | written, FallbackEntry, lambda key: place)
