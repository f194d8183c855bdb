"""Run one candidate's plugin in one task: from the first step of its iterator to its clean-up, with retries."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from aura_core.answer import counts
from aura_core.answer.candidates import Candidate
from aura_core.answer.events import Framing, finish_reason
from aura_core.answer.frame_buffer import FrameBuffer
from aura_core.answer.plugin_errors import explain, retry_delay
from aura_core.answer.stream_record import Attempt
from aura_core.answer.writer import NOT_RELAYED, EncoderFault, Writer
from aura_core.errors import ProviderError
from aura_core.hang_up import AnswerTask
from aura_core.limits import CLEANUP_LIMIT, FINISH_GRACE, SIGNS_OF_LIFE, STEPS_WITHOUT_PAUSE
from aura_core.types import Token, Usage

log = logging.getLogger("aura.relay")

_abandoned = set[asyncio.Task[None]]()
"""Abandoned tasks that still run: asyncio keeps only weak references to tasks."""


_COMPLETE = ProviderError("complete")  # there is a finish reason


class Owner(Protocol):
    """The answer that the candidate works for, which began at `started_at`. All methods but `on_closed` are called in
    the candidate's task."""

    started_at: float

    def on_finish_reason(self, by: float) -> None:
        """The candidate gave its finish reason; usage may follow until then."""

    def on_answer(self) -> None:
        """The answer is complete."""

    def on_failure(self, failure: ProviderError) -> None:
        """The candidate gave no answer, or an incomplete one; its iterator is closed."""

    def on_closed(self, asking: "Asking") -> None:
        """The task has ended, or was abandoned."""


