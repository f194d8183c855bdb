"""Test a provider against its real service: a first token, an end, its cost, and that it can be stopped."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Literal

from aura_core.config import settings
from aura_core.errors import ConfigError
from aura_core.plugins.instance import Instance
from aura_core.plugins.registry import Unusable
from aura_core.runtime import Runtime
from aura_core.telemetry import redact
from aura_core.testing.harness import CLEANUP, Broken, Inapplicable, PlayedAnswer, until
from aura_core.testing.registry import EXPLAIN
from aura_core.testing.runner import Result
from aura_core.types import ChatRequest, Message

PROMPT = "Say hello in one short sentence."
FIRST_TOKEN = 300.0
LONG = "Count from 1 to 500, in words, one number a line."


class Live:
    """The answers of one instance."""

    def __init__(self, runtime: Runtime, instance: Instance, model: str | None) -> None:
        self._runtime = runtime
        self._instance = instance
        self._model = model
        self._answer: PlayedAnswer | None = None
        self._first = 0.0

    async def first_token(self) -> None:
        """The service answers, and text arrives before the answer ends."""
        model = self._model or await self._instance.model()
        begin = time.monotonic()
        answer = self._ask(model, PROMPT)
        await until(lambda: bool(answer.text or answer.reasoning) or answer.ended, FIRST_TOKEN)
        self._first = time.monotonic() - begin
        self._answer = await answer.finish()
        if not answer.text and not answer.reasoning:
            raise Broken(f"nothing was said: {self._shown(answer)}")

    async def finish(self) -> None:
        """The answer ends with one finish reason."""
        answer = self._whole()
        if len(answer.finishes) != 1 or not answer.relay.succeeded:
            raise Broken(f"it said {answer.finishes} and ended with {self._shown(answer)}")

    async def usage(self) -> None:
        """The service counts tokens, and the counts arrive."""
        answer = self._whole()
        if answer.usage is None:
            raise Inapplicable("it counts nothing")
        if answer.usage.prompt <= 0 or answer.usage.completion <= 0:
            raise Broken(f"it says {answer.usage}")

    async def cancel(self) -> None:
        """A client that leaves after the first token ends the answer at once, and the next is served."""
        model = self._model or await self._instance.model()
        answer = self._ask(model, LONG)
        await until(lambda: bool(answer.text or answer.reasoning) or answer.ended, FIRST_TOKEN)
        await answer.leave()
        if answer.abandoned or not answer.relay.closed:
            raise Broken(f"its clean-up did not end within {CLEANUP:g} s")
        after = await self._ask(model, PROMPT).finish()
        if not after.relay.succeeded:
            raise Broken(f"the answer after it ended with {self._shown(after)}")

    def _ask(self, model: str, prompt: str) -> PlayedAnswer:
        return PlayedAnswer(self._instance, ChatRequest([Message("user", prompt)], model), self._runtime.limits)

    def _whole(self) -> PlayedAnswer:
        if self._answer is None:
            raise Inapplicable("there was no answer")
        return self._answer

    def _shown(self, answer: PlayedAnswer) -> str:
        return redact.message(answer.end, self._runtime.secrets)


LIVE = {
    f"live-{name}": " ".join((look.__doc__ or "").split())
    for name, look in {
        "first": Live.first_token,
        "finish": Live.finish,
        "usage": Live.usage,
        "cancel": Live.cancel,
    }.items()
}
"""The promise of each live check."""


def results(name: str, model: str | None, config: Path | None) -> Iterator[Result]:
    """Ask the instance `name` of aura.toml. Raises ConfigError where there is none."""
    runtime = Runtime(settings.load({}, os.environ, config), os.environ)
    try:
        instance = runtime.providers.get(name)
    except Unusable as why:
        raise ConfigError(str(why)) from None
    with asyncio.Runner() as runner:
        live = Live(runtime, instance, model)
        try:
            for key, look in {
                "live-first": live.first_token,
                "live-finish": live.finish,
                "live-usage": live.usage,
                "live-cancel": live.cancel,
            }.items():
                yield runner.run(_look(key, look))
        finally:
            runner.run(runtime.close())


async def _look(name: str, look: Callable[[], Awaitable[None]]) -> Result:
    begin = time.monotonic()
    status: Literal["ok", "failed", "skipped"] = "ok"
    detail = ""
    try:
        await look()
    except Inapplicable as why:
        status, detail = "skipped", str(why)
    except Exception as exc:  # a ProviderError's message, or a plugin's bug
        status, detail = "failed", str(exc) or type(exc).__name__
    promise = " ".join((look.__doc__ or "").split())
    return Result(name, status, promise, detail, f"{EXPLAIN} {name}", round(time.monotonic() - begin, 3))
