"""Choose who answers next when a provider fails, and tell the client when all have failed."""

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
"""The failures of which another provider may know nothing. A refused content or request would be refused again, or should
not be sent to somebody else."""


class Fallback:
    """The candidates of one answer. The next one is asked only while nothing has been said.

    `asked` is the candidate that is being asked, or was the last one; `probe` says whether it is asked in order to find
    out if it answers again. `skipped` says whether the agent's own provider rests and somebody else was asked first.
    """

    def __init__(self, candidates: Sequence[Candidate], rests: Rests) -> None:
        """`candidates` in the order of the agent's file; at least one."""
        self._rests = rests
        self._untried = list(candidates)
        self._failures: list[ProviderError] = []
        self._take()
        self._first = self.asked
        self.skipped = self._first is not candidates[0]

    def _take(self) -> None:
        # A candidate that must not be asked at all now would be left out of `untried` here.
        keys = [candidate.key for candidate in self._untried]
        index, self.probe = self._rests.choose(keys)
        self._key, self.asked = keys[index], self._untried.pop(index)
        self._open = True

    def failed(self, failure: ProviderError) -> None:
        """The candidate asked has failed, and has said nothing."""
        self._failures.append(failure)
        if self._open:
            self._open = False
            self._rests.failed(self._key, failure, self.probe)

    def next(self) -> Candidate | None:
        """Who is asked after this failure, if anybody is."""
        if not self._untried or self._failures[-1].code not in _NEXT:
            return None
        self._take()
        return self.asked

    def answered(self) -> None:
        """The candidate asked has begun to answer."""
        if self._open:
            self._open = False
            self._rests.answered(self._key)

    def left(self) -> None:
        """The answer ended, perhaps before the candidate asked has said anything."""
        if self._open:
            self._open = False
            self._rests.left(self._key, self.probe)

    def failure(self) -> ProviderError:
        """What the client is told when nobody answers: the first failure, and how many others there were. A refused
        content is its own reason."""
        first, others = self._failures[0], len(self._failures) - 1
        if self._refused or not others:
            return self._failures[-1]
        words = "1 other provider" if others == 1 else f"{others} other providers"
        return ProviderError(f"{first.message} {words} failed, too.", first.code, first.retry_after)

    @property
    def blamed(self) -> Candidate:
        """Whose failure that is."""
        return self.asked if self._refused else self._first

    @property
    def _refused(self) -> bool:
        return bool(self._failures) and self._failures[-1].code == "content_filtered"
