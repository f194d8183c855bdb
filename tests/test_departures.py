"""Many clients that leave at once are told of in several rounds of the event loop."""

import asyncio
from collections.abc import Callable
from functools import partial
from itertools import pairwise

from aura_core.limits import DEPARTURES, UNCLOSED
from aura_core.server.departures import Departures


def test_a_thousand_departures_take_many_rounds() -> None:
    async def run() -> list[int]:
        departures = Departures()
        left: list[int] = []
        for number in range(1000):
            departures.tell(partial(left.append, number))
        told = [len(left)]
        while len(left) < 1000:
            await asyncio.sleep(0)
            told.append(len(left))
        assert left == list(range(1000))
        return [after - before for before, after in zip([0, *told], told, strict=False)]

    rounds = asyncio.run(run())
    assert max(rounds) == DEPARTURES
    assert len(rounds) == -(-1000 // DEPARTURES)


def test_a_departure_after_many_is_told_at_once() -> None:
    async def run() -> None:
        departures = Departures()
        left: list[int] = []
        for number in range(DEPARTURES + 1):
            departures.tell(partial(left.append, number))
        for _ in range(3):
            await asyncio.sleep(0)
        departures.tell(partial(left.append, -1))
        assert left[-1] == -1

    asyncio.run(run())


def test_a_callback_that_fails_keeps_no_other_from_being_told() -> None:
    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: faults.append(context["exception"]))
        departures = Departures()
        faults: list[BaseException] = []
        left: list[int] = []

        def fail() -> None:
            raise ValueError

        for _ in range(DEPARTURES):
            departures.tell(lambda: None)
        departures.tell(fail)
        departures.tell(partial(left.append, 1))
        for _ in range(4):
            await asyncio.sleep(0)
        assert left == [1]
        assert [type(fault) for fault in faults] == [ValueError]

    asyncio.run(run())


def test_what_can_wait_is_done_when_all_others_have_left() -> None:
    clients = 2 * DEPARTURES + 1

    async def run() -> list[str]:
        departures = Departures()
        done: list[str] = []

        def leave() -> Callable[[], object]:
            done.append("left")
            return partial(done.append, "rest")

        for _ in range(clients):
            departures.tell(leave)
        rounds = [len(done)]
        while len(done) < 2 * clients:
            await asyncio.sleep(0)
            rounds.append(len(done))
        assert max(after - before for before, after in pairwise(rounds)) <= DEPARTURES
        return done

    assert asyncio.run(run()) == ["left"] * clients + ["rest"] * clients


def test_who_comes_and_goes_without_end_holds_little() -> None:
    async def run() -> int:
        departures = Departures()
        left, closed, most = 0, [0], 0

        def close() -> None:
            closed[0] += 1

        for _ in range(100):
            for _ in range(DEPARTURES):
                departures.tell(lambda: close)
            left += DEPARTURES
            await asyncio.sleep(0)
            most = max(most, left - closed[0])
        return most

    assert asyncio.run(run()) <= UNCLOSED + 2 * DEPARTURES


def test_what_can_wait_is_done_after_one_that_fails() -> None:
    async def run() -> list[str]:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: done.append("fault"))
        departures = Departures()
        done: list[str] = []

        def fail() -> None:
            raise ValueError

        for rest in (fail, partial(done.append, "first"), partial(done.append, "second")):
            departures.tell(lambda rest=rest: rest)  # type: ignore[misc]
        for _ in range(4):
            await asyncio.sleep(0)
        return done

    assert asyncio.run(run()) == ["fault", "first", "second"]
