"""Keep keys, parts of keys and sign-in addresses out of a server's own words, before a user reads them."""

import re

_WORD = re.compile(r"\S+")
_TELLING = re.compile(r"://\S*[?@]|\*{2,}")
LONGEST = 4096
"""Characters of a text that are looked at and given; the core shows fewer. A line may be megabytes long."""
PIECE = 6
"""A word that shares so many characters in a row with the key is taken for a part of it."""


class Scrub:
    """Gives a text with `***` for each word that holds a piece of the key, a masked one, or an address with a query."""

    def __init__(self, key: str) -> None:
        self._pieces = {key[start : start + PIECE] for start in range(len(key) - PIECE + 1)}

    def __call__(self, text: str) -> str:
        return _WORD.sub(lambda word: "***" if self._tells(word[0]) else word[0], text[:LONGEST])

    def _tells(self, word: str) -> bool:
        return _TELLING.search(word) is not None or any(piece in word for piece in self._pieces)
