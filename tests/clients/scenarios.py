"""The expected result of each scenario for a user of the client."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

PROMPT = "Hello brave new world"
PARTIAL = "This answer will break off in the middle"
FAILURE = "The agent's options request this failure."


class Played(NamedTuple):
    """A client's result for a scenario, its number of requests, and its name."""

    said: dict[str, Any]
    asked: int
    client: str


def _fine(played: Played) -> None:
    assert "error" not in played.said, played.said


def _failed(played: Played) -> None:
    assert "error" in played.said, f"the client took it for a success: {played.said}"


def stream(played: Played) -> None:
    _fine(played)
    if played.client == "aider":  # it prints the answer among its own words
        assert PROMPT in played.said["text"]
        return
    assert played.said["text"] == PROMPT
    assert played.said["pieces"] == 4, "it does not stream"
    assert played.said.get("whole", PROMPT) == PROMPT
    assert played.said.get("finish") in (None, "stop")


def whole(played: Played) -> None:
    _fine(played)
    assert PROMPT in played.said["text"] if played.client == "aider" else played.said["text"] == PROMPT
    assert played.said.get("finish") in (None, "stop")


def history(played: Played) -> None:
    """Echo counts the words of all messages, and repeats the last one."""
    _fine(played)
    assert played.said["text"] == "What is my name?"
    earlier = 8 if played.client == "llm" else 6  # it keeps what echo said
    assert played.said["usage"] == [len(["Additional", "context:", "Be", "brief."]) + earlier + 4, 4]


def length(played: Played) -> None:
    _fine(played)
    assert played.said["text"] == "This answer has more words than"
    assert played.said["finish"] in ("length", "max_output_tokens")


def usage(played: Played) -> None:
    _fine(played)
    assert played.said["text"] == PROMPT
    assert played.said["usage"] == [4, 4]


def reasoning(played: Played) -> None:
    _fine(played)
    if played.client == "aider":
        assert "The user asks something." in played.said["text"]
        assert "the answer is 42." in played.said["text"]
        return
    assert played.said["reasoning"].startswith("The user asks something."), played.said
    assert played.said["reasoning"].endswith("answer in one sentence."), played.said
    assert played.said["text"] == "I thought about it, and the answer is 42."


def error_before(played: Played) -> None:
    _failed(played)
    assert not played.said.get("text")
    assert FAILURE in played.said["message"]
    # The AI SDK takes a response that failed before any text for an HTTP error, and asks twice more.
    assert played.asked == (3 if played.client == "AI SDK, openai()" else 1)


def error_before_whole(played: Played) -> None:
    _failed(played)
    assert FAILURE in played.said["message"]
    assert played.said["status"] in (502, None)
    assert played.asked == (3 if played.client.startswith("AI SDK") else 1)


def error_in_the_middle(played: Played) -> None:
    _failed(played)
    assert played.said["text"] == PARTIAL
    assert FAILURE in played.said["message"]


def cut(played: Played) -> None:
    _failed(played)
    assert re.match(r"# A short", played.said["text"].strip()), played.said


def rate_limit(played: Played) -> None:
    _failed(played)
    assert played.said["status"] in (429, None)
    assert played.asked == 3


def cancel(played: Played) -> None:
    """The harness waits until the provider has seen it."""
    _fine(played)
    assert played.said["text"]


def models(played: Played) -> None:
    _fine(played)
    assert {"echo", "thinker", "tour"} <= set(played.said["models"])
    assert played.said["text"] == "echo"


CHECKS: dict[str, Callable[[Played], None]] = {
    "stream": stream,
    "whole": whole,
    "history": history,
    "length": length,
    "usage": usage,
    "reasoning": reasoning,
    "error before": error_before,
    "error before, whole": error_before_whole,
    "error in the middle": error_in_the_middle,
    "cut": cut,
    "rate limit": rate_limit,
    "models": models,
    "cancel": cancel,
}
