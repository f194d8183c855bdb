"""One turn of a conversation in the terminal: the answer as it comes, and always the state of the turn."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from aura_core.answer.events import AskingEvent, DoneEvent, ErrorEvent, Event, ReasoningEvent, TokenEvent
from aura_core.cli.terminal import Screen, pour, say
from aura_core.client import Client
from aura_core.door import AgentInfo
from aura_core.doors.native import ChatBody, HistoryMessage
from aura_core.errors import CODES
from aura_core.problems import Problem
from aura_core.text import counted, without_halves

_WORDLESS = {
    "length": "the model reached its token limit before it said anything; raise max_tokens",
    "content_filter": "the provider's content filter removed the answer",
    "tool_calls": "the model asked for tools, which Aura does not run",
    "stop": "the model ended without saying anything",
}


class Chat:
    """A conversation with one agent, in a terminal: the answer goes to stdout, everything else to stderr."""

    info: AgentInfo

    def __init__(self, client: Callable[[], Client], agent: str) -> None:
        self.notes = Screen(err=True)
        self._make = client
        self._agent = agent
        self._client: Client | None = None
        self._history: list[HistoryMessage] = []

    async def open(self) -> None:
        """Find the agent. Raises Problem."""
        with self.notes.status("connecting"):
            self._client = self._make()
            self.info = await self._client.agent(self._agent)

    async def close(self) -> None:
        """Close the client."""
        if self._client is not None:
            await self._client.close()

    async def turn(self, prompt: str) -> bool:
        """Send a prompt and show its answer. Returns whether the answer is complete."""
        view = _View(self.notes, self.info)
        prompt = without_halves(prompt)  # an argument may hold any bytes
        body = ChatBody(prompt, list(self._history))
        assert self._client is not None
        try:
            with view:
                async with aclosing(self._client.ask(self.info, body)) as events:
                    async for event in events:
                        view.show(event)
        except asyncio.CancelledError:  # Ctrl-C: asyncio.Runner cancels what it runs
            task = asyncio.current_task()
            assert task is not None
            task.uncancel()
            view.note("stopped", "yellow")
        except Problem as problem:
            view.failed(problem.detail, problem.code, problem.retry_after)
        if view.text:
            self._history += [HistoryMessage("user", prompt), HistoryMessage("assistant", view.text)]
        return view.done


class _View:
    """What the terminal shows of one turn. Notes never become a part of the answer, which is kept as history."""

    def __init__(self, notes: Screen, info: AgentInfo) -> None:
        self.done = False
        self._said: list[str] = []  # joined at the end: one text would be copied for each token
        self._in_line = False
        self._notes = notes
        self._model = info.model or info.provider or info.name
        self._asked = info.provider or "the first provider"
        self._state = f"waiting for {self._model}"
        self._status = notes.moving("")
        self._begin = asyncio.get_running_loop().time()
        self._first: float | None = None
        self._clock: asyncio.Task[None] | None = None

    @property
    def text(self) -> str:
        """The answer so far, as the model wrote it."""
        return "".join(self._said)

    def _end_line(self) -> None:
        if self._in_line:
            self._in_line = False
            say()

    def __enter__(self) -> "_View":
        if self._notes.is_dumb:
            self._notes.line(self._state)
        elif self._notes.is_terminal:
            self._status.start()
            self._clock = asyncio.create_task(self._tick())
        return self

    def __exit__(self, *_: object) -> None:
        self._quiet()
        self._end_line()

    def show(self, event: Event) -> None:
        if self._first is None and isinstance(event, (TokenEvent, ReasoningEvent)):
            self._first = asyncio.get_running_loop().time()
        if isinstance(event, TokenEvent):
            self._quiet()
            self._said.append(event.content)
            self._in_line = not event.content.endswith("\n")
            pour(event.content)
        elif isinstance(event, ReasoningEvent):
            self._state = f"{self._model} is thinking"
        elif isinstance(event, AskingEvent):
            self._state = f"asking {event.provider}, as {self._asked} does not answer"
            self._model = self._asked = event.provider
            if self._notes.is_dumb:
                self._notes.line(self._state)
        elif isinstance(event, DoneEvent):
            self.done = True
            self._finish(event)
        elif isinstance(event, ErrorEvent):
            self.failed(event.message, event.code, event.retry_after)

    def note(self, text: str, style: str) -> None:
        self._quiet()
        self._end_line()
        self._notes.line((text, style))

    def failed(self, message: str, code: str, retry_after: float | None = None) -> None:
        again = ""
        if retry_after is not None:
            again = f" Try again in {retry_after:g} s."
        elif code in CODES and CODES[code].retry and "try again" not in message.lower():
            again = " Try again."
        self.note(f"failed ({code}): {message}{again}", "red")

    def _finish(self, event: DoneEvent) -> None:
        if not self._said:
            self.note(_WORDLESS.get(event.finish_reason, event.finish_reason), "yellow")
        elif event.finish_reason != "stop":
            self.note(f"ended: {event.finish_reason}", "yellow")
        if not self._notes.is_terminal or self._first is None:
            return
        now = asyncio.get_running_loop().time()
        total = f", {counted(event.total_tokens, 'token')}" if event.total_tokens else ""
        self.note(
            f"first token after {self._first - self._begin:.2f} s, {now - self._begin:.1f} s in all{total}", "dim"
        )

    def _quiet(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
            self._status.stop()

    async def _tick(self) -> None:
        while True:
            seconds = int(asyncio.get_running_loop().time() - self._begin)
            self._status.update(f"{self._state}, {seconds} s")
            await asyncio.sleep(0.5)
