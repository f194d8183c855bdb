"""Find the options of an agent that a plugin lets pass, and that are probably a misspelt option of its own."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from aura_core.config.decode import keys
from aura_core.config.suggest import nearest

# Servers have options of their own that differ from others in a letter or two, as top_k from top_p: only what is nearly
# the same word is a misspelling.
_CUTOFF = 0.92


def misspelt(options: Mapping[str, Any], struct: type[msgspec.Struct] | None) -> Iterator[tuple[str, str]]:
    """Each option that the Struct does not declare, with the declared one that was probably meant."""
    if struct is None:
        return
    plain = {_plain(key): key for key in keys(struct)}
    for option in options:
        if option not in keys(struct):
            meant = nearest(_plain(option), plain, _CUTOFF)
            if meant is not None and plain[meant] not in options:
                yield option, plain[meant]


def _plain(key: str) -> str:
    """A key without the differences of topP, top-p and top_p."""
    return "".join(letter for letter in key.lower() if letter.isalnum())
