"""Guard one answer: run the plugin's iterator, bound it in space and time, and end it with exactly one event.

The plugin's iterator lives in one task of its own, the pump, from its first step to its clean-up. The pump frames what
the plugin yields and puts it into the frame buffer; the consumer takes all that is ready at once. One timer per answer
watches every limit. A client that leaves, a limit that passes and a server that stops all end in the same way: the
terminal event is set, the pump is cancelled, and its clean-up gets `CLEANUP_LIMIT` seconds.

Four words for an end: an answer has *ended* when its terminal event is set, and takes no more; it *succeeded* when
that event is `done`; it is *drained* when the consumer has taken everything, the terminal event included; it is
*closed* when the plugin's clean-up is over, too.
"""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec

from aura_core.answer import counts
from aura_core.answer.events import Framing, Values, finish_reason
from aura_core.answer.frame_buffer import FrameBuffer, Sink
from aura_core.answer.plugin_errors import explain, retry_delay
from aura_core.answer.stream_record import StreamRecord
from aura_core.budget import Share
from aura_core.deadline import fired_late
from aura_core.door import End, Failure
from aura_core.errors import ProviderError
from aura_core.limits import CLEANUP_LIMIT, FINISH_GRACE, SECOND_LOOK, SIGNS_OF_LIFE, STEPS_WITHOUT_PAUSE
from aura_core.types import Token, Usage

log = logging.getLogger("aura.relay")

Start = Callable[[], Awaitable[AsyncIterator[Token]]]


class EncoderFault(Exception):
    """The encoder of a door raised, or returned something else than bytes: the door's fault, not the provider's."""


class Limits(msgspec.Struct, frozen=True):
    """What bounds one answer: the settings of the same names in `[server]`, in seconds; 0 means none."""

    first_token_timeout: float
    idle_timeout: float
    total_timeout: float
    write_timeout: float
    heartbeat: float
    retries: int


