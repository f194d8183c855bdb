"""Write the answer of `POST /v1/chat/completions`: chunks of a stream, or one object."""

from typing import Any

import msgspec

from aura_core import AnswerContext, Encoder, End, Failure, Usage, WholeAnswer
from aura_openai_api.errors import envelope

_encode = msgspec.json.Encoder().encode

FINISH_REASONS = {"stop": "stop", "length": "length", "content_filter": "content_filter", "tool_calls": "stop"}
"""Aura's finish reasons in OpenAI's words. No tool call is ever passed on, and a client that is told of some waits for
them: the answer has just stopped."""
DONE = b"data: [DONE]\n\n"


class ChatEncoder(Encoder):
    """One answer as chunks. What is the same in every chunk is encoded once: a token costs the encoding of its text."""

    def __init__(self, context: AnswerContext) -> None:
        super().__init__(context)
        self._model = context.question.agent  # until it is known who answers
        self._head = self._content = self._reasoning = b""

    def answering(self, provider: str, model: str) -> bytes:
        """The first chunk: who speaks."""
        self._model = model or self._model
        self._head = b"data: " + _encode(self._object("chat.completion.chunk"))[:-1]
        delta = self._head + b',"choices":[{"index":0,"delta":{'
        self._content = delta + b'"content":'
        self._reasoning = delta + b'"reasoning_content":'
        return delta + b'"role":"assistant","content":""},"finish_reason":null}]}\n\n'

    def text(self, content: str) -> bytes:
        """A piece of the answer."""
        return self._content + _encode(content) + b'},"finish_reason":null}]}\n\n'

    def reasoning(self, content: str) -> bytes:
        """A piece of a thinking model's reasoning."""
        return self._reasoning + _encode(content) + b'},"finish_reason":null}]}\n\n'

    def done(self, end: End) -> bytes:
        """The last chunk, the usage where the client asked for it, and `[DONE]`."""
        reason = _encode(FINISH_REASONS.get(end.finish_reason, "stop"))
        frame = self._head + b',"choices":[{"index":0,"delta":{},"finish_reason":' + reason + b"}]}\n\n"
        if self.context.question.wishes.include_usage:
            frame += self._head + b',"choices":[],"usage":' + _encode(usage_of(end.usage)) + b"}\n\n"
        return frame + DONE

    def error(self, failure: Failure) -> bytes:
        """The end of an answer that failed, without `choices` and without `[DONE]`: with either some clients take it
        for a success."""
        return b"data: " + envelope(failure.code, failure.message, None, failure.retry_after) + b"\n\n"

    def whole(self, answer: WholeAnswer) -> bytes:
        """One object."""
        message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None}
        if answer.reasoning:
            message["reasoning_content"] = answer.reasoning
        reason = FINISH_REASONS.get(answer.end.finish_reason, "stop")
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
        rest = {"choices": [choice], "usage": usage_of(answer.end.usage)}
        return _encode(self._object("chat.completion") | rest)

    def _object(self, kind: str) -> dict[str, Any]:
        identity, created = f"chatcmpl-{self.context.request_id}", int(self.context.started)
        return {"id": identity, "object": kind, "created": created, "model": self._model}


def usage_of(usage: Usage) -> dict[str, Any]:
    """The counts in OpenAI's words; the parts of them where the provider reports some."""
    total = usage.prompt + usage.completion
    counts: dict[str, Any] = {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": total,
    }
    if usage.cache_read:
        counts["prompt_tokens_details"] = {"cached_tokens": usage.cache_read}
    if usage.reasoning:
        counts["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning}
    return counts
