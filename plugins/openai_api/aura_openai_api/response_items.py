"""The items of a response: a message, or reasoning; each as it is told event by event, and as it is told whole."""

from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode


class Item:
    """An item that is being written: the names of its events, and its text so far."""

    prefix: str
    part_added: str
    part_done: str
    text_delta: str
    text_done: str
    index_name: str
    logprobs: dict[str, Any] = {}

    def __init__(self, identity: str, index: int) -> None:
        self.id = f"{self.prefix}_{identity}_{index}"
        self.index = index
        self.texts: list[str] = []
        self.place = {"item_id": self.id, "output_index": index, self.index_name: 0}
        event = self.text_delta.encode()
        self._before = b'event: %b\ndata: {"type":"%b","sequence_number":' % (event, event)
        self._after = b"," + _encode(self.place)[1:-1] + b',"delta":'
        self._end = (b"," + _encode(self.logprobs)[1:-1] if self.logprobs else b"") + b"}\n\n"

    def delta(self, sequence: int, text: str) -> bytes:
        """The event of a piece of its text. Only number and text differ from one to the next."""
        self.texts.append(text)
        return b"%b%d%b%b%b" % (self._before, sequence, self._after, _encode(text), self._end)

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self.texts)

    def as_part(self, text: str) -> dict[str, Any]:
        """Its only part."""
        raise NotImplementedError

    def as_item(self, status: str, *parts: dict[str, Any]) -> dict[str, Any]:
        """The item with these parts."""
        raise NotImplementedError

    def whole(self, status: str) -> dict[str, Any]:
        """The item with all of its text."""
        return self.as_item(status, self.as_part(self.text))


class MessageItem(Item):
    """What the model answers."""

    prefix = "msg"
    part_added, part_done = "response.content_part.added", "response.content_part.done"
    text_delta, text_done = "response.output_text.delta", "response.output_text.done"
    index_name = "content_index"
    logprobs: dict[str, Any] = {"logprobs": []}

    def as_part(self, text: str) -> dict[str, Any]:
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}

    def as_item(self, status: str, *parts: dict[str, Any]) -> dict[str, Any]:
        return {"id": self.id, "type": "message", "status": status, "role": "assistant", "content": parts}


class ReasoningItem(Item):
    """What the model thinks. It is told as a summary: that is what clients show."""

    prefix = "rs"
    part_added, part_done = "response.reasoning_summary_part.added", "response.reasoning_summary_part.done"
    text_delta, text_done = "response.reasoning_summary_text.delta", "response.reasoning_summary_text.done"
    index_name = "summary_index"

    def as_part(self, text: str) -> dict[str, Any]:
        return {"type": "summary_text", "text": text}

    def as_item(self, status: str, *parts: dict[str, Any]) -> dict[str, Any]:
        return {"id": self.id, "type": "reasoning", "summary": parts}
