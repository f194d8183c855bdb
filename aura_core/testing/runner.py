"""Run the checks of a plugin, each with its own loop, server and thread, and report which promises are broken."""

import asyncio
import os
import threading
import time
import unittest
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Literal

import msgspec

from aura_core.errors import words_of
from aura_core.testing.capture_logs import collected
from aura_core.testing.checks import DOOR_PROMISES, PROMISES
from aura_core.testing.conformance import KEY, Description
from aura_core.testing.door_conformance import DoorDescription
from aura_core.testing.door_harness import DoorHarness
from aura_core.testing.door_registry import DoorPromise
from aura_core.testing.harness import Broken, Harness, Inapplicable, written_for
from aura_core.testing.registry import Promise
from aura_core.testing.upstream import Upstream

LIMIT = 120.0
"""Seconds that one check may take; after one that takes longer, no other is tried."""
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


class Result(msgspec.Struct, frozen=True):
    """The result of one check. `docs` is the command that explains its promise."""

    name: str
    status: Literal["ok", "failed", "skipped"]
    promise: str
    detail: str
    docs: str
    seconds: float


class Check:
    """One check of one plugin. `run` raises Broken, or unittest.SkipTest if the check does not apply."""

    def __init__(self, kit: "Checks", name: str) -> None:
        self.kit = kit
        self.name = name

    def __str__(self) -> str:
        return self.name

    def run(self) -> None:
        """Look at it."""
        __tracebackhide__ = True
        result = self.kit.result(self.name)
        if result.status == "skipped":
            raise unittest.SkipTest(result.detail)
        if result.status == "failed":
            raise Broken(explain(self.kit.plugin, result)) from None


def explain(plugin: str, result: Result) -> str:
    """The broken promise, what was seen, and where it is documented."""
    return (
        f"{plugin!r} breaks the promise `{result.name}`: {result.promise}\nSeen: {result.detail}\nRead: {result.docs}"
    )


class Conformance(Description, frozen=True, kw_only=True):
    """The description of a plugin, ready to be checked; published as an entry point of the group `aura.conformance`."""

    def checks(self) -> list[Check]:
        """Every promise of a provider, ready to be run; `pytest.fixture(params=conformance.checks(), ids=str)`."""
        return Kit(self).cases()


class DoorConformance(DoorDescription, frozen=True, kw_only=True):
    """The description of a plugin's doors, ready to be checked; published as an entry point of the group
    `aura.conformance.doors`."""

    def checks(self) -> list[Check]:
        """Every promise of a door, ready to be run; `pytest.fixture(params=conformance.checks(), ids=str)`."""
        return DoorKit(self).cases()


class Checks:
    """All checks of one plugin; each runs once, when its result is needed."""

    promises: Mapping[str, Promise | DoorPromise]

    def __init__(self, plugin: str) -> None:
        self.plugin = plugin
        self._results: dict[str, Result] = {}
        self._stuck = ""

    def cases(self) -> list[Check]:
        """Every check."""
        return [Check(self, name) for name in self.promises]

    def results(self) -> Iterator[Result]:
        """Every result, as it comes."""
        return (self.result(name) for name in self.promises)

    def only(self, names: Iterable[str]) -> Iterator[Result]:
        """The results of these checks; those that they build on are tried, too."""
        return (self.result(name) for name in self.promises if name in set(names))

    def result(self, name: str) -> Result:
        """The result of one check; the checks that it depends on run before it."""
        if name not in self._results:
            self._results[name] = self._look(self.promises[name])
        return self._results[name]

    def _look(self, check: Any) -> Result:
        begin = time.monotonic()
        status: Literal["ok", "failed", "skipped"] = "ok"
        detail = ""
        logged: list[str] = []
        try:
            if self._stuck:
                raise Inapplicable(f"the plugin was stuck in `{self._stuck}`, so the rest was not tried")
            for needed in check.needs:
                if self.result(needed).status == "failed":
                    raise Inapplicable(f"it builds on `{needed}`, which is broken")
            if check.since > (version := written_for(self.plugin)):
                raise Inapplicable(f"it is new in Aura {check.since}, and the plugin was written for {version}")
            self._check_applies(check)
            with surroundings() as logged:
                self._play(check)
        except Inapplicable as why:
            status, detail = "skipped", str(why)
        except Broken as seen:
            status, detail = "failed", str(seen)
        except Exception as exc:
            status, detail = "failed", f"the check could not be carried out: {words_of(exc)}"
        if "log says more" in detail and logged:
            detail += f"\nThe log says: {_in_short(logged[-1])}"
        seconds = round(time.monotonic() - begin, 3)
        return Result(check.name, status, check.promise, detail, check.docs, seconds)

    def _play(self, check: Any) -> None:
        failures: list[BaseException] = []

        def play() -> None:
            try:
                run(self._in_harness(check))
            except BaseException as exc:
                failures.append(exc)

        thread = threading.Thread(target=play, name=f"aura-check-{check.name}", daemon=True)
        thread.start()
        thread.join(LIMIT)
        if thread.is_alive():
            self._stuck = check.name
            raise Broken(f"the check did not end within {LIMIT:g} s: the plugin blocks its thread, or waits for ever")
        if failures:
            raise failures[0]

    def _check_applies(self, check: Any) -> None:
        """Raise Inapplicable where the check cannot be looked at."""

    async def _in_harness(self, check: Any) -> None:
        raise NotImplementedError


class Kit(Checks):
    """All checks of a provider."""

    promises = PROMISES

    def __init__(self, conformance: Description) -> None:
        super().__init__(conformance.plugin)
        self.conformance = conformance

    def _check_applies(self, check: Promise) -> None:
        if check.server and self.conformance.write is None:
            raise Inapplicable("the provider has no server")

    async def _in_harness(self, check: Promise) -> None:
        with Upstream() as upstream:
            harness = Harness(self.conformance, upstream)
            if self.conformance.plugin in harness.plugins.hooks:
                os.environ.update(dict.fromkeys(_secrets(harness), KEY))
            try:
                await check.look(harness)
            finally:
                await harness.close()


class DoorKit(Checks):
    """All checks of a plugin's doors."""

    promises = DOOR_PROMISES

    def __init__(self, description: DoorDescription) -> None:
        super().__init__(description.plugin)
        self._description = description

    async def _in_harness(self, check: DoorPromise) -> None:
        await check.look(DoorHarness(self._description))


def _secrets(harness: Harness) -> list[str]:
    with suppress(Broken):
        return harness.make().secrets
    return []


def _in_short(logged: str) -> str:
    """The first line of a log record, and the end of its traceback."""
    first, *more = logged.strip().splitlines()
    return "\n".join([first, *(line.strip() for line in more[-3:])])


@contextmanager
def surroundings() -> Iterator[list[str]]:
    """The environment and the log of a check, put back afterwards; no proxy of this machine interferes.
    Gives the warnings and errors that were logged."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.lower() in PROXIES]:
        del os.environ[name]
    try:
        with collected() as logged:  # and so kept off the terminal
            yield logged
    finally:
        os.environ.clear()
        os.environ.update(before)


def run(main: Any) -> None:
    """Like asyncio.run, but tasks that a plugin leaves behind cannot block it."""
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _loop, _context: None)
    try:
        loop.run_until_complete(main)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        left.add(loop.create_task(loop.shutdown_asyncgens()))
        loop.run_until_complete(asyncio.wait(left, timeout=1))
        loop.close()