class Relay:
    """One answer on its way from a plugin to one client.

    `start` gives the plugin's iterator; it is called in the pump, again for each retry. `redact` cleans what reaches a
    user. `take` what there is until `drained`, or `pipe` it to a connection; then `close`, whatever happened.
    """

    def __init__(
        self,
        start: Start,
        limits: Limits,
        framing: Framing,
        plugin: str,
        redact: Callable[[str], str] = str,
        stuck: Callable[[], object] | None = None,
        abandoned: Callable[[], None] | None = None,
        server: str = "",
        share: Share | None = None,
    ) -> None:
        """Begin at once. `stuck` is called when the consumer has written for longer than `write_timeout`, `abandoned`
        when the plugin's clean-up takes too long. `server` is the instance's name, for the log. `share` is what the
        frame buffer takes of the process's budget.
        """
        self.plugin = plugin
        self._server = server or plugin
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.error: Failure | None = None
        self.succeeded = False
        self.tokens = 0
        self.first_token_at: float | None = None
        self.who = "", ""
        """The provider and the model that are asked; `start` sets it."""
        self._start = start
        self._limits = limits
        self._framing = framing
        self._bytes = not isinstance(framing, Values)
        self._introduced = False  # whether the framing was told who answers
        self._redact = redact
        self._stuck = stuck
        self._abandoned = abandoned
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        self.started_at = self._progress_at = self._finish_by = self._now()
        self._buffer = FrameBuffer(framing.size if isinstance(framing, Values) else len, share)
        self._half = ""  # a high surrogate that waits for its other half
        self._half_frame: Callable[[str], Any] = framing.text
        self._timer: asyncio.TimerHandle | None = None
        self._reaper: asyncio.TimerHandle | None = None
        self._pump = self._loop.create_task(self._run(), name=f"aura-pump-{plugin}")
        self._pump.add_done_callback(self._pump_done)
        self._tick()

    # The consumer's side

    @property
    def drained(self) -> bool:
        """Whether everything, the terminal event included, has been taken."""
        return self._buffer.drained

    async def take(self) -> list[Any]:
        """All that is ready, at least one frame; waits until there is something. Empty once it is `drained`."""
        return await self._buffer.take()

    async def pipe(self, sink: Sink) -> list[Any]:
        """Write all that comes to `sink`, as it comes. Returns the last frames, for the caller to write; none where the
        answer was closed.
        """
        return await self._buffer.pipe(sink)

    def fail(self, code: str, message: str, retry_after: float | None = None) -> None:
        """End the answer with an error: a limit, a server that stops, a provider that failed."""
        if self._buffer.ended:
            return
        if self.finish_reason is not None:  # nothing turns success into failure
            self._finish()
        else:
            self.error = Failure(message, code, retry_after)
            self._end(self._framing.error, self.error)

    def close(self) -> None:
        """Let go: the consumer has everything, or has left. The upstream closes at once, without waiting for it."""
        self._buffer.close()
        self._stop_timer()
        self._stop_pump()

    @property
    def closed(self) -> bool:
        """Whether the plugin's clean-up is over, too."""
        return self._pump.done()

    def when_closed(self, callback: Callable[["Relay"], None]) -> None:
        """Call back once it is closed."""
        self._pump.add_done_callback(lambda _pump: callback(self))

    async def wait_closed(self) -> None:
        """Wait for the plugin's clean-up; at most as long as it is allowed to take."""
        await asyncio.wait({self._pump}, timeout=CLEANUP_LIMIT + 0.5)

    def record(self, request_id: str, agent: str, provider: str, model: str | None) -> StreamRecord:
        """How the answer went, for the log; known once it is closed."""
        outcome = "error" if self.error is not None else "done" if self.succeeded else "cancelled"
        first = None if self.first_token_at is None else _milliseconds(self.first_token_at - self.started_at)
        usage = self.usage or Usage()
        return StreamRecord(
            request_id,
            agent,
            provider,
            model,
            outcome,
            self.error.code if self.error else self.finish_reason if self.succeeded else None,
            first,
            _milliseconds(self._now() - self.started_at),
            self.tokens,
            usage.prompt,
            usage.completion,
        )

    # The pump's side

    async def _run(self) -> None:
        for attempt in range(self._limits.retries + 1):
            failure = await self._attempt()
            if self._buffer.ended:
                return
            if self.finish_reason is not None:
                self._finish()
                return
            delay = self._retry_delay(failure, attempt)
            if delay is None:
                self.fail(failure.code, failure.message, failure.retry_after)
                return
            await asyncio.sleep(delay)

    async def _attempt(self) -> ProviderError:
        """Run the plugin once. Returns why there is no (or no whole) answer; of no interest after a finish reason."""
        self.finish_reason = self.usage = None
        try:
            iterator = await self._start()
            try:
                await self._relay(iterator)
            finally:
                # A generator that ended or raised is closed already; one that we left is not.
                aclose = getattr(iterator, "aclose", None)
                if aclose is not None:
                    await aclose()
        except BaseException as exc:  # SystemExit, a stray CancelledError, anything: it is the plugin's
            return self._explain(exc)
        if self.first_token_at is None:
            return ProviderError("The provider ended its answer without saying anything.", "bad_response")
        return ProviderError(
            "The answer was cut off: the provider ended without saying that it finished.", "interrupted"
        )

    async def _relay(self, iterator: AsyncIterator[Token]) -> None:
        """The hot path: a few microseconds for each token."""
        now, frame_token, frame_reasoning = self._now, self._framing.text, self._framing.reasoning
        steps = signs = 0
        async for token in iterator:
            if self._buffer.ended:
                return
            if type(token) is not Token:
                raise TypeError(f"it yielded {type(token).__name__}, not Token")
            steps += 1
            if steps == STEPS_WITHOUT_PAUSE:  # a plugin may never await
                steps = 0
                await asyncio.sleep(0)
            if self.finish_reason is None:
                if token.reasoning:
                    signs = 0
                    self._progress_at = now()
                    if not self._put(frame_reasoning, token.reasoning):
                        await self._wait_for_room()
                if content := token.content:
                    signs = 0
                    self._progress_at = now()
                    if not self._put(frame_token, content):
                        await self._wait_for_room()
                elif signs < SIGNS_OF_LIFE and not token.reasoning:
                    signs += 1
                    self._progress_at = now()
                if token.finish_reason is not None:
                    self.finish_reason = finish_reason(token.finish_reason, self._server)
                    self._finish_by = now() + FINISH_GRACE
                    if self.finish_reason is not None:
                        self._watch_until(self._finish_by)
            if token.usage is not None:
                if type(token.usage) is not Usage:
                    raise TypeError(f"it yielded a usage of {type(token.usage).__name__}, not Usage")
                self.usage = counts.checked(token.usage)

    def _put(self, frame: Callable[[str], Any], text: str) -> bool:
        """Frame a text and hand it over. Returns whether there is room for more."""
        if text.__class__ is not str:
            raise TypeError(f"it yielded a Token of {type(text).__name__}, not of str")
        if self._half:
            text = self._join_halves(frame, text)
        if not text.isascii():
            text = self._well_formed(frame, text)
            if not text:
                return True
        return self._hand_over(frame, text)

    def _hand_over(self, frame: Callable[[str], Any], text: str) -> bool:
        if not self._introduced:
            if self.first_token_at is None:
                self.first_token_at = self._now()
            self._introduce()
        self.tokens += 1
        try:
            framed = frame(text)
        except BaseException as exc:  # SystemExit, too: it is the door's
            raise EncoderFault(f"it raised {type(exc).__name__}") from exc
        if framed.__class__ is not bytes and self._bytes:
            raise EncoderFault(f"it returned {type(framed).__name__}, not bytes")
        return not framed or self._buffer.put(framed)

    def _introduce(self) -> None:
        """Tell the framing who answers, before the first text or the end."""
        self._introduced = True
        try:
            framed = self._framing.answering(*self.who)
        except BaseException as exc:
            raise EncoderFault(f"it raised {type(exc).__name__}") from exc
        if framed:
            self._buffer.put(framed)

    async def _wait_for_room(self) -> None:
        try:
            await self._buffer.wait_for_room()
        finally:
            self._progress_at = self._now()  # the client was slow, not the provider

    def _join_halves(self, frame: Callable[[str], Any], text: str) -> str:
        if frame is not self._half_frame:
            self._add_lone_half()
        half, self._half = self._half, ""
        return half + text

    def _add_lone_half(self) -> None:
        self._half = ""
        self._hand_over(self._half_frame, "\ufffd")

    def _well_formed(self, frame: Callable[[str], Any], text: str) -> str:
        try:
            text.encode()
        except UnicodeEncodeError:
            return self._mend(frame, text)
        return text

    def _mend(self, frame: Callable[[str], Any], text: str) -> str:
        """Join surrogate pairs, keep a last high half for the next token, replace what stays alone."""
        if "\ud800" <= text[-1] <= "\udbff":
            self._half, self._half_frame, text = text[-1], frame, text[:-1]
            if self.first_token_at is None:  # it will be sent, so no other attempt may follow
                self.first_token_at = self._now()
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    # Ends

    def _finish(self) -> None:
        self.succeeded = True
        self._end(self._framing.done, End(self.finish_reason or "stop", self.usage or Usage()))

    def _end(self, frame: Callable[[Any], Any], how: End | Failure) -> None:
        """Hand over the last event; where it cannot be framed, an error that says so."""
        try:
            if self._half:
                self._add_lone_half()
            if self.succeeded and not self._introduced:
                self._introduce()
            self._buffer.end(self._last(frame, how))
        except BaseException as exc:
            self._end_badly(exc)
        self._stop_pump()

    def _end_badly(self, why: BaseException) -> None:
        self.succeeded, self.error = False, Failure(_NOT_RELAYED, "llm_error")
        try:
            self._buffer.end(self._last(self._framing.error, self.error))
        except BaseException:
            self._buffer.close()  # the answer is cut: a client takes that for a failure, too
        log.error("%s cannot say how an answer ended", self._encoder, exc_info=why)

    def _last(self, frame: Callable[[Any], Any], how: End | Failure) -> Any:
        framed = frame(how)
        if framed.__class__ is not bytes and self._bytes:
            raise TypeError(f"it returned {type(framed).__name__}, not bytes")
        return framed

    @property
    def _encoder(self) -> str:
        return f"{type(self._framing).__module__}.{type(self._framing).__qualname__}"

    def _stop_pump(self) -> None:
        if self._pump.done() or self._reaper is not None or asyncio.current_task() is self._pump:
            return
        self._pump.cancel()
        self._reaper = self._loop.call_later(CLEANUP_LIMIT, self._abandon)

    def _abandon(self) -> None:
        self._pump.cancel()
        if self._abandoned is not None:
            self._abandoned()
        log.error("plugin %r: its clean-up took over %g s and was abandoned", self.plugin, CLEANUP_LIMIT)

    def _pump_done(self, pump: asyncio.Task[None]) -> None:
        if self._reaper is not None:
            self._reaper.cancel()
        self.fail("llm_error", _NOT_RELAYED)  # first: what is logged may raise, too
        if not pump.cancelled() and (exc := pump.exception()) is not None:
            log.error("the relay of plugin %r failed", self.plugin, exc_info=exc)

    def _explain(self, exc: BaseException) -> ProviderError:
        try:
            if isinstance(exc, EncoderFault):
                log.error("%s failed: %s", self._encoder, exc, exc_info=exc.__cause__ or exc)
                return ProviderError(_NOT_RELAYED)
            if not self._buffer.ended:
                return explain(exc, self.plugin, self._redact, self.first_token_at is not None)
            if not isinstance(exc, (asyncio.CancelledError, GeneratorExit, ProviderError)):
                log.warning("plugin %r raised while it was closed", self.plugin, exc_info=exc)
            return ProviderError("closed")
        except BaseException as own:  # its __str__ raises, say
            raise RuntimeError(f"{type(exc).__name__} cannot be told") from own

    def _retry_delay(self, failure: ProviderError, attempt: int) -> float | None:
        """Seconds until the next attempt, or None: only while nothing was said, and only within the limit."""
        if attempt >= self._limits.retries or self.first_token_at is not None:
            return None
        delay = retry_delay(failure, attempt)
        if delay is None:
            return None
        limit = self._limits.first_token_timeout
        return None if limit and self._now() + delay >= self.started_at + limit else delay

    # Limits

    def _watch_until(self, when: float) -> None:
        if self._timer is None or when < self._timer.when():
            self._stop_timer()
            self._timer = self._loop.call_at(when, self._tick, when)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self, due: float = math.inf) -> None:
        """Look at every limit, then sleep until the next of them can pass. `due` is when the timer was to fire."""
        self._timer = None
        now, limits = self._now(), self._limits
        if fired_late(due, now):  # what has come meanwhile is read first
            self._watch_until(now + SECOND_LOOK)
            return
        if not self._buffer.ended:
            self._check_provider(now, limits)
        looks = [self._check_client(now, limits)]
        if not self._buffer.ended:
            looks.append(self._provider_deadline(now, limits)[0])
            if self.first_token_at is None and limits.idle_timeout:
                looks.append(now + limits.idle_timeout)  # the first token may come and be the last
            if limits.total_timeout:
                looks.append(self.started_at + limits.total_timeout)
        soonest = min(looks)
        if soonest < math.inf:
            self._watch_until(soonest)

    def _check_provider(self, now: float, limits: Limits) -> None:
        deadline, why = self._provider_deadline(now, limits)
        if limits.total_timeout and now >= self.started_at + limits.total_timeout:
            self.fail("timeout", f"The answer took longer than {limits.total_timeout:g} s (server.total_timeout).")
        elif now >= deadline:
            self.fail("timeout", why)

    def _provider_deadline(self, now: float, limits: Limits) -> tuple[float, str]:
        if self.finish_reason is not None:
            return self._finish_by, ""
        if self.first_token_at is None:
            limit, since, name = limits.first_token_timeout, self.started_at, "first_token_timeout"
            why = f"No token arrived within {limit:g} s (server.{name})."
        else:
            limit, name = limits.idle_timeout, "idle_timeout"
            since = now if self._buffer.full else self._progress_at
            why = f"The provider said nothing more for {limit:g} s (server.{name})."
        return (since + limit if limit else math.inf), why

    def _check_client(self, now: float, limits: Limits) -> float:
        """Ping a client that hears nothing, give up one that does not read. Returns when to look again."""
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


_NOT_RELAYED = "The server failed to relay the answer; its log says more."


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
