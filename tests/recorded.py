"""Responses of providers' servers as they were recorded: play them in pieces, and check what Aura makes of them."""

import json
import threading
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from aura_core.testing import AuraServer, Reply, SseEvent, Upstream, events, split_at
from aura_core.testing.upstream import Ending

PIECES = 50
"""How many pieces a recording is cut into, where it is not played as it was recorded."""


class Recording(NamedTuple):
    """One response, and the answer that it must become. `split` are the offsets where a network write ended."""

    name: str
    body: bytes
    status: int
    headers: dict[str, str]
    split: list[int]
    ending: Ending
    expect: dict[str, Any]

    def __str__(self) -> str:
        return self.name

    def reply(self, hostile: bool) -> Reply:
        """As it was recorded or, if `hostile`, in pieces that end anywhere."""
        splits = range(0, len(self.body), 1 + len(self.body) // PIECES) if hostile else self.split
        return Reply(split_at(self.body, splits), self.status, self.headers, self.ending)

    def check(self, answer: list[SseEvent]) -> None:
        """Assert that this is the answer."""
        *said, last = answer
        expected = self.expect
        assert [event.data["content"] for event in said if event.name == "token"] == (expected["tokens"] or [])
        reasoning = "".join(event.data["content"] for event in said if event.name == "reasoning")
        assert reasoning == (expected["thinking"] or "")
        if expected["error"]:
            assert (last.name, last.data["code"]) == ("error", expected["error"]), last
            assert last.data.get("retryAfter") == expected["retry_after"]
            assert "<" not in last.data["message"]
        else:
            done = {"totalTokens": expected["usage"]["total"] or 0, "finishReason": expected["finish_reason"]}
            assert last == ("done", done)


def recordings(folder: Path) -> list[Recording]:
    """All recordings that the folder's index.json lists."""
    listed = json.loads((folder / "index.json").read_text(encoding="utf-8"))["recordings"]
    return [
        Recording(
            each["name"],
            (folder / each["file"]).read_bytes(),
            each["status"],
            each["headers"],
            each["split"],
            each["end"],
            each["expect"],
        )
        for each in listed
    ]


def whole_response(file: Path) -> Reply:
    """A response that was recorded with its head."""
    head, _, body = file.read_bytes().partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Reply([body], int(first.split()[1]), headers, chunked=False)


def ask_apart(aura: AuraServer, upstream: Upstream, first: bytes, rest: bytes, ending: Ending) -> list[SseEvent]:
    """Ask; the server says the rest, and ends, when the first token has been seen, so that no read has both."""
    seen, body = threading.Event(), b""
    upstream.queue(Reply([first, seen, rest], ending=ending))
    url = f"{aura.url}/api/agents/it/chat/stream"
    with httpx.stream("POST", url, json={"prompt": "Hello"}, timeout=30, trust_env=False) as response:
        for chunk in response.iter_raw():
            body += chunk
            if b"event: token" in body:
                seen.set()
    return events(body)
