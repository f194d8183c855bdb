"""How a client of Ollama asks and reads, for the conformance kit."""

from collections.abc import Sequence
from typing import Any

import msgspec

from aura_core import Message
from aura_core.testing import Dialog, DoorConformance, Heard


def request(agent: str, messages: Sequence[Message], stream: bool) -> tuple[str, dict[str, Any]]:
    """The path and the body of a request."""
    turns = [{"role": message.role, "content": message.content} for message in messages]
    return "/api/chat", {"model": agent, "messages": turns, "stream": stream, "options": {"num_predict": 1000}}


def hear(said: bytes) -> Heard:
    """What a client reads in a stream, or in its beginning."""
    text, thinking, ends, errors = "", "", [], []
    for line in said.split(b"\n")[:-1]:
        record = msgspec.json.decode(line)
        message = record.get("message", {})
        text += message.get("content", "")
        thinking += message.get("thinking", "")
        ends += [record["done_reason"]] if record.get("done") else []
        errors += [record["error"]] if "error" in record else []
    return Heard(text, thinking, ends, errors)


def hear_whole(said: bytes) -> Heard:
    """What a client reads in an answer in one piece."""
    return hear(said + b"\n")


def hear_refusal(said: bytes) -> str:
    """The words that a client shows."""
    words: str = msgspec.json.decode(said)["error"]
    return words


conformance = DoorConformance(
    plugin="ollama_door",
    dialogs=[Dialog(name="chat", request=request, hear=hear, hear_whole=hear_whole)],
    hear_refusal=hear_refusal,
)
