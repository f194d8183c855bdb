"""An encoder of the door `native`, for tests of the relay."""

from aura_core.door import AnswerContext, Question
from aura_core.doors.native import NativeEncoder

CONTEXT = AnswerContext("-", 0.0, Question("it", []))


class Sse(NativeEncoder):
    """Native frames, for an answer without a request."""

    def __init__(self) -> None:
        super().__init__(CONTEXT)
