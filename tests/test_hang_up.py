"""Whose connection is closed when a client leaves."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from aura_core.answer.candidates import Candidate
from aura_core.answer.events import Values
from aura_core.answer.relay import Relay
from aura_core.answer.stream_record import Asked
from aura_core.config.settings import ServerSettings
from aura_core.hang_up import AnswerTask, borrow
from aura_core.types import Token


class Borrowed:
    """Stands in for a connection as aiohttp lends it."""

    def __init__(self, waited_for: bool = True) -> None:
        self.closed = False
        self.waited_for = waited_for
        self.told = 0

    @property
    def protocol(self) -> "Borrowed":
        return self

    def hang_up(self) -> bool:
        self.told += 1
        self.closed = self.waited_for
        return self.waited_for


def answered(*steps: Any) -> bool:
    """Whether somebody hangs up when the client of a task that has run these steps leaves."""

    async def answer() -> None:
        for step in steps:
            if asyncio.iscoroutine(step):
                await asyncio.create_task(step)
            else:
                borrow(step)

    async def run() -> bool:
        task = AnswerTask(answer(), loop=asyncio.get_running_loop())
        await task
        return task.hang_up()

    return asyncio.run(run())


def test_the_connection_that_was_taken_last_is_closed() -> None:
    first, last = Borrowed(), Borrowed()
    assert answered(first, last)
    assert (first.told, last.told) == (0, 1)


def test_a_connection_that_was_given_back_serves_another_answer() -> None:
    given_back = Borrowed()
    given_back.closed = True
    assert not answered(given_back)
    assert not given_back.told


def test_an_answer_without_a_connection_is_only_cancelled() -> None:
    assert not answered()


def test_a_task_that_others_wait_for_too_keeps_its_connection() -> None:
    shared = Borrowed()

    async def refresh() -> None:
        borrow(shared)

    assert not answered(refresh())
    assert not shared.told


def left(line: Borrowed, between: Callable[[Relay], object], clean_up: float = 0) -> tuple[str, list[str]]:
    """The outcome of an answer over this connection whose client has left, and how its plugin ended. `between` is
    called before the rest is closed."""
    ends: list[str] = []

    async def tokens() -> AsyncIterator[Token]:
        borrow(line)
        try:
            yield Token("a")
            while not line.closed:
                await asyncio.sleep(0)
            ends.append("by itself")
            yield Token(finish_reason="stop")
        finally:
            await asyncio.sleep(clean_up)
            ends.append("cleaned")

    async def start() -> AsyncIterator[Token]:
        return tokens()

    async def run() -> str:
        relay = Relay(Candidate(start, "it"), ServerSettings(), Values())
        await relay.take()
        rest = relay.leave()
        assert (rest is not None) == line.waited_for
        await asyncio.sleep(0.01)
        between(relay)
        if rest is not None:
            rest()
        await relay.wait_closed()
        return relay.record("a", Asked("1")).outcome

    return asyncio.run(run()), ends


def test_an_answer_that_ends_while_its_client_leaves_is_no_failure() -> None:
    """Its plugin ends by itself, before the rest is closed and its task cancelled."""
    assert left(Borrowed(), lambda _: None) == ("cancelled", ["by itself", "cleaned"])


def test_nothing_that_comes_after_the_client_has_left_is_a_failure() -> None:
    outcome, _ = left(Borrowed(), lambda relay: relay.fail("server_shutdown", "The server stops."))
    assert outcome == "cancelled"


def test_a_plugin_that_does_something_else_is_cancelled_once() -> None:
    """A second cancel would cut its clean-up."""
    assert left(Borrowed(waited_for=False), lambda _: None, clean_up=0.05) == ("cancelled", ["cleaned"])
