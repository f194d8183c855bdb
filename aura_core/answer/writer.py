"""Encode the text of an answer as frames, after joining the halves of surrogate pairs."""

from collections.abc import Callable
from typing import Any

from aura_core.answer.events import Framing
from aura_core.answer.frame_buffer import FrameBuffer


class Writer:
    """Puts the text of one answer into its buffer. `tokens` is the number of frames."""

    def __init__(self, buffer: FrameBuffer, framing: Framing, begin: Callable[[], None]) -> None:
        """`begin` is called once, before the first text is encoded."""
        self.tokens = 0
        self.begun = False
        self._buffer = buffer
        self._begin = begin
        self._half = ""  # a high surrogate at the end of the last text
        self._half_frame: Callable[[str], Any] = framing.token

    def put(self, frame: Callable[[str], Any], text: str) -> bool:
        """Encode a text that is not empty. Returns whether there is room for more."""
        if text.__class__ is not str:
            raise TypeError(f"it yielded a Token of {type(text).__name__}, not of str")
        if not self.begun:  # from here on no other candidate may answer, even if the text cannot be encoded
            self.begun = True
            self._begin()
        if self._half:
            text = self._join_halves(frame, text)
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                text = self._mend(frame, text)
                if not text:
                    return True
        self.tokens += 1
        return self._buffer.put(frame(text))

    def flush(self) -> None:
        """Replace a surrogate whose other half did not come."""
        if self._half:
            self._half = ""
            self.tokens += 1
            self._buffer.put(self._half_frame("\ufffd"))

    def _join_halves(self, frame: Callable[[str], Any], text: str) -> str:
        if frame is not self._half_frame:
            self.flush()
        half, self._half = self._half, ""
        return half + text

    def _mend(self, frame: Callable[[str], Any], text: str) -> str:
        """Join surrogate pairs, keep a high half at the end for the next token, replace lone halves."""
        if "\ud800" <= text[-1] <= "\udbff":
            self._half, self._half_frame, text = text[-1], frame, text[:-1]
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
