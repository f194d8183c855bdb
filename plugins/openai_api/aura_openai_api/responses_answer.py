"""Write the answer of `POST /v1/responses`: semantic events of a stream, or one response object.

Events and fields are those of OpenAI's Responses API and of its public specification, Open Responses; that also wants
`[DONE]` at the end, which OpenAI does not send and its SDKs know.
"""

import time
from typing import Any

import msgspec

from aura_core import AnswerContext, Encoder, End, Failure, Usage, WholeAnswer
from aura_openai_api.chat_answer import DONE
from aura_openai_api.errors import ERRORS, UNKNOWN
from aura_openai_api.response_items import Item, MessageItem, ReasoningItem

_encode = msgspec.json.Encoder().encode

INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""The finish reasons of an answer that is not whole, in the words of `incomplete_details`."""
FIXED: dict[str, Any] = {
    "previous_response_id": None,
    "instructions": None,
    "tools": [],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "truncation": "disabled",
    "text": {"format": {"type": "text"}},
    "reasoning": None,
    "max_tool_calls": None,
    "store": False,
    "background": False,
    "metadata": {},
    "user": None,
    "safety_identifier": None,
    "prompt_cache_key": None,
    # These the agent's file decides, and clients do not learn them. The specification wants a value: OpenAI's defaults.
    "temperature": 1,
    "top_p": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "top_logprobs": 0,
    "service_tier": "default",
}
"""The fields of a response that are the same in all."""


class ResponsesEncoder(Encoder):
    """One answer as events.

    Reasoning and text are items of their own: where a model goes from one to the other, the open item is closed and
    the next begins. The last events repeat the whole text, as the protocol demands, so it is kept until then.
    """

    keeps_text = True  # the last event holds the whole response

    def __init__(self, context: AnswerContext) -> None:
        super().__init__(context)
        self._model = context.question.agent  # until it is known who answers
        self._begun = False
        self._sequence = 0
        self._output: list[dict[str, Any]] = []
        self._item: Item | None = None

    def answering(self, provider: str, model: str) -> bytes:
        """The first events: the response is there, and is being made."""
        self._model = model or self._model
        self._begun = True
        response = self._response("in_progress")
        created = self._event("response.created", response=response)
        return created + self._event("response.in_progress", response=response)

    def text(self, content: str) -> bytes:
        """A piece of the answer."""
        return self._piece(MessageItem, content)

    def reasoning(self, content: str) -> bytes:
        """A piece of a thinking model's reasoning."""
        return self._piece(ReasoningItem, content)

    def done(self, end: End) -> bytes:
        """The end of an answer that the model has ended, or that reached a limit."""
        reason = INCOMPLETE.get(end.finish_reason)
        status = "incomplete" if reason else "completed"
        silent = self._item is None and not self._output
        frame = (self._open(MessageItem) if silent else b"") + self._close(status)
        return frame + self._end(self._response(status, end))

    def error(self, failure: Failure) -> bytes:
        """The end of an answer that failed. The text so far stays in the response, as an item that is not whole."""
        frame = b"" if self._begun else self.answering("", "")
        if self._item is not None:
            self._output.append(self._item.whole("incomplete"))
        known = ERRORS.get(failure.code, UNKNOWN)
        error: dict[str, Any] = {"code": known.code, "message": failure.message}
        if failure.retry_after is not None:
            error["retry_after"] = failure.retry_after
        return frame + self._end(self._response("failed") | {"error": error})

    def whole(self, answer: WholeAnswer) -> bytes:
        """One object."""
        status = "incomplete" if answer.end.finish_reason in INCOMPLETE else "completed"
        for kind, text in ((ReasoningItem, answer.reasoning), (MessageItem, answer.text)):
            if text or kind is MessageItem:  # an answer of no text has an item, too
                item = kind(self.context.request_id, len(self._output))
                item.texts.append(text)
                self._output.append(item.whole(status))
        return _encode(self._response(status, answer.end))

    # Items

    def _piece(self, kind: type[Item], text: str) -> bytes:
        item = self._item
        if item.__class__ is not kind:
            frame = self._close("completed") + self._open(kind)
            return frame + self._piece(kind, text)
        assert item is not None
        self._sequence += 1
        return item.delta(self._sequence - 1, text)

    def _open(self, kind: type[Item]) -> bytes:
        item = self._item = kind(self.context.request_id, len(self._output))
        added = self._event("response.output_item.added", output_index=item.index, item=item.as_item("in_progress"))
        return added + self._event(item.part_added, **item.place, part=item.as_part(""))

    def _close(self, status: str) -> bytes:
        item = self._item
        if item is None:
            return b""
        self._item = None
        whole = item.whole(status)
        self._output.append(whole)
        return (
            self._event(item.text_done, **item.place, text=item.text, **item.logprobs)
            + self._event(item.part_done, **item.place, part=item.as_part(item.text))
            + self._event("response.output_item.done", output_index=item.index, item=whole)
        )

    # Events

    def _event(self, name: str, **fields: Any) -> bytes:
        data = _encode({"type": name, "sequence_number": self._sequence, **fields})
        self._sequence += 1
        return b"event: %b\ndata: %b\n\n" % (name.encode(), data)

    def _end(self, response: dict[str, Any]) -> bytes:
        return self._event(f"response.{response['status']}", response=response) + DONE

    def _response(self, status: str, end: End | None = None) -> dict[str, Any]:
        reason = INCOMPLETE.get(end.finish_reason) if end is not None else None
        return FIXED | {
            "id": f"resp_{self.context.request_id}",
            "object": "response",
            "created_at": int(self.context.started),
            "completed_at": int(time.time()) if status == "completed" else None,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": reason} if reason else None,
            "model": self._model,
            "output": list(self._output),
            "usage": usage_of(end.usage) if end is not None else None,
            "max_output_tokens": self.context.question.max_tokens,
        }


def usage_of(usage: Usage) -> dict[str, Any]:
    """The counts in the words of this API."""
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cache_read},
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.prompt + usage.completion,
    }
