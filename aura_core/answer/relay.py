"""Guard one answer: ask its candidates, limit its size and time, and end it with exactly one event.

A plugin's iterator runs in a task of its own (`Asking`), from its first step to its clean-up. That task encodes the
plugin's tokens as frames and puts them into the frame buffer; the consumer takes all frames that are ready at once. One
timer per answer checks all limits. If the client disconnects, a limit passes or the server stops, the terminal event is
set, the task is cancelled, and its clean-up gets `CLEANUP_LIMIT` seconds. As long as no text was sent, a candidate that
failed or sent nothing in its time is followed by the next one, after its task has ended.

States of an answer: it has *ended* when its terminal event is set, and accepts no more text; it *succeeded* when that
event is `done`; it is *drained* when the consumer has taken all frames; it is *closed* when the plugin's clean-up is
done as well.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from aura_core.answer.asking import Asking, milliseconds
from aura_core.answer.candidates import Candidate
from aura_core.answer.events import Framing, Values
from aura_core.answer.fallback import Fallback
from aura_core.answer.frame_buffer import FrameBuffer, Sink
from aura_core.answer.stream_record import Asked, Attempt, StreamRecord
from aura_core.answer.writer import NOT_RELAYED, EncoderFault, KeepingWriter, Writer
from aura_core.budget import Share
from aura_core.deadline import fired_late
from aura_core.door import End, Failure
from aura_core.errors import ProviderError
from aura_core.limits import CLEANUP_LIMIT, SECOND_LOOK
from aura_core.types import Usage

log = logging.getLogger("aura.relay")


class Limits(msgspec.Struct, frozen=True):
    """What bounds one answer: the settings of the same names in `[server]`, in seconds; 0 means none."""

    first_token_timeout: float
    idle_timeout: float
    total_timeout: float
    write_timeout: float
    heartbeat: float
    retries: int


class Relay:
    """One answer, from a plugin to one client.

    `redact` removes secrets from texts for users. Call `take` until it is `drained`, or `pipe` to a connection; then
    call `close` in any case.
    """

    def __init__(
        self,
        candidates: Candidate | Fallback,
        limits: Limits,
        framing: Framing,
        redact: Callable[[str], str] = str,
        stuck: Callable[[], object] | None = None,
        share: Share | None = None,
    ) -> None:
        """Start at once. `stuck` is called when a write of the consumer takes longer than `write_timeout`. `share` is
        what the frame buffer takes of the process's budget.
        """
        self.error: Failure | None = None
        self.succeeded = False
        self.first_token_at: float | None = None
        self._limits = limits
        self._framing = framing
        self._redact = redact
        self._stuck = stuck
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        self.started_at = self._now()
        self._buffer = FrameBuffer(framing.size if isinstance(framing, Values) else len, share)
        if share is not None and not isinstance(framing, Values) and framing.keeps_text:
            self._writer: Writer = KeepingWriter(self._buffer, framing, self._begin, share)
        else:
            self._writer = Writer(self._buffer, framing, self._begin)
        self._timer: asyncio.TimerHandle | None = None
        self._attempts: list[Attempt] = []
        timeout = limits.first_token_timeout
        self._first_token_by = self.started_at + timeout if timeout else math.inf  # for all candidates together
        self._left = False  # the client has, and the rest is closed in a moment
        self._silent = False  # the current candidate's time is over; the next one is asked when it is closed
        if isinstance(candidates, Fallback):
            self._fallback: Fallback | None = candidates
            self._ask(candidates.asked)
            if candidates.skipped:
                self._say_who_is_asked()
        else:
            self._fallback = None
            self._ask(candidates)
        self._watch_until(min(self._asking.deadline, self.started_at + _first_look(limits)))

    # The consumer's side

    @property
    def drained(self) -> bool:
        """Whether everything, the terminal event included, has been taken."""
        return self._buffer.drained

    def take(self) -> Coroutine[Any, Any, list[Any]]:
        """All that is ready, at least one frame; waits until there is something. Empty once it is `drained`."""
        return self._buffer.take()

    def pipe(self, sink: Sink) -> Coroutine[Any, Any, list[Any]]:
        """Write frames to `sink` as they arrive. Returns the last frames for the caller to write; none if the answer
        was closed.
        """
        return self._buffer.pipe(sink)

    @property
    def tokens(self) -> int:
        """The frames of text so far."""
        return self._writer.tokens

    @property
    def usage(self) -> Usage | None:
        """The token counts, as far as the provider has reported them."""
        return self._asking.usage

    @property
    def finish_reason(self) -> str | None:
        """How the provider ended the answer."""
        return self._asking.finish_reason

    def fail(self, code: str, message: str, retry_after: float | None = None) -> None:
        """End the answer with an error: a limit, a server that stops, a provider that failed."""
        if self._buffer.ended or self._left:
            return
        if self._asking.finish_reason is not None:  # nothing turns success into failure
            self.on_answer()
        else:
            self.error = Failure(message, code, retry_after)
            self._end(self._framing.error, self.error)

    def leave(self) -> Callable[[], None] | None:
        """The client has left: close the provider's connection. Returns what closes the rest, if that can wait."""
        if self._silent or not self._asking.hang_up():
            self.close()
            return None
        self._left = True
        self._stop_timer()
        return self.close

    def close(self) -> None:
        """Release everything: the consumer has all frames, or is gone. The upstream connection closes; don't wait."""
        self._stop_timer()
        if not self._buffer.drained:  # else all else was released when it ended
            self._buffer.close()
            self._let_go()

    @property
    def closed(self) -> bool:
        """Whether the plugin's clean-up is done."""
        return self._asking.task.done()

    def when_closed(self, callback: Callable[["Relay"], None]) -> None:
        """Call `callback` when the relay is closed."""
        self._asking.task.add_done_callback(lambda _task: callback(self))

    async def wait_closed(self) -> None:
        """Wait for the plugin's clean-up, at most for its time limit."""
        await asyncio.wait({self._asking.task}, timeout=CLEANUP_LIMIT + 0.5)

    def record(self, agent: str, asked: Asked) -> StreamRecord:
        """The figures of the answer for the log; complete when it is closed."""
        asking, now = self._asking, self._now()
        outcome = "error" if self.error is not None else "done" if self.succeeded else "cancelled"
        code = self.error.code if self.error else asking.finish_reason if self.succeeded else None
        failure = None if self.error is None else ProviderError(self.error.message)
        asking.note(outcome, code, failure)
        who = asking.candidate
        if self._fallback is not None and self.error is not None and self.first_token_at is None:
            who = self._fallback.blamed
        usage = asking.usage or Usage()
        return StreamRecord(
            asked.request_id,
            asked.client,
            asked.client_address,
            asked.door,
            agent,
            who.provider,
            who.model(),
            outcome,
            code,
            None if self.error is None else self.error.message,
            None if self.first_token_at is None else milliseconds(self.first_token_at - self.started_at),
            milliseconds(now - self.started_at),
            self._writer.tokens,
            usage.prompt,
            usage.completion,
            usage.cache_read,
            usage.cache_write,
            usage.reasoning,
            self._redact(asking.detail) if asking.detail else None,
            self._redact(asking.upstream_id) if asking.upstream_id else None,
            [*self._attempts, *asking.attempts],
        )

    # Who is asked

    def _ask(self, candidate: Candidate) -> None:
        deadline = self._first_token_by
        if candidate.limit:
            deadline = min(deadline, self._now() + candidate.limit)
        # A probe is a single attempt: another candidate can answer.
        retries = 0 if self._fallback is not None and self._fallback.probe else self._limits.retries
        self._asking = Asking(
            candidate, self, self._buffer, self._writer, self._framing, self._redact, retries, deadline
        )

    def _ask_next(self) -> None:
        """Ask the next candidate, or end with an error if there is none. The candidate before it is closed."""
        assert self._fallback is not None
        following = self._fallback.next()
        if following is None:
            self._fail_for_all()
            return
        self._attempts += self._asking.attempts
        self._silent = False
        self._ask(following)
        self._watch_until(self._asking.deadline)
        self._say_who_is_asked()

    def _fail_for_all(self) -> None:
        assert self._fallback is not None
        failure = self._fallback.failure()
        self.fail(failure.code, failure.message, failure.retry_after)

    def _say_who_is_asked(self) -> None:
        try:
            self._writer.add(self._framing.asking, self._asking.candidate.provider)
        except EncoderFault as exc:
            self._writer.log_fault(exc)
            self.fail("llm_error", NOT_RELAYED)

    def _begin(self) -> None:
        """The candidate sends its first text: from now on no other one is asked."""
        self.first_token_at = self._asking.first_token_at = self._now()
        self._tell_who_answers()

    def _tell_who_answers(self) -> None:
        if self._fallback is not None:
            self._fallback.answered()
        candidate = self._asking.candidate
        self._writer.add(self._framing.answering, candidate.provider, candidate.model() or "")

    # Called by `Asking`

    def on_finish_reason(self, by: float) -> None:
        self._watch_until(by)

    def on_answer(self) -> None:
        asking = self._asking
        self.succeeded = True
        self._end(self._framing.done, End(asking.finish_reason or "stop", asking.usage or Usage()))

    def on_failure(self, failure: ProviderError) -> None:
        if self._fallback is None or self._writer.begun:
            self.fail(failure.code, failure.message, failure.retry_after)
        else:
            self._fallback.failed(failure)
            self._ask_next()

    def on_closed(self, asking: Asking) -> None:
        if asking is not self._asking or self._buffer.ended:
            return
        if self._silent:
            self._ask_next()
        else:
            self.fail("llm_error", NOT_RELAYED)

    # Ends

    def _end(self, frame: Callable[[Any], Any], how: End | Failure) -> None:
        """Put the terminal event into the buffer; if it cannot be encoded, an error event instead."""
        try:
            self._writer.flush()
            if self.succeeded and not self._writer.begun:
                self._tell_who_answers()
            self._buffer.end(self._writer.encoded(frame, how))
        except EncoderFault as exc:
            self._writer.log_fault(exc)
            self._end_badly()
        self._let_go()

    def _end_badly(self) -> None:
        self.succeeded, self.error = False, Failure(NOT_RELAYED, "llm_error")
        try:
            self._buffer.end(self._writer.encoded(self._framing.error, self.error))
        except EncoderFault:
            self._buffer.close()  # the stream ends without a terminal event, which clients report as a failure

    def _let_go(self) -> None:
        self._asking.stop()
        self._writer.close()
        if self._fallback is not None:
            self._fallback.left()

    # Limits

    def _watch_until(self, when: float) -> None:
        if when < (math.inf if self._timer is None else self._timer.when()):
            self._stop_timer()
            self._timer = self._loop.call_at(when, self._tick, when)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self, due: float = math.inf) -> None:
        """Check all limits, and set the timer to the earliest of them. `due` is when the timer should have fired."""
        self._timer = None
        now, limits = self._now(), self._limits
        if fired_late(due, now):  # read the data that has arrived in the meantime first
            # The second look is the last one: on a busy loop every timer fires late.
            self._timer = self._loop.call_at(now + SECOND_LOOK, self._tick)
            return
        if not self._buffer.ended:
            self._check_provider(now, limits)
        looks = [self._check_client(now, limits)]
        if not self._buffer.ended:
            looks.append(self._provider_deadline(now, limits)[0])
            if self.first_token_at is None and limits.idle_timeout:
                looks.append(now + limits.idle_timeout)  # the first token may be the last one
            if limits.total_timeout:
                looks.append(self.started_at + limits.total_timeout)
        self._watch_until(min(looks))

    def _check_provider(self, now: float, limits: Limits) -> None:
        deadline, why = self._provider_deadline(now, limits)
        if limits.total_timeout and now >= self.started_at + limits.total_timeout:
            self.fail("timeout", f"The answer took longer than {limits.total_timeout:g} s (server.total_timeout).")
        elif now >= deadline:
            self._give_up(why)

    def _give_up(self, why: str) -> None:
        """The time of the current candidate is over."""
        if self._fallback is None or self._writer.begun or self._asking.finish_reason is not None:
            self.fail("timeout", why)
            return
        if not self._silent:
            failure = ProviderError(why, "timeout")
            self._asking.note("error", "timeout", failure)
            self._fallback.failed(failure)
        if self._now() >= self._first_token_by:
            self._fail_for_all()
        else:
            self._silent = True
            self._asking.stop()  # `on_closed` asks the next one

    def _provider_deadline(self, now: float, limits: Limits) -> tuple[float, str]:
        asking = self._asking
        if asking.finish_reason is not None:
            return asking.finish_by, ""
        if self._writer.begun:
            since = now if self._buffer.full else asking.progress_at
            why = f"The provider said nothing more for {limits.idle_timeout:g} s (server.idle_timeout)."
            return (since + limits.idle_timeout if limits.idle_timeout else math.inf), why
        if self._silent or asking.deadline >= self._first_token_by:
            why = f"No token arrived within {limits.first_token_timeout:g} s (server.first_token_timeout)."
            return self._first_token_by, why
        candidate = asking.candidate
        return asking.deadline, f"No token arrived within {candidate.limit:g} s ({candidate.limited_by})."

    def _check_client(self, now: float, limits: Limits) -> float:
        """Send a ping after a silence; cut off a client that does not read. Returns when to check again."""
        ping, write = limits.heartbeat or math.inf, limits.write_timeout or math.inf
        if self._buffer.writing:
            if now >= self._buffer.sent_at + write and not self._buffer.progressed():
                if self._stuck is not None:
                    self._stuck()
                log.info("a client did not read for %g s and was cut off", limits.write_timeout)
                return math.inf
            return min(self._buffer.sent_at + write, now + ping)
        if now < self._buffer.sent_at + ping:
            return min(self._buffer.sent_at + ping, now + write)
        if self._buffer.waited_for and not self._buffer.ended and self._framing.ping:
            self._buffer.put(self._framing.ping)
        return now + min(ping, write)


def _first_look(limits: Limits) -> float:
    """The seconds until a limit may pass that does not depend on who is asked."""
    bounds = limits.idle_timeout, limits.total_timeout, limits.write_timeout, limits.heartbeat
    return min(filter(None, bounds), default=math.inf)