class Asking:
    """A request to one candidate; it starts at once.

    `over` is set when further output of the plugin must be ignored. `progress_at`, `finish_by` and `deadline` are times
    of the loop, in seconds; the first token must arrive before `deadline`, retries included.
    """

    def __init__(
        self,
        candidate: Candidate,
        owner: Owner,
        buffer: FrameBuffer,
        writer: Writer,
        framing: Framing,
        redact: Callable[[str], str],
        retries: int,
        deadline: float,
    ) -> None:
        self.candidate = candidate
        self.deadline = deadline
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.detail = self.upstream_id = ""
        self.attempts: list[Attempt] = []
        self.over = False
        self.first_token_at: float | None = None
        self._owner = owner
        self._answer_began = owner.started_at
        self._buffer = buffer
        self._writer = writer
        self._framing = framing
        self._redact = redact
        self._retries = retries
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        self.progress_at = self.finish_by = self._now()
        self._began: float | None = self.progress_at
        self._reaper: asyncio.TimerHandle | None = None
        candidate.place.take()
        self.task = AnswerTask(self._run(), loop=self._loop, name=f"aura-pump-{candidate.plugin}")
        self.task.add_done_callback(self._done)

    def hang_up(self) -> bool:
        """Close the provider's connection, if the plugin waits for it, before `stop`. Returns whether it did."""
        if not self.task.hang_up():
            return False
        self.over = True
        return True

    def stop(self) -> None:
        """Ignore further output and cancel the plugin, which closes its connection; don't wait for that."""
        self.over = True
        if self.task.done() or self._reaper is not None or asyncio.current_task() is self.task:
            return
        self.task.cancel()
        self._reaper = self._loop.call_later(CLEANUP_LIMIT, self._abandon)

    def note(self, outcome: str, code: str | None, failure: ProviderError | None = None) -> None:
        """Add the current attempt, if there is one, to the list of attempts."""
        if self._began is None:
            return
        began, self._began = self._began, None
        candidate, first = self.candidate, self.first_token_at
        head = candidate.provider, candidate.model(), outcome, code, milliseconds(self._now() - began)
        first_token = None if first is None else milliseconds(first - began)
        after = milliseconds(began - self._answer_began)
        if failure is None:
            attempt = Attempt(*head, candidate.address, after_ms=after, first_token_ms=first_token)
        else:
            attempt = Attempt(
                *head,
                candidate.address,
                failure.message,
                failure.upstream_status,
                failure.upstream_id,
                failure.upstream_words,
                failure.cause,
                after,
                first_token,
            )
        self.attempts.append(attempt)

    async def _run(self) -> None:
        for attempt in range(self._retries + 1):
            if self._began is None:
                self._began = self._now()
            failure = await self._attempt()
            if self.over:
                return
            if self.finish_reason is not None:
                self._owner.on_answer()
                return
            self.note("error", failure.code, failure)
            delay = self._retry_delay(failure, attempt)
            if delay is None:
                self.candidate.place.leave()  # the next candidate may be of the same instance
                self._owner.on_failure(failure)
                return
            await asyncio.sleep(delay)

    async def _attempt(self) -> ProviderError:
        """Run the plugin once. Returns why it gave no complete answer; ignored if there is a finish reason."""
        self.finish_reason = self.usage = None
        try:
            iterator = await self.candidate.start()
            try:
                await self._relay(iterator)
            finally:
                # A generator that ended or raised is closed already; one that we stopped reading is not.
                if getattr(iterator, "ag_frame", iterator) is not None:
                    aclose = getattr(iterator, "aclose", None)
                    if aclose is not None:
                        await aclose()
        except BaseException as exc:  # SystemExit, a stray CancelledError, anything: it comes from the plugin
            return self._explain(exc)
        if self.finish_reason is not None:
            return _COMPLETE
        if not self._writer.begun:
            return ProviderError("The provider ended its answer without saying anything.", "bad_response")
        return ProviderError(
            "The answer was cut off: the provider ended without saying that it finished.", "interrupted"
        )

    async def _relay(self, iterator: AsyncIterator[Token]) -> None:
        """The hot path: a few microseconds per token."""
        now, put = self._now, self._writer.put
        frame_token, frame_reasoning = self._framing.text, self._framing.reasoning
        steps = signs = 0
        async for token in iterator:
            if self.over:
                return
            if type(token) is not Token:
                raise TypeError(f"it yielded {type(token).__name__}, not Token")
            steps += 1
            if steps == STEPS_WITHOUT_PAUSE:  # a plugin that never awaits must not block the loop
                steps = 0
                await asyncio.sleep(0)
                if self.over:
                    return
            if self.finish_reason is None:
                if token.reasoning:
                    signs = 0
                    self.progress_at = now()
                    if not put(frame_reasoning, token.reasoning):
                        await self._wait_for_room()
                if content := token.content:
                    signs = 0
                    self.progress_at = now()
                    if not put(frame_token, content):
                        await self._wait_for_room()
                elif signs < SIGNS_OF_LIFE and not token.reasoning:
                    signs += 1
                    self.progress_at = now()
                if token.finish_reason is not None:
                    self._finish(token)
            if token.usage is not None:
                if type(token.usage) is not Usage:
                    raise TypeError(f"it yielded a usage of {type(token.usage).__name__}, not Usage")
                self.usage = counts.checked(token.usage)
            if token.upstream_id:
                self.upstream_id = str(token.upstream_id)

    def _finish(self, token: Token) -> None:
        self.detail = str(token.detail)
        self.finish_reason = finish_reason(token.finish_reason, self.candidate.plugin, self.candidate.provider)
        self.finish_by = self._now() + FINISH_GRACE
        if self.finish_reason is not None:
            self._owner.on_finish_reason(self.finish_by)

    async def _wait_for_room(self) -> None:
        try:
            await self._buffer.wait_for_room()
        finally:
            self.progress_at = self._now()  # the client was slow, not the provider: restart the idle limit

    def _explain(self, exc: BaseException) -> ProviderError:
        plugin = self.candidate.plugin
        try:
            if isinstance(exc, EncoderFault):
                self._writer.log_fault(exc)
                return ProviderError(NOT_RELAYED)
            if not self.over:
                return explain(exc, plugin, self._redact, self._writer.begun)
            if not isinstance(exc, (asyncio.CancelledError, GeneratorExit, ProviderError)):
                log.warning("plugin %r raised while it was closed", plugin, exc_info=exc)
            return ProviderError("closed")
        except BaseException as own:  # for example, its __str__ raises
            raise RuntimeError(f"{type(exc).__name__} cannot be told") from own

    def _retry_delay(self, failure: ProviderError, attempt: int) -> float | None:
        """Seconds until the next attempt; None if text was sent, or if the deadline is earlier."""
        if attempt >= self._retries or self._writer.begun:
            return None
        delay = retry_delay(failure, attempt)
        return None if delay is None or self._now() + delay >= self.deadline else delay

    def _abandon(self) -> None:
        self.task.cancel()
        self.candidate.place.leave()
        _abandoned.add(self.task)
        self.task.add_done_callback(_abandoned.discard)
        if self.candidate.abandoned is not None:
            self.candidate.abandoned()
        log.error("plugin %r: its clean-up took over %g s and was abandoned", self.candidate.plugin, CLEANUP_LIMIT)
        self._owner.on_closed(self)

    def _done(self, task: asyncio.Task[None]) -> None:
        if self._reaper is not None:
            self._reaper.cancel()
        self.candidate.place.leave()
        self._owner.on_closed(self)  # before logging, which may raise
        del self._owner  # without the circle, memory is freed at once and not by the garbage collector
        if not task.cancelled() and (exc := task.exception()) is not None:
            log.error("the relay of plugin %r failed", self.candidate.plugin, exc_info=exc)


def milliseconds(seconds: float) -> float:
    """Seconds as milliseconds, as the log has them."""
    return round(seconds * 1000, 1)
