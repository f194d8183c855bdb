"""Choose the next candidate when one fails, and the error that the client gets when all have failed."""

from collections.abc import Sequence

from aura_core.answer.candidates import Candidate, Rests
from aura_core.errors import ProviderError

_NEXT = frozenset(
    (
        "unavailable",
        "timeout",
        "rate_limited",
        "quota_exceeded",
        "auth",
        "model_not_found",
        "context_length",
        "bad_response",
        "interrupted",
        "llm_error",
    )
)
"""Failures after which the next candidate is asked. A refused request would be refused again, and refused content must
not be sent to another provider."""


class Fallback:
    """The candidates of one answer. The caller asks for the next one only while no text has been sent.

    `asked` is the current candidate, `probe` whether this request probes it after a rest. `skipped` is true if the
    agent's own provider rests or is full, and another one was asked first.
    """

    def __init__(self, candidates: Sequence[Candidate], rests: Rests) -> None:
        """`candidates` in the order of the agent's file; at least one has a free place."""
        self._rests = rests
        self._untried = list(candidates)
        self._failures: list[ProviderError] = []
        self._choose([candidate for candidate in candidates if candidate.place.free])
        self._first = self.asked
        self.skipped = self._first is not candidates[0]

    def _choose(self, free: Sequence[Candidate]) -> None:
        """Choose one of those whose instance is not full; the others may be asked later, if they have room then."""
        keys = [candidate.key for candidate in free]
        position, self.probe = self._rests.choose(keys)
        self._key, self.asked = keys[position], free[position]
        self._untried.remove(self.asked)
        self._open = True

    def failed(self, failure: ProviderError) -> None:
        """The current candidate failed before its first text."""
        self._failures.append(failure)
        if self._open:
            self._open = False
            self._rests.failed(self._key, failure, self.probe)

    def next(self) -> Candidate | None:
        """The candidate to ask after the last failure, or None."""
        free = [candidate for candidate in self._untried if candidate.place.free]
        if not free or self._failures[-1].code not in _NEXT:
            return None
        self._choose(free)
        return self.asked

    def answered(self) -> None:
        """The current candidate sent its first text."""
        if self._open:
            self._open = False
            self._rests.answered(self._key)

    def left(self) -> None:
        """The answer ended, perhaps before the current candidate's first text."""
        if self._open:
            self._open = False
            self._rests.left(self._key, self.probe)

    def failure(self) -> ProviderError:
        """The error for the client: the first failure, and how many other candidates failed; `content_filtered` is
        reported as it is."""
        first, others = self._failures[0], len(self._failures) - 1
        if self._refused or not others:
            return self._failures[-1]
        words = "1 other provider" if others == 1 else f"{others} other providers"
        return ProviderError(f"{first.message} {words} failed, too.", first.code, first.retry_after)

    @property
    def blamed(self) -> Candidate:
        """The candidate whose failure is reported."""
        return self.asked if self._refused else self._first

    @property
    def _refused(self) -> bool:
        return bool(self._failures) and self._failures[-1].code == "content_filtered"
