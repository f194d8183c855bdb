"""Log and count what is refused before an answer starts: a few lines a minute for each code and client."""

import logging
import time
from collections import Counter
from collections.abc import Callable

import msgspec

from aura_core.limits import REFUSALS_INTERVAL, REFUSALS_LOGGED, REFUSED_PATH
from aura_core.problems import Problem
from aura_core.telemetry.records import say

log = logging.getLogger("aura.refusals")

_SERIOUS = frozenset((401, 403, 421, 429))


class Refusal(msgspec.Struct, frozen=True):
    """A request that was refused, as the log has it. `client` is "" where nobody is known, `door` where no door's
    route was meant."""

    request_id: str
    client: str
    client_address: str
    door: str
    method: str
    path: str
    status: int
    code: str
    detail: str


class Refusals:
    """The refusals of one process. `observers` are told each one: its code, its client's name and its door."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """`now` returns the time in seconds."""
        self.observers: list[Callable[[str, str, str], None]] = []
        self._now = now
        self._logged = Counter[tuple[str, str]]()
        self._unsaid = Counter[tuple[str, str]]()
        self._until = 0.0

    def note(
        self,
        problem: Problem,
        request_id: str,
        client: str = "",
        client_address: str = "",
        door: str = "",
        method: str = "",
        path: str = "",
    ) -> None:
        """Count a refusal, and log it unless there were many like it just now. A failed answer is not a refusal."""
        if problem.of_answer:
            return
        for observer in self.observers:
            observer(problem.code, client, door)
        self.tell()
        key = problem.code, client
        self._logged[key] += 1
        if self._logged[key] > REFUSALS_LOGGED:
            self._unsaid[key] += 1
            return
        level = logging.WARNING if problem.status >= 500 or problem.status in _SERIOUS else logging.INFO
        path, detail = path[:REFUSED_PATH], problem.detail[:REFUSED_PATH]
        told = Refusal(request_id, client, client_address, door, method, path, problem.status, problem.code, detail)
        say(log, level, "refused", told)

    def tell(self, now: bool = False) -> None:
        """Log the numbers of those that were only counted, once their time is over or with `now`."""
        if not now and self._now() < self._until:
            return
        self._until = self._now() + REFUSALS_INTERVAL
        for (code, client), number in self._unsaid.items():
            log.warning("refused without a line of their own: %d (%s, client %r)", number, code, client)
        self._logged.clear()
        self._unsaid.clear()
