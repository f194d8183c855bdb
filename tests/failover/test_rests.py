"""Which candidates rest, for how long, and which request probes them: a state machine with a clock set by the test."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_core import ProviderError
from aura_core.answer import candidates
from aura_core.answer.candidates import Choice, Key, Rests

A, B = ("a", "m"), ("b", "m")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rests(clock: Clock) -> Rests:
    return Rests(clock)


def test_without_a_failure_the_first_is_asked(rests: Rests) -> None:
    assert rests.choose([A, B]) == Choice(0, probe=False)


@pytest.mark.parametrize(
    ("failure", "seconds"),
    [
        (ProviderError("x", "unavailable"), 5),
        (ProviderError("x", "timeout"), 30),
        (ProviderError("x", "rate_limited", 7), 7),
        (ProviderError("x", "unavailable", 20), 20),
        (ProviderError("x", "quota_exceeded", 3600), 60),
        (ProviderError("x", "rate_limited"), 0),
        (ProviderError("x", "auth"), 0),
        (ProviderError("x", "bad_response"), 0),
    ],
)
def test_a_failure_that_lasts_makes_a_candidate_rest(
    failure: ProviderError, seconds: float, rests: Rests, clock: Clock
) -> None:
    rests.failed(A, failure, probe=False)
    clock.now += seconds - 0.1
    assert rests.choose([A, B]).position == (1 if seconds else 0)
    clock.now += 0.2
    assert rests.choose([A, B]).position == 0


def test_one_request_probes_and_the_others_go_on_without(rests: Rests, clock: Clock) -> None:
    rests.failed(A, ProviderError("x", "unavailable"), probe=False)
    clock.now += 6
    assert rests.choose([A, B]) == Choice(0, probe=True)
    assert [rests.choose([A, B]).position for _ in range(200)] == [1] * 200
    rests.failed(A, ProviderError("x", "unavailable"), probe=True)
    assert rests.choose([A, B]).position == 1, "it rests again"
    clock.now += 6
    assert rests.choose([A, B]) == Choice(0, probe=True)
    rests.answered(A)
    assert rests.choose([A, B]) == Choice(0, probe=False)
    assert len(rests) == 0


def test_a_probe_that_is_given_up_is_made_by_the_next(rests: Rests, clock: Clock) -> None:
    rests.failed(A, ProviderError("x", "unavailable"), probe=False)
    clock.now += 6
    assert rests.choose([A, B]).probe
    rests.left(A, probe=True)
    assert rests.choose([A, B]) == Choice(0, probe=True)


def test_somebody_else_does_not_end_a_probe(rests: Rests, clock: Clock) -> None:
    rests.failed(A, ProviderError("x", "unavailable"), probe=False)
    clock.now += 6
    assert rests.choose([A, B]).probe
    rests.failed(A, ProviderError("x", "unavailable"), probe=False)  # it was asked before the rest began
    rests.left(A, probe=False)
    clock.now += 6
    assert rests.choose([A, B]).position == 1


def test_a_candidate_never_rests_where_there_is_nobody_else(rests: Rests) -> None:
    for key in (A, B):
        rests.failed(key, ProviderError("x", "timeout"), probe=False)
    assert rests.choose([A, B]) == Choice(0, probe=False)
    assert rests.choose([B]) == Choice(0, probe=False)


def test_a_failure_that_does_not_last_ends_a_rest(rests: Rests) -> None:
    rests.failed(A, ProviderError("x", "timeout"), probe=False)
    rests.failed(A, ProviderError("x", "auth"), probe=False)
    assert rests.choose([A, B]).position == 0


def test_the_log_tells_once_that_a_rest_begins_and_once_that_it_ends(
    rests: Rests, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "aura")
    for _ in range(3):
        rests.failed(A, ProviderError("x", "unavailable"), probe=False)
        clock.now += 6
    rests.answered(A)
    rests.answered(A)
    assert [record.getMessage() for record in caplog.records] == [
        "a (m) is not asked for 5 s while others can be: unavailable (x)",
        "a (m) is asked again",
    ]


def test_what_rests_is_counted_until_nobody_asks_for_it_any_more(rests: Rests, clock: Clock) -> None:
    rests.failed(A, ProviderError("x", "unavailable"), probe=False)
    clock.now += 30
    assert len(rests) == 1, "it waits for its probe"
    clock.now += 60
    assert len(rests) == 0
    assert rests.choose([A, B]) == Choice(0, probe=True), "one request finds out all the same"


def test_the_memory_is_bounded(rests: Rests, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "RESTS_KEPT", 3)
    for number in range(10):
        rests.failed((str(number), ""), ProviderError("x", "timeout"), probe=False)
    assert len(rests) == 3
    assert rests.choose([("0", ""), B]).position == 0
    assert rests.choose([("9", ""), B]).position == 1


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "fail", "answer", "leave", "wait"]),
        st.integers(0, 5),
        st.sampled_from(["unavailable", "timeout", "auth"]),
    ),
    max_size=60,
)


@given(STEPS)
def test_at_most_one_probe_of_each_at_a_time_and_none_is_lost(steps: list[tuple[str, int, str]]) -> None:
    clock = Clock()
    rests = Rests(clock)
    keys = [A, B]
    asked: list[tuple[Key, bool]] = []
    for step, which, code in steps:
        if step == "ask":
            position, probe = rests.choose(keys)
            asked.append((keys[position], probe))
        elif step == "wait":
            clock.now += which * 5
        elif asked:
            key, probe = asked.pop(which % len(asked))
            if step == "fail":
                rests.failed(key, ProviderError("x", code), probe)  # type: ignore[arg-type]
            elif step == "answer":
                rests.answered(key)
                asked = [(other, False if other == key else still) for other, still in asked]  # its rest is over
            else:
                rests.left(key, probe)
        probes = [key for key, probe in asked if probe]
        assert len(probes) == len(set(probes))
    for key, probe in asked:
        rests.left(key, probe)
    clock.now += 100
    assert rests.choose(keys).position == 0, "a candidate is asked again, whatever happened"
