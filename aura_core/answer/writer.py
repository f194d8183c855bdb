"""Encode the text of an answer as frames, after joining the halves of surrogate pairs."""

import logging
from collections.abc import Callable
from typing import Any

from aura_core.answer.events import Framing, Values
from aura_core.answer.frame_buffer import FrameBuffer
from aura_core.budget import FULL, Share
from aura_core.errors import ProviderError
from aura_core.limits import KEPT_COPIES, WHOLE_ANSWER_LIMIT

log = logging.getLogger("aura.relay")

NOT_RELAYED = "The server failed to relay the answer; its log says more."
"""What a client is told of a fault of ours, or of its door's."""


class EncoderFault(Exception):
    """The encoder of a door raised, or returned something else than bytes: the door's fault, not the provider's."""


def _nothing() -> None:
    """Nothing begins any more."""


class Writer:
    """Puts the text of one answer into its buffer. `tokens` is the number of frames."""

    def __init__(self, buffer: FrameBuffer, framing: Framing, begin: Callable[[], None]) -> None:
        """`begin` is called once, before the first text is encoded. All methods raise EncoderFault."""
        self.tokens = 0
        self.begun = False
        self._buffer = buffer
        self._framing = framing
        self._begin = begin
        self._bytes = not isinstance(framing, Values)
        self._half = ""  # a high surrogate at the end of the last text
        self._half_frame: Callable[[str], Any] = framing.text

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
        # As `encoded`, without the cost of a call for each token.
        try:
            framed = frame(text)
        except BaseException as exc:
            raise EncoderFault(f"it raised {type(exc).__name__}") from exc
        if framed.__class__ is not bytes and self._bytes:
            raise EncoderFault(f"it returned {type(framed).__name__}, not bytes")
        return not framed or self._buffer.put(framed)

    def add(self, frame: Callable[..., Any], *given: str) -> None:
        """Put what `frame` makes of these into the buffer, unless it makes nothing."""
        framed = self.encoded(frame, *given)
        if framed:
            self._buffer.put(framed)

    def encoded(self, frame: Callable[..., Any], *given: Any) -> Any:
        """What `frame` makes of these."""
        try:
            framed = frame(*given)
        except BaseException as exc:  # SystemExit, too: it comes from the door
            raise EncoderFault(f"it raised {type(exc).__name__}") from exc
        if framed.__class__ is not bytes and self._bytes:
            raise EncoderFault(f"it returned {type(framed).__name__}, not bytes")
        return framed

    def close(self) -> None:
        """Forget `begin`, which belongs to the owner of this writer: a circle of references keeps memory for long."""
        self._begin = _nothing

    def log_fault(self, exc: BaseException) -> None:
        """Log what went wrong in the encoder, with its name."""
        encoder = type(self._framing)
        log.error("%s.%s failed: %s", encoder.__module__, encoder.__qualname__, exc, exc_info=exc.__cause__ or exc)

    def flush(self) -> None:
        """Replace a surrogate whose other half did not come."""
        if self._half:
            self._half = ""
            self.tokens += 1
            self.add(self._half_frame, "\ufffd")

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


class KeepingWriter(Writer):
    """For an encoder that keeps the text of a stream: that text counts in the process's budget, and has a limit."""

    def __init__(self, buffer: FrameBuffer, framing: Framing, begin: Callable[[], None], share: Share) -> None:
        super().__init__(buffer, framing, begin)
        self._share = share
        self._kept = 0

    def put(self, frame: Callable[[str], Any], text: str) -> bool:
        """As Writer's. Raises ProviderError where the text is too long to be kept."""
        size = len(text) if text.isascii() else 4 * len(text)
        self._kept += size
        if self._kept > WHOLE_ANSWER_LIMIT:
            limit = f"{WHOLE_ANSWER_LIMIT // 2**20} MiB"
            raise ProviderError(f"The answer is longer than {limit}, which this dialect sends once more at its end.")
        if not self._share.grow(KEPT_COPIES * size):
            raise ProviderError(FULL, "unavailable")
        return super().put(frame, text)
