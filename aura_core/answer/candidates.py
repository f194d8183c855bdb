"""The candidates for an answer, and which of them are skipped for a while because their last attempt failed."""

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from aura_core.errors import ProviderError
from aura_core.limits import REST_AFTER_TIMEOUT, REST_AFTER_UNAVAILABLE, REST_COUNTED, REST_LIMIT, RESTS_KEPT
from aura_core.types import Token

log = logging.getLogger("aura.fallback")

Start = Callable[[], Awaitable[AsyncIterator[Token]]]


def _not_known() -> None:
    return None


class Place(Protocol):
    """A candidate's place at its instance, which may take only so many answers at once."""

    @property
    def free(self) -> bool:
        """Whether there is room for one more answer."""
        ...

    def take(self) -> None:
        """The answer begins."""

    def leave(self) -> None:
        """The answer is over; to say so again does nothing."""


class _Anywhere:
    """There is always room."""

    free = True

    def take(self) -> None:
        pass

    def leave(self) -> None:
        pass


class Candidate(msgspec.Struct, frozen=True, eq=False):
    """A provider instance and a model that can be asked for an answer.

    `start` returns the plugin's iterator; it is called again for each retry. `plugin` is the plugin's name for the log,
    `provider` the instance's name, `address` that of its server. `model` returns the model, or None while it is
    unknown. The first token must arrive within `limit` seconds, retries included (0: no limit besides the answer's
    own); `limited_by` is the name of that setting for the error message. `abandoned` is called when the plugin's
    clean-up takes too long. `place` is taken while the plugin works for the answer.
    """

    start: Start
    plugin: str
    provider: str = ""
    model: Callable[[], str | None] = _not_known
    limit: float = 0
    limited_by: str = ""
    abandoned: Callable[[], object] | None = None
    address: str = ""
    place: Place = _Anywhere()

    @property
    def name(self) -> str:
        """The name for the log: the instance's, or the plugin's."""
        return self.provider or self.plugin

    @property
    def key(self) -> "Key":
        """Instance and model, which rest together."""
        return self.provider, self.model() or ""


Key = tuple[str, str]
"""Instance and model."""


class Choice(NamedTuple):
    """The position of the candidate to ask, and whether this request is its probe after a rest."""

    position: int
    probe: bool


class _Rest:
    """The candidate is skipped `until` this time; then one request probes it while all others still skip it."""

    __slots__ = ("probed", "until")

    def __init__(self) -> None:
        self.until = 0.0
        self.probed = False


class Rests:
    """The candidates that this process skips because their last attempt failed.

    For each choice the caller reports the result exactly once: `failed`, `answered` or `left`. At most `RESTS_KEPT`
    candidates are stored; a new one replaces the oldest.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """`now` returns the time in seconds."""
        self._now = now
        self._rests: dict[Key, _Rest] = {}

    def __len__(self) -> int:
        """The number of candidates that rest or are due for a probe, without those that have been due for a minute: no
        agent may name them any more."""
        oldest = self._now() - REST_COUNTED
        return sum(rest.probed or rest.until > oldest for rest in self._rests.values())

    def choose(self, keys: Sequence[Key]) -> Choice:
        """The first candidate that does not rest or is due for a probe; if all rest, the first one."""
        if self._rests:
            for position, key in enumerate(keys):
                rest = self._rests.get(key)
                if rest is None:
                    return Choice(position, False)
                if not rest.probed and rest.until <= self._now():
                    rest.probed = True
                    return Choice(position, True)
        return Choice(0, False)

    def failed(self, key: Key, failure: ProviderError, probe: bool) -> None:
        """The attempt failed; after some failures the candidate rests."""
        seconds = _seconds(failure)
        if seconds <= 0:  # the server responds, even if with an error
            self._forget(key)
            return
        rest = self._rests.get(key)
        if rest is None:
            while len(self._rests) >= RESTS_KEPT:
                del self._rests[next(iter(self._rests))]
            rest = self._rests[key] = _Rest()
            log.warning(
                "%s is not asked for %g s while others can be: %s (%s)",
                named(key),
                seconds,
                failure.code,
                failure.message,
            )
        rest.until = self._now() + seconds
        if probe:
            rest.probed = False

    def answered(self, key: Key) -> None:
        """The candidate answered: its rest is over."""
        if self._rests:
            self._forget(key)

    def left(self, key: Key, probe: bool) -> None:
        """The request ended without a result; the next request may probe the candidate."""
        rest = self._rests.get(key)
        if probe and rest is not None:
            rest.probed = False

    def _forget(self, key: Key) -> None:
        if self._rests.pop(key, None) is not None:
            log.info("%s is asked again", named(key))


def named(key: Key) -> str:
    """Instance and model, for the log."""
    provider, model = key
    return f"{provider} ({model})" if model else provider


def _seconds(failure: ProviderError) -> float:
    """The seconds that a candidate rests after this failure."""
    if failure.retry_after is not None:
        return min(failure.retry_after, REST_LIMIT)
    return {"unavailable": REST_AFTER_UNAVAILABLE, "timeout": REST_AFTER_TIMEOUT}.get(failure.code, 0.0)
