"""Tell the keys that other tools write into agent files from misspellings of ours."""

from collections.abc import Collection

from aura_core.config.suggest import nearest

# Keys of opencode, VS Code, LiteLLM, CrewAI and Prompty that share most letters with one of ours.
_FOREIGN = {"actions", "mode", "models", "modes", "providers", "task", "template"}
_WORD_CUTOFF = 0.6


def near_miss(key: str, known: Collection[str]) -> str | None:
    """The known key that this one was probably meant to be; None where it is a key of another tool."""
    guess = None if key.lower() in _FOREIGN else nearest(key, known)
    if guess is None:
        return None
    # `max_turns` shares most letters with `max_tokens`, but its second word is a different one.
    words, meant = key.lower().replace("-", "_").split("_"), guess.split("_")
    if len(words) != len(meant):
        return guess
    alike = (nearest(word, [other], _WORD_CUTOFF) for word, other in zip(words, meant, strict=True))
    return guess if all(alike) else None
