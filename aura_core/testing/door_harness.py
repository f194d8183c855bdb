"""A plugin's doors, between a client that asks and the core that answers: played in this process, or really served."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec

from aura_core.door import (
    AnswerContext,
    AnswerRoute,
    Door,
    Encoder,
    End,
    Failure,
    Question,
    Route,
    WholeAnswer,
)
from aura_core.doors.native import NATIVE
from aura_core.doors.paths import fits
from aura_core.doors.table import NATIVE_NAME, Doors
from aura_core.plugins.loader import Plugins
from aura_core.testing.door_conformance import Dialog, DoorDescription, Heard
from aura_core.testing.harness import Broken, Inapplicable
from aura_core.testing.server import AuraServer
from aura_core.types import Message, Usage

AGENTS = {
    "says.md": "---\nprovider: echo\n---\n",
    "whole.md": "---\nprovider: echo\noptions: {streaming: false}\n---\n",
    "thinks.md": "---\nprovider: echo\noptions: {reasoning: hm hm, text: one two}\n---\n",
    "breaks.md": "---\nprovider: echo\noptions: {text: one two three, fail_after: 2, code: unavailable}\n---\n",
    "fails.md": "---\nprovider: echo\noptions: {fail_after: 0, code: rate_limited, retry_after: 7}\n---\n",
    "endless.md": "---\nprovider: echo\noptions: {tokens: 1000000, tokens_per_second: 100}\n---\n",
    "broken.md": "---\ntemprature: 1\n---\n",
}
"""The agents of a server that a door is tried on."""
TOKEN = "a-token-of-the-kit"
PROMPT = [Message("user", "Hello world")]


class Thought(msgspec.Struct, frozen=True):
    """A piece of reasoning."""

    content: str


class DoorHarness:
    """The doors of one plugin."""

    def __init__(self, description: DoorDescription) -> None:
        self.description = description
        self.plugins = Plugins([description.plugin])

    @property
    def own(self) -> Sequence[Door]:
        """The doors of the plugin. Raises Broken where they are not open."""
        name = self.description.plugin
        if name == NATIVE_NAME:
            return [NATIVE]
        if name not in self.plugins.doors:
            plugin = next((plugin for plugin in self.plugins.all if plugin.name == name), None)
            if plugin is None:
                raise Broken(f"no installed distribution has an entry point {name!r} in the group `aura`")
            why = f"{plugin.error}; {plugin.remedy}" if plugin.error else "it has no hook `doors`"
            raise Broken(why)
        return self.plugins.doors[name]

    @property
    def table(self) -> Doors:
        """All doors, as a server with this plugin has them."""
        return Doors(self.plugins.doors)

    @property
    def routes(self) -> list[Route]:
        """All routes of the plugin."""
        return [route for door in self.own for route in door.routes]

    def route(self, path: str) -> AnswerRoute:
        """The route of a dialog's request. Raises Broken where there is none."""
        parts = path.split("/")[1:]
        for route in self.routes:
            if isinstance(route, AnswerRoute) and fits(route.path, parts):
                return route
        raise Broken(f"a dialog asks at {path}, where the plugin has no AnswerRoute")

    def question(self, dialog: Dialog, messages: Sequence[Message] = PROMPT, stream: bool = True) -> Question:
        """What the door makes of a client's request."""
        path, body = dialog.request("says", messages, stream)
        route = self.route(path)
        names = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
        parts = zip(route.path.split("/"), path.split("/"), strict=True)
        values = [given for part, given in parts if part.startswith("{")]
        decoded = msgspec.json.decode(msgspec.json.encode(body), type=route.body)
        return route.ask(decoded, dict(zip(names, values, strict=True)))

    def encoder(self, dialog: Dialog, stream: bool = True, identity: str = "kit") -> Encoder:
        """An encoder for an answer to the client."""
        path, _ = dialog.request("says", PROMPT, stream)
        context = AnswerContext(identity, 1_800_000_000.0, self.question(dialog, stream=stream))
        made = self.route(path).encoder(context)
        assert isinstance(made, Encoder)
        return made

    def streams(self) -> list[Dialog]:
        """The dialogs that hear streams. Raises Inapplicable where there is none."""
        found = [dialog for dialog in self.description.dialogs if dialog.hear is not None]
        if not found:
            raise Inapplicable("no dialog hears streams")
        return found

    def wholes(self) -> list[Dialog]:
        """The dialogs that hear answers in one piece. Raises Inapplicable where there is none."""
        found = [dialog for dialog in self.description.dialogs if dialog.hear_whole is not None]
        if not found:
            raise Inapplicable("no dialog hears answers in one piece")
        return found

    @contextmanager
    def serve(self, token: bool = False) -> Iterator["Served"]:
        """A real server with the plugin and the agents of the kit, and a client of it."""
        with tempfile.TemporaryDirectory() as folder:
            environ = {"AURA_PLUGINS": self.description.plugin} | ({"AURA_TOKEN": TOKEN} if token else {})
            toml = "[server]\nretries = 0\nheartbeat = 0.2\n"
            with (
                AuraServer(Path(folder), AGENTS, toml, environ) as aura,
                httpx.Client(base_url=aura.url, timeout=30, trust_env=False, verify=False) as client,  # noqa: S501
            ):
                yield Served(aura, client)


class Served:
    """A server and a client of it."""

    def __init__(self, aura: AuraServer, client: httpx.Client) -> None:
        self.aura = aura
        self.client = client

    def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Send a body: bytes as they are, anything else as JSON."""
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        given = {"content-type": "application/json"} | dict(headers or {})
        return self.client.post(path, content=content, headers=given)


def heard(hear: Any, said: bytes, what: str) -> Heard:
    """What a client understands. Raises Broken where it cannot read it."""
    try:
        answer = hear(said)
    except Exception as exc:
        shown = said if len(said) <= 200 else said[:200] + b"..."
        raise Broken(f"{what}: a client cannot read {shown!r} ({type(exc).__name__}: {exc})") from None
    if not isinstance(answer, Heard):
        raise Broken(f"{what}: the description's reader gave {type(answer).__name__}, not Heard")
    return answer


def frames(encoder: Encoder, pieces: Sequence[Thought | str], end: End | Failure | None) -> list[bytes]:
    """The frames of a stream: of its beginning, each text or thought, and its end."""
    made = [encoder.begin()]
    if pieces or isinstance(end, End):
        made.append(encoder.answering("kit", "model-of-the-kit"))
    made += [encoder.text(piece) if isinstance(piece, str) else encoder.reasoning(piece.content) for piece in pieces]
    if end is not None:
        made.append(encoder.done(end) if isinstance(end, End) else encoder.error(end))
    for frame in made:
        if type(frame) is not bytes:
            raise Broken(f"an encoder's method returned {type(frame).__name__}, not bytes")
    return made


def whole(encoder: Encoder, text: str, reasoning: str = "", reason: str = "stop") -> bytes:
    """The body of an answer in one piece."""
    encoder.answering("kit", "model-of-the-kit")
    return encoder.whole(WholeAnswer(text, reasoning, End(reason, Usage(3, 4))))
