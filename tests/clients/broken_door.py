"""The command `aura` with a door that is broken on purpose: `python broken_door.py BREAK serve …`.

Each break stands for a mistake that somebody could make in the door, and names the scenarios that must not pass then.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

BREAKS: dict[str, tuple[Callable[[], None], tuple[str, ...]]] = {}


def breaks(*scenarios: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register a break with the scenarios that it must fail."""

    def register(function: Callable[[], None]) -> Callable[[], None]:
        BREAKS[function.__name__] = function, scenarios
        return function

    return register


def _encoders() -> list[Any]:
    from aura_openai_api.chat_answer import ChatEncoder
    from aura_openai_api.responses_answer import ResponsesEncoder

    return [ChatEncoder, ResponsesEncoder]


def _wrap(owner: Any, name: str, change: Callable[..., Any]) -> None:
    """Let `change(original, *arguments)` answer in place of a function."""
    original = getattr(owner, name)
    setattr(owner, name, lambda *arguments: change(original, *arguments))


@breaks("stream", "usage")
def loses_every_second_text() -> None:
    """Text is lost."""
    for encoder in _encoders():
        counts: dict[int, int] = {}

        def text(original: Any, self: Any, content: str, counts: dict[int, int] = counts) -> bytes:
            counts[id(self)] = counts.get(id(self), 0) + 1
            return original(self, content) if counts[id(self)] % 2 else b""

        _wrap(encoder, "text", text)


@breaks("whole")
def whole_answers_are_empty() -> None:
    """The text of a whole answer is lost."""
    import msgspec

    for encoder in _encoders():
        _wrap(encoder, "whole", lambda original, self, answer: original(self, msgspec.structs.replace(answer, text="")))


@breaks("history")
def only_the_last_message_counts() -> None:
    """The history and the system prompt are lost."""
    from aura_openai_api.content import Conversation

    _wrap(Conversation, "check", lambda original, self: self.messages.__delitem__(slice(0, -1)) or original(self))


@breaks("error before", "error in the middle")
def errors_look_like_the_end() -> None:
    """A stream that failed ends as one that did not."""
    from aura_core import End, Usage

    for encoder in _encoders():

        def error(_original: Any, self: Any, _failure: Any) -> bytes:
            begin = b"" if getattr(self, "_head", b"") or getattr(self, "_begun", False) else self.answering("", "")
            return bytes(begin + self.done(End("stop", Usage())))

        _wrap(encoder, "error", error)


@breaks("error before, whole", "rate limit")
def refusals_have_status_200() -> None:
    """A refusal is sent as an answer."""
    from aura_openai_api import errors

    errors.ERRORS.update({code: _with_status(error, 400) for code, error in errors.ERRORS.items()})


def _with_status(error: Any, status: int) -> Any:
    import msgspec

    return msgspec.structs.replace(error, status=status)


@breaks("reasoning")
def reasoning_is_not_sent() -> None:
    """The reasoning is lost."""
    for encoder in _encoders():
        _wrap(encoder, "reasoning", lambda _original, _self, _content: b"")


@breaks("usage")
def usage_is_nothing() -> None:
    """All counts are 0."""
    import msgspec

    from aura_core import Usage

    for encoder in _encoders():
        _wrap(encoder, "done", lambda original, self, end: original(self, msgspec.structs.replace(end, usage=Usage())))


@breaks("length")
def every_end_is_stop() -> None:
    """An answer that was cut by its limit looks complete."""
    import msgspec

    for encoder in _encoders():
        _wrap(
            encoder,
            "done",
            lambda original, self, end: original(self, msgspec.structs.replace(end, finish_reason="stop")),
        )


@breaks("cut")
def every_text_ends_the_answer() -> None:
    """Every piece looks like the last, so that a truncated stream is not detected."""
    from aura_core import End, Usage

    for encoder in _encoders():
        _wrap(
            encoder, "text", lambda original, self, content: original(self, content) + self.done(End("stop", Usage()))
        )


@breaks("cancel")
def nobody_notices_who_left() -> None:
    """An answer continues after its client has disconnected. This is a fault of the core, not of the door."""
    from aura_core.answer.relay import Relay

    Relay.close = lambda self: None  # type: ignore[method-assign]


@breaks("models")
def models_are_a_bare_list() -> None:
    """The list of models has no envelope."""
    from aura_openai_api import models

    _wrap(models, "encode_models", lambda original, agents: json.dumps(json.loads(original(agents))["data"]).encode())
    import aura_openai_api

    aura_openai_api.encode_models = models.encode_models


def main() -> None:
    """Break the door, and run the command."""
    BREAKS[sys.argv.pop(1)][0]()
    from aura_core.cli import main as aura

    aura()


if __name__ == "__main__":
    main()
