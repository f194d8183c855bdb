"""MovableTimer: which limit counts, how often the loop's timer is made, and what a suspension changes."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from aura_core.limits import SECOND_LOOK, TIMER_LATE
from aura_core.server.movable_timer import MovableTimer


class Loop:
    """A loop whose time the test sets."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, Callable[[], object]]] = []
        self.made = 0

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, look: Callable[[], object]) -> Any:
        entry = when, look
        self.timers.append(entry)
        self.made += 1

        class Handle:
            cancel = staticmethod(lambda: self.timers.remove(entry))

        return Handle()

    def pass_to(self, now: float) -> None:
        """Let the timers that are due until then fire, each when it is due."""
        while self.timers and min(self.timers)[0] <= now:
            self.now = max(self.now, min(self.timers)[0])
            self.fire()
        self.now = now

    def fire(self) -> None:
        """Let the first timer fire now."""
        first = min(self.timers)
        self.timers.remove(first)
        first[1]()


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def timer(loop: Loop) -> MovableTimer:
    made: Any = MovableTimer(loop)  # type: ignore[arg-type]  # it has all that is used
    return made  # type: ignore[no-any-return]


def test_the_last_limit_counts_and_a_later_one_makes_no_timer(loop: Loop, timer: MovableTimer) -> None:
    ended: list[str] = []
    timer.set(30, lambda: ended.append("request"))
    loop.pass_to(110)
    timer.set(75, lambda: ended.append("idle"))
    loop.pass_to(184.9)
    assert ended == []
    assert loop.made == 2, "the first, and one more when it fired"
    loop.pass_to(185)
    assert ended == ["idle"]
    assert loop.timers == []


def test_an_earlier_limit_moves_the_timer(loop: Loop, timer: MovableTimer) -> None:
    ended: list[float] = []
    timer.set(30, lambda: ended.append(0))
    timer.set(2, lambda: ended.append(loop.now))
    loop.pass_to(200)
    assert ended == [102]
    assert loop.made == 2


@pytest.mark.parametrize("end", ["clear", "stop"])
def test_a_limit_that_was_taken_back_does_nothing(loop: Loop, timer: MovableTimer, end: str) -> None:
    timer.set(30, lambda: pytest.fail("there is no limit"))
    getattr(timer, end)()
    assert len(loop.timers) == (1 if end == "clear" else 0)
    loop.pass_to(200)
    assert loop.timers == []


def test_after_a_suspension_there_is_one_second_look(loop: Loop, timer: MovableTimer) -> None:
    ended: list[str] = []
    timer.set(30, lambda: ended.append("request"))
    loop.now = 130 + 2 * TIMER_LATE
    loop.fire()
    assert ended == []
    assert loop.timers[0][0] == loop.now + SECOND_LOOK
    loop.now += SECOND_LOOK + 2 * TIMER_LATE  # and late again
    loop.fire()
    assert ended == ["request"]


def test_what_comes_after_a_suspension_counts_anew(loop: Loop, timer: MovableTimer) -> None:
    timer.set(30, lambda: pytest.fail("the request has come"))
    loop.now = 200
    loop.fire()
    timer.set(30, lambda: None)
    assert min(loop.timers)[0] <= 200 + SECOND_LOOK
    loop.fire()
    assert min(loop.timers)[0] == 230


def test_a_real_loop_calls_it() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        passed = loop.create_future()
        begin = loop.time()
        timer = MovableTimer(loop)
        timer.set(0.01, lambda: passed.cancel())
        timer.set(0.03, lambda: passed.set_result(loop.time() - begin))
        took: float = await passed
        return took

    assert asyncio.run(main()) >= 0.03
