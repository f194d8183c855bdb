"""Whatever candidates do: one terminal event, one speaker, never two asked at once, none after the answer began."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import virtual_time
from hypothesis import event, given, settings
from hypothesis import strategies as st

from aura_core import ProviderError, Token, Usage
from aura_core.answer.candidates import Candidate, Rests
from aura_core.answer.events import AskingEvent, DoneEvent, ErrorEvent, ReasoningEvent, TokenEvent, Values
from aura_core.answer.fallback import _NEXT, Fallback
from aura_core.answer.relay import Limits, Relay
from aura_core.answer.stream_record import Asked
from aura_core.errors import CODES, Code
from aura_core.limits import CLEANUP_LIMIT

TIMES = [0.0, 0.1, 1.0, 4.0, 20.0]


class Act(NamedTuple):
    """What a candidate does when it is asked: waits, says something, and ends; its clean-up takes a while, too."""

    wait: float
    says: int
    reasons: bool
    end: str
    code: Code
    retry_after: float | None
    clean_up: float


ACTS = st.builds(
    Act,
    st.sampled_from(TIMES),
    st.integers(0, 2),
    st.booleans(),
    st.sampled_from(["done", "fail", "fail", "fail", "stop saying", "end", "bug"]),
    st.sampled_from(sorted(CODES)),
    st.sampled_from([None, None, 0.0, 0.2, 3.0, 30.0]),
    st.sampled_from([0.0, 0.0, 0.5, CLEANUP_LIMIT - 0.1]),
)
LIMITS = st.builds(
    Limits,
    first_token_timeout=st.sampled_from([0.5, 8.0, 60.0]),
    idle_timeout=st.sampled_from([0.0, 2.0]),
    total_timeout=st.just(200.0),
    write_timeout=st.just(0.0),
    heartbeat=st.just(0.0),
    retries=st.integers(0, 2),
)


class World:
    """Candidates that follow a script, and what happened to them."""

    def __init__(self, scripts: list[list[Act]], patience: float, rests: Rests) -> None:
        self.log: list[tuple[str, int]] = []
        self.given_up = set[int]()
        self._scripts = [iter([*acts[:-1], *itertools.repeat(acts[-1], 100)]) for acts in scripts]
        last = len(scripts) - 1
        self.candidates = [
            Candidate(self._start(n), "plugin", f"p{n}", lambda: "m", 0 if n == last else patience, "its time")
            for n in range(len(scripts))
        ]
        self.fallback = Fallback(self.candidates, rests)

    def _start(self, number: int) -> Any:
        async def start() -> AsyncIterator[Token]:
            self.log.append(("asked", number))
            return self._answer(number, next(self._scripts[number]))

        return start

    async def _answer(self, number: int, act: Act) -> AsyncIterator[Token]:
        try:
            await asyncio.sleep(act.wait)
            for _ in range(act.says):
                self.log.append(("said", number))
                yield Token(reasoning=f"{number}") if act.reasons else Token(f"{number}")
                await asyncio.sleep(0.1)
            if act.end == "done":
                yield Token(finish_reason="stop", usage=Usage(number, 1))
            elif act.end == "fail":
                raise ProviderError(f"p{number} failed", act.code, act.retry_after)
            elif act.end == "bug":
                raise ValueError
            elif act.end == "stop saying":
                await asyncio.sleep(1000)
        finally:
            if act.clean_up:  # as a connection that is closed in good order
                await _shielded(act.clean_up)
            self.log.append(("closed", number))


async def _shielded(seconds: float) -> None:
    until = asyncio.get_running_loop().time() + seconds
    while (left := until - asyncio.get_running_loop().time()) > 0:
        try:
            await asyncio.sleep(left)
        except asyncio.CancelledError:
            continue


async def _ask(world: World, limits: Limits, leaves: float | None) -> tuple[list[Any], Relay]:
    relay = Relay(world.fallback, limits, Values())
    events: list[Any] = []

    async def read() -> None:
        while not relay.drained:
            events.extend(await relay.take())

    try:
        async with asyncio.timeout(leaves):
            await read()
    except TimeoutError:
        pass
    relay.close()
    await relay.wait_closed()
    return events, relay


def _check(world: World, events: list[Any], relay: Relay, left: bool) -> None:
    ends = [each for each in events if isinstance(each, (DoneEvent, ErrorEvent))]
    assert len(ends) <= 1
    assert ends == events[-1:] or left
    speakers = {each.content for each in events if isinstance(each, (TokenEvent, ReasoningEvent))}
    assert len(speakers) <= 1, "two candidates are heard"
    open_now = set[int]()
    spoke: int | None = None
    for what, who in world.log:
        if what == "asked":
            assert not open_now, "two are asked at once"
            assert spoke is None, "somebody is asked after the answer began"
            open_now.add(who)
        elif what == "closed":
            open_now.discard(who)
        elif relay.first_token_at is not None and str(who) in speakers:
            spoke = who
    assert not open_now
    asked = [who for what, who in world.log if what == "asked"]
    assert [key for key, _ in itertools.groupby(asked)] == list(dict.fromkeys(asked)), "one is asked again later"
    record = relay.record("-", Asked())
    assert all(attempt.provider in {each.provider for each in world.candidates} for attempt in record.attempts)
    attempts = [(attempt.provider, attempt.code) for attempt in record.attempts]
    for index, (provider, code) in enumerate(attempts):
        assert code != "timeout" or all(later != provider for later, _ in attempts[index + 1 :]), "a silent one again"
    if speakers or (ends and isinstance(ends[0], DoneEvent)):
        assert record.provider == f"p{asked[-1]}", "who answered is not who is named"
    if ends and isinstance(ends[0], DoneEvent):
        assert ends[0].total_tokens == asked[-1] + 1, "usage of somebody else"
    if ends and isinstance(ends[0], ErrorEvent) and not speakers:
        codes = [attempt.code for attempt in record.attempts]
        if codes[-1] in _NEXT and relay.first_token_at is None and "total" not in ends[0].message:
            whole = len(dict.fromkeys(asked)) == len(world.candidates)
            assert whole or "server.first_token_timeout" in str(ends[0]) or codes[-1] == "timeout", (codes, ends)
    event(f"{len(dict.fromkeys(asked))} asked, {record.outcome}")


SCRIPTS = st.lists(st.lists(ACTS, min_size=1, max_size=3), min_size=1, max_size=4)


@given(SCRIPTS, LIMITS, st.sampled_from([0.0, 0.3, 3.0]), st.sampled_from([None, None, 0.05, 2.0, 9.0]))
@settings(max_examples=300, deadline=None)
def test_one_answer(scripts: list[list[Act]], limits: Limits, patience: float, leaves: float | None) -> None:
    async def main() -> None:
        rests = Rests(asyncio.get_running_loop().time)
        world = World(scripts, patience, rests)
        events, relay = await _ask(world, limits, leaves)
        _check(world, events, relay, leaves is not None)

    virtual_time.run(main())


@given(
    st.lists(st.tuples(SCRIPTS, st.sampled_from(TIMES)), min_size=2, max_size=5), LIMITS, st.sampled_from([0.3, 3.0])
)
@settings(max_examples=150, deadline=None)
def test_answers_one_upon_the_other_and_at_once(
    answers: list[tuple[list[list[Act]], float]], limits: Limits, patience: float
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        rests = Rests(loop.time)
        tasks = []

        async def one(scripts: list[list[Act]]) -> None:
            world = World(scripts, patience, rests)
            events, relay = await _ask(world, limits, None)
            _check(world, events, relay, False)

        for scripts, pause in answers:
            tasks.append(asyncio.create_task(one(scripts)))
            await asyncio.sleep(pause)
        await asyncio.gather(*tasks)
        # Nobody keeps a probe: an hour later the first candidate is asked.
        await asyncio.sleep(3600)
        assert rests.choose([("p0", "m"), ("p1", "m")]).position == 0

    virtual_time.run(main())


def test_one_that_does_not_let_go_is_abandoned_and_what_it_still_says_is_dropped() -> None:
    abandoned: list[float] = []

    async def main() -> tuple[list[Any], float]:
        loop = asyncio.get_running_loop()

        async def stubborn() -> AsyncIterator[Token]:
            await _shielded(30)
            yield Token("late")

        async def other() -> AsyncIterator[Token]:
            await asyncio.sleep(60)
            yield Token("here", finish_reason="stop")

        async def start(answer: Any) -> AsyncIterator[Token]:
            return answer()  # type: ignore[no-any-return]

        first = Candidate(
            lambda: start(stubborn), "it", "a", limit=3, limited_by="x", abandoned=lambda: abandoned.append(loop.time())
        )
        second = Candidate(lambda: start(other), "it", "b")
        relay = Relay(Fallback([first, second], Rests(loop.time)), LONG, Values())
        events = []
        while not relay.drained:
            events += await relay.take()
        relay.close()
        return events, loop.time()

    events, took = virtual_time.run(main())
    assert events[0] == AskingEvent("b")
    assert [getattr(each, "content", "end") for each in events[1:]] == ["here", "end"]
    assert abandoned == [3 + CLEANUP_LIMIT]
    assert took == 3 + CLEANUP_LIMIT + 60


LONG = Limits(first_token_timeout=300, idle_timeout=0, total_timeout=0, write_timeout=0, heartbeat=0, retries=1)
