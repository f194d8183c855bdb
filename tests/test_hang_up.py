"""Whose connection is closed when a client leaves."""

import asyncio
from collections.abc import AsyncIterator
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

    def __init__(self) -> None:
        self.closed = False
        self.told = 0

    @property
    def protocol(self) -> "Borrowed":
        return self

    def hang_up(self) -> None:
        self.told += 1
        self.closed = True


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


def test_an_answer_that_ends_while_its_client_leaves_is_no_failure() -> None:
    """Its plugin ends by itself, before the rest is closed and its task cancelled."""

    async def run() -> str:
        line = Borrowed()

        async def tokens() -> AsyncIterator[Token]:
            borrow(line)
            yield Token("a")
            while not line.closed:
                await asyncio.sleep(0)
            yield Token(finish_reason="stop")

        async def start() -> AsyncIterator[Token]:
            return tokens()

        relay = Relay(Candidate(start, "it"), ServerSettings(), Values())
        await relay.take()
        rest = relay.leave()
        assert rest is not None
        await relay.wait_closed()
        rest()
        return relay.record("a", Asked("1", "", "", "")).outcome

    assert asyncio.run(run()) == "cancelled"
