"""Aura in front of scripted OpenAI-compatible servers: what these send, and who is asked when one fails."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aura_core.answer.candidates import Rests
from aura_core.answer.stream_record import StreamRecord
from aura_core.testing import AuraServer, Reply, Upstream
from aura_core.testing.upstream import Ending, Part

SSE = {"content-type": "text/event-stream"}
DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}


def chunk(content: str = "", finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": {"content": content} if content else {}, "finish_reason": finish}
    return event({"choices": [choice], **more})


def event(data: Any) -> bytes:
    body = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", **data}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def words(who: str, count: int) -> list[bytes]:
    return [chunk(f"{who}{number} ") for number in range(count)]


def answer(who: str, count: int = 3, end: bytes = DONE) -> Reply:
    """A complete answer, in which every word names its server."""
    return Reply([*words(who, count), chunk(finish="stop"), event({"choices": [], "usage": USAGE}), end], headers=SSE)


def breaks(parts: Sequence[Part], ending: Ending) -> Reply:
    return Reply(parts, headers=SSE, ending=ending)


def refusal(status: int, code: str = "", message: str = "no", **headers: str) -> Reply:
    kind = "invalid_request_error" if status < 500 else "server_error"
    body = {"error": {"message": message, "type": kind, "param": None, "code": code or None}}
    sent = {"content-type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply([json.dumps(body).encode()], status=status, headers=sent)


AGENT = """\
---
provider: primary
model: first
first_token_timeout: {patience}
fallback:
  - {{provider: backup, model: second}}
---
"""


class Clock:
    """The clock of the rests, which only a test advances."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Trio:
    """A primary, a backup that is asked next, and a stranger that no agent names, with Aura in front of them.

    `records` are the log's records of the answers. The rests of candidates follow `clock`.
    """

    def __init__(self, folder: Path, primary: Upstream, backup: Upstream, stranger: Upstream) -> None:
        self.primary, self.backup, self.stranger = primary, backup, stranger
        self.clock = Clock()
        self.records: list[StreamRecord] = []
        self._folder = folder

    def aura(self, patience: float = 30, server: str = "", agent: str = AGENT) -> AuraServer:
        """Aura with one agent `it`, which waits for each first token as long as `patience` says."""
        servers = {"primary": self.primary, "backup": self.backup, "stranger": self.stranger}
        tables = [
            f'[providers.{name}]\nplugin = "openai"\nbase_url = "{each.url}/v1"' for name, each in servers.items()
        ]
        toml = "\n".join([f"[server]\n{server}", *tables])
        aura = AuraServer(self._folder, {"it.md": agent.format(patience=patience)}, toml)
        aura.runtime.rests = Rests(self.clock)
        aura.runtime.observers.append(lambda record, _ended: self.records.append(record))
        return aura
