"""Find pieces of secrets in a text: a server may show a part of the key that it refuses."""

from collections.abc import Iterable
from functools import lru_cache

from aura_core.limits import KEY_PIECE


def pieces_of(secret: str) -> set[str]:
    """All runs of KEY_PIECE characters of a secret; none where it is shorter."""
    return {secret[start : start + KEY_PIECE] for start in range(len(secret) - KEY_PIECE + 1)}


def hide_pieces(text: str, secrets: Iterable[str]) -> str:
    """The text with `***` for each word that holds a piece of a secret.

    Only pieces with a digit, or with small and capital letters, count: they are random, while others are words that
    stand in any message, such as the `ollama` of `ollama-4f9c2e7b`.
    """
    pieces = _random_pieces(tuple(secrets))
    if not any(piece in text for piece in pieces):
        return text
    return " ".join("***" if any(piece in word for piece in pieces) else word for word in text.split())


@lru_cache(maxsize=16)
def _random_pieces(secrets: tuple[str, ...]) -> frozenset[str]:
    return frozenset(piece for secret in secrets for piece in pieces_of(secret) if _is_random(piece))


def _is_random(piece: str) -> bool:
    return any(map(str.isdigit, piece)) or (piece.lower() != piece and piece.upper() != piece)
