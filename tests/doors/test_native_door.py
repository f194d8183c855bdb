"""The core's own door keeps the promises of every door."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from aura_core import Message
from aura_core.testing import Check, Dialog, DoorConformance, Heard, events


def _body(messages: Sequence[Message]) -> dict[str, Any]:
    *history, last = messages or [Message("user", "-")]
    turns = [{"role": turn.role, "content": turn.content} for turn in history]
    return {"prompt": last.content, "conversationHistory": turns}


def stream(agent: str, messages: Sequence[Message], streamed: bool) -> tuple[str, dict[str, Any]]:
    return f"/api/agents/{agent}/chat/stream", _body(messages)


def chat(agent: str, messages: Sequence[Message], streamed: bool) -> tuple[str, dict[str, Any]]:
    return f"/api/agents/{agent}/chat", _body(messages)


def hear(said: bytes) -> Heard:
    found = events(said[: said.rfind(b"\n\n") + 2])
    texts = {
        name: "".join(event.data["content"] for event in found if event.name == name) for name in ("token", "reasoning")
    }
    ends = [event.data["finishReason"] for event in found if event.name == "done"]
    errors = [event.data["message"] for event in found if event.name == "error"]
    return Heard(texts["token"], texts["reasoning"], ends, errors)


def hear_whole(said: bytes) -> Heard:
    answer = msgspec.json.decode(said)
    return Heard(answer["content"], "", [answer["finishReason"]])


def hear_refusal(said: bytes) -> str:
    return str(msgspec.json.decode(said)["detail"])


NATIVE = DoorConformance(
    plugin="native",
    dialogs=[
        Dialog(name="stream", request=stream, hear=hear),
        Dialog(name="chat", request=chat, hear_whole=hear_whole),
    ],
    hear_refusal=hear_refusal,
)


@pytest.mark.parametrize("check", NATIVE.checks(), ids=str)
def test_the_native_door_keeps_the_promises_of_every_door(check: Check) -> None:
    check.run()
