"""Remove keys, parts of keys and addresses from a server's own words, before a user reads them."""

import re

from aura_core.key_pieces import pieces_of
from aura_core.limits import SCRUBBED_LENGTH

_WORD = re.compile(r"\S+")
# The text after such a word is a key if punctuation joins the two, or if it has punctuation or digits, or is long; else
# it is prose: "keyword argument", "skipped because".
_KEY = re.compile(
    r"\b(?:sk|pk|rk|key|bearer|eyJ)[-_a-z0-9]*"
    r"(?:[ .]*[-_:=*…][-_ :=*.…]*|[ .]++(?=[a-z.]{0,64}+[-_*…\d]|[a-z]{20}))[\w*.…-]{3,}",
    re.IGNORECASE,
)
_MASKED = re.compile(r"\*{2,}|\w(?:…|\.{3,})\w")


class Scrub:
    """Returns a text without addresses, and with `***` for words that contain, or look like, a piece of the key."""

    def __init__(self, key: str) -> None:
        self._pieces = pieces_of(key)

    def __call__(self, text: str) -> str:
        text = _WORD.sub(lambda word: "" if "://" in word[0] else word[0], text[:SCRUBBED_LENGTH])
        text = _KEY.sub("***", text)
        return " ".join("***" if self._is_part(word) else word for word in text.split())

    def _is_part(self, word: str) -> bool:
        return _MASKED.search(word) is not None or any(piece in word for piece in self._pieces)
