"""How a client of Acme speaks and hears: what the conformance kit asks with, and reads the answers with."""

from collections.abc import Sequence
from typing import Any

import msgspec
from aura_core import Message
from aura_core.testing import Dialog, DoorConformance, Heard


def request(agent: str, messages: Sequence[Message], stream: bool) -> tuple[str, dict[str, Any]]:
    """The path and the body of a request."""
    turns = [{"role": message.role, "text": message.content} for message in messages]
    return "/acme/ask", {"agent": agent, "messages": turns, "stream": stream}


def hear(said: bytes) -> Heard:
    """What a client understands of a stream, or of its beginning; a line that is not whole yet is not read."""
    text, thinking, ends, errors = "", "", [], []
    for line in said.split(b"\n")[:-1]:
        if line:
            record = msgspec.json.decode(line)
            text += record.get("text", "")
            thinking += record.get("thinking", "")
            ends += [record["end"]] if "end" in record else []
            errors += [record["error"]] if "error" in record else []
    return Heard(text, thinking, ends, errors)


def hear_whole(said: bytes) -> Heard:
    """What a client understands of an answer in one piece."""
    record = msgspec.json.decode(said)
    return Heard(record["text"], "", [record["end"]])


def hear_refusal(said: bytes) -> str:
    """The words of a refusal that a client shows to its user."""
    words: str = msgspec.json.decode(said)["error"]
    return words


conformance = DoorConformance(
    plugin="acme",
    dialogs=[Dialog(name="ask", request=request, hear=hear, hear_whole=hear_whole)],
    hear_refusal=hear_refusal,
)
