"""What a door says of itself, so that the conformance kit can prove it: how its clients ask, and how they read."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from aura_core.types import Message

DOOR_GROUP = "aura.conformance.doors"


class Heard(msgspec.Struct, frozen=True):
    """What a client understands of the bytes of an answer. `ends` are the finish reasons of all ends that are good,
    `errors` the messages of those that are not: a whole answer has one of either, one that was cut has none."""

    text: str = ""
    reasoning: str = ""
    ends: Sequence[str] = ()
    errors: Sequence[str] = ()


class Dialog(msgspec.Struct, frozen=True, kw_only=True):
    """How a client asks at one route. `request` gives the path and the JSON body of a request to an agent: the turns
    of a conversation, streamed or whole. `hear` reads a stream, or any beginning of one, `hear_whole` an answer in one
    piece; None where the route does not give such answers.
    """

    name: str
    request: Callable[[str, Sequence[Message], bool], tuple[str, Mapping[str, Any]]]
    hear: Callable[[bytes], Heard] | None = None
    hear_whole: Callable[[bytes], Heard] | None = None


class DoorDescription(msgspec.Struct, frozen=True, kw_only=True):
    """The description of the doors of a plugin: a dialog for each of their answer routes. `hear_refusal` gives the
    words that a client shows its user of a refusal."""

    plugin: str
    dialogs: Sequence[Dialog]
    hear_refusal: Callable[[bytes], str]
