"""`aura chat`: talk to an agent in the terminal, and always see the state of the turn."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import aclosing, suppress
from pathlib import Path

import click

from aura_core.answer.events import DoneEvent, ErrorEvent, Event, ReasoningEvent, TokenEvent
from aura_core.cli.options import config_options, load_settings, open_runtime
from aura_core.cli.terminal import Screen, pour, say
from aura_core.client import Client, LocalClient, RemoteClient
from aura_core.config.suggest import did_you_mean
from aura_core.door import AgentInfo
from aura_core.doors.native import ChatBody, HistoryMessage
from aura_core.errors import CODES, ConfigError
from aura_core.problems import Problem
from aura_core.text import without_halves

_WORDLESS = {
    "length": "the model reached its token limit before it said anything; raise max_tokens",
    "content_filter": "the provider's content filter removed the answer",
    "tool_calls": "the model asked for tools, which Aura does not run",
    "stop": "the model ended without saying anything",
}


@click.command()
@click.argument("agent")
@click.argument("prompt", required=False)
@click.option("--url", help="Ask the server at this address instead of answering in this process.")
@config_options
def command(agent: str, prompt: str | None, url: str | None, config: Path | None, agents_directory: str | None) -> int:
    """Talk to an agent. Without PROMPT: read it from a pipe, or hold a conversation.

    Ctrl-C stops the answer, not the program; Ctrl-D leaves.
    """
    if url is None:
        runtime = open_runtime(config, agents_directory, ask=True)
        client: Callable[[], Client] = lambda: LocalClient(runtime)  # noqa: E731  # made on the loop, below
        if runtime.agents.get(agent) is None:
            hint = (
                did_you_mean(agent, runtime.agents.entries)
                or f"; there are {', '.join(sorted(runtime.agents.entries))}"
            )
            raise ConfigError(f"there is no agent {agent!r}{hint}")
    else:
        loaded = load_settings(config, agents_directory)
        client = lambda: RemoteClient(url, loaded.token, loaded.server.token_env)  # noqa: E731
    if prompt is None and not sys.stdin.isatty():
        prompt = sys.stdin.read()
    with asyncio.Runner() as runner:
        chat = Chat(client, agent)
        try:
            runner.run(chat.open())
            if prompt is not None:
                return _once(runner, chat, prompt)
            _converse(runner, chat)
            return 0
        except Problem as problem:
            raise ConfigError(problem.detail) from None
        finally:
            runner.run(chat.close())


def _once(runner: asyncio.Runner, chat: "Chat", prompt: str) -> int:
    if not prompt.strip():
        raise click.UsageError("the prompt is empty")
    return 0 if runner.run(chat.turn(prompt)) else 1


def _converse(runner: asyncio.Runner, chat: "Chat") -> None:
    with suppress(ImportError):
        import readline  # noqa: F401  # gives input() a history and editing keys
    chat.notes.line((f"{chat.info.name} - Ctrl-C stops an answer, Ctrl-D leaves", "dim"))
    while True:
        try:
            prompt = input("\n> ")
        except EOFError:
            chat.notes.line()
            return
        except KeyboardInterrupt:
            chat.notes.line((" (Ctrl-D leaves)", "dim"), end="")
            continue
        if prompt.strip():
            runner.run(chat.turn(prompt))


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
        """Let go of the client."""
        if self._client is not None:
            await self._client.close()

    async def turn(self, prompt: str) -> bool:
        """One prompt and its answer. Returns whether it was answered whole."""
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
    """What the terminal shows of one turn."""

    def __init__(self, notes: Screen, info: AgentInfo) -> None:
        self.done = False
        self._said: list[str] = []  # not one text, which would be copied for each token
        self._in_line = False
        self._notes = notes
        self._model = info.model or info.provider or info.name
        self._state = f"waiting for {self._model}"
        self._status = notes.moving("")
        self._begin = asyncio.get_running_loop().time()
        self._first: float | None = None
        self._clock: asyncio.Task[None] | None = None

    @property
    def text(self) -> str:
        """What has come of the answer."""
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
        if code in CODES and CODES[code].retry:
            again = " Try again." if retry_after is None else f" Try again in {retry_after:g} s."
        self.note(f"failed ({code}): {message}{again}", "red")

    def _finish(self, event: DoneEvent) -> None:
        if not self._said:
            self.note(_WORDLESS.get(event.finish_reason, event.finish_reason), "yellow")
        elif event.finish_reason != "stop":
            self.note(f"ended: {event.finish_reason}", "yellow")
        if not self._notes.is_terminal or self._first is None:
            return
        now = asyncio.get_running_loop().time()
        total = f", {event.total_tokens} tokens" if event.total_tokens else ""
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
