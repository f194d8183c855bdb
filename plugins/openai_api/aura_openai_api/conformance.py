"""How clients of the two APIs ask and read, for `aura test-plugin openai_api`."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from aura_core import Message
from aura_core.testing import Dialog, DoorConformance, Heard


def ask_chat(agent: str, messages: Sequence[Message], stream: bool) -> tuple[str, dict[str, Any]]:
    """A request of Chat Completions."""
    turns = [{"role": message.role, "content": message.content} for message in messages]
    return "/v1/chat/completions", {"model": agent, "messages": turns, "stream": stream}


def ask_responses(agent: str, messages: Sequence[Message], stream: bool) -> tuple[str, dict[str, Any]]:
    """A request of Responses."""
    turns = [{"type": "message", "role": message.role, "content": message.content} for message in messages]
    return "/v1/responses", {"model": agent, "input": turns, "stream": stream}


def hear_chat(said: bytes) -> Heard:
    """A stream of chunks, or its beginning."""
    text, reasoning, ends, errors = "", "", [], []
    for event in _events(said):
        if "error" in event:
            errors.append(event["error"]["message"])
        for choice in event.get("choices", ()):
            text += choice["delta"].get("content", "")
            reasoning += choice["delta"].get("reasoning_content", "")
            if choice["finish_reason"] is not None:
                ends.append(choice["finish_reason"])
    return Heard(text, reasoning, ends, errors)


def hear_responses(said: bytes) -> Heard:
    """A stream of named events, or its beginning."""
    text, reasoning, ends, errors = "", "", [], []
    for event in _events(said):
        match event["type"]:
            case "response.output_text.delta":
                text += event["delta"]
            case "response.reasoning_summary_text.delta":
                reasoning += event["delta"]
            case "response.completed" | "response.incomplete":
                ends.append(_reason(event["response"]))
            case "response.failed":
                errors.append(event["response"]["error"]["message"])
    return Heard(text, reasoning, ends, errors)


def hear_whole_chat(said: bytes) -> Heard:
    """One chat completion."""
    (choice,) = msgspec.json.decode(said)["choices"]
    message = choice["message"]
    return Heard(message["content"], message.get("reasoning_content", ""), [choice["finish_reason"]])


def hear_whole_response(said: bytes) -> Heard:
    """One response."""
    response = msgspec.json.decode(said)
    texts = {"message": "", "reasoning": ""}
    for item in response["output"]:
        texts[item["type"]] += "".join(part["text"] for part in item.get("content") or item.get("summary"))
    return Heard(texts["message"], texts["reasoning"], [_reason(response)])


def hear_refusal(said: bytes) -> str:
    """The message of an error."""
    message: str = msgspec.json.decode(said)["error"]["message"]
    return message


def _reason(response: dict[str, Any]) -> str:
    details = response["incomplete_details"]
    return "stop" if details is None else str(details["reason"])


def _events(said: bytes) -> Iterator[dict[str, Any]]:
    """The data of each event that is whole; a comment has none, and `[DONE]` is not JSON."""
    for block in said.split(b"\n\n")[:-1]:
        for line in block.split(b"\n"):
            if line.startswith(b"data: ") and line != b"data: [DONE]":
                yield msgspec.json.decode(line.removeprefix(b"data: "))


conformance = DoorConformance(
    plugin="openai_api",
    dialogs=[
        Dialog(name="chat completions", request=ask_chat, hear=hear_chat, hear_whole=hear_whole_chat),
        Dialog(name="responses", request=ask_responses, hear=hear_responses, hear_whole=hear_whole_response),
    ],
    hear_refusal=hear_refusal,
)
