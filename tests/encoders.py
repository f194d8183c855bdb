"""An encoder of the door `native`, for tests of what is relayed."""

from aura_core.door import AnswerContext, Question
from aura_core.doors.native import NativeEncoder

CONTEXT = AnswerContext("-", 0.0, Question("it", []))


class Sse(NativeEncoder):
    """Native frames, for an answer that nobody asked for."""

    def __init__(self) -> None:
        super().__init__(CONTEXT)
