"""Whose connection is closed when a client leaves."""

import asyncio
from typing import Any

from aura_core.hang_up import AnswerTask, borrow


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
