"""The Messages API in examples, for `aura test-plugin anthropic`: responses, and the answers that they must become."""

import json
from typing import Any

from aura_core import Usage
from aura_core.testing import SSE, Conformance, Dialect, Failure, Reply, Request, Transcript


def _named(record: bytes) -> bytes:
    """An event with its name before its data, as the API sends it; what has no type is sent without a name."""
    try:
        kind = json.loads(record)["type"]
    except (ValueError, KeyError, TypeError):
        return SSE.frame(record)
    return b"event: " + str(kind).encode() + b"\n" + SSE.frame(record)


EVENTS = Dialect(
    SSE.content_type,
    _named,
    {**SSE.spellings, "events without a name": lambda body: b"\n".join(_unnamed(body.split(b"\n")))},
    SSE.split,
)
STOP = {"type": "message_stop"}


def _unnamed(lines: list[bytes]) -> list[bytes]:
    return [line for line in lines if not line.startswith(b"event:")]


def start(**usage: int) -> dict[str, Any]:
    """The event that begins an answer."""
    message: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "content": [],
        "model": "m",
        "stop_reason": None,
    }
    return {"type": "message_start", "message": {**message, **({"usage": usage} if usage else {})}}


def block(kind: str = "text", index: int = 0) -> dict[str, Any]:
    """The event that begins a block of text or thinking."""
    return {"type": "content_block_start", "index": index, "content_block": {"type": kind, kind: ""}}


def delta(text: str, kind: str = "text", index: int = 0) -> dict[str, Any]:
    """A piece of text or thinking."""
    return {"type": "content_block_delta", "index": index, "delta": {"type": f"{kind}_delta", kind: text}}


def end(reason: str | None, details: dict[str, str] | None = None, **usage: int) -> dict[str, Any]:
    """The event that says why an answer ended."""
    said: dict[str, Any] = {"stop_reason": reason, "stop_sequence": None}
    if details:
        said["stop_details"] = details
    return {"type": "message_delta", "delta": said, **({"usage": usage} if usage else {})}


def closed(index: int = 0) -> dict[str, Any]:
    """The event that ends a block."""
    return {"type": "content_block_stop", "index": index}


def error(kind: str, message: str) -> dict[str, Any]:
    """An error, as a response's body and as an event."""
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


def _body(kind: str, message: str) -> bytes:
    return json.dumps(error(kind, message)).encode()


def write(tokens: list[str]) -> bytes:
    """A whole answer of these tokens."""
    return EVENTS.body(start(), block(), *map(delta, tokens), closed(), end("end_turn"), STOP)


transcripts = [
    Transcript(
        name="an answer with its usage",
        body=EVENTS.body(
            start(input_tokens=9, output_tokens=1),
            block(),
            {"type": "ping"},
            delta("Hello"),
            delta(" world"),
            closed(),
            end("end_turn", output_tokens=2),
            STOP,
        ),
        tokens=["Hello", " world"],
        usage=Usage(9, 2),
    ),
    Transcript(
        name="a cached prompt",
        body=EVENTS.body(
            start(input_tokens=3, cache_creation_input_tokens=20, cache_read_input_tokens=100, output_tokens=1),
            block(),
            delta("Yes."),
            closed(),
            end("stop_sequence", output_tokens=4),
            STOP,
        ),
        tokens=["Yes."],
        usage=Usage(123, 4, 100, 20),
    ),
    Transcript(
        name="an answer that is too long",
        body=EVENTS.body(start(), block(), delta("Once"), closed(), end("max_tokens"), STOP),
        tokens=["Once"],
        finish_reason="length",
    ),
    Transcript(
        name="a refusal",
        body=EVENTS.body(
            start(), block(), delta("Once"), closed(), end("refusal", {"type": "refusal", "category": "cyber"}), STOP
        ),
        tokens=["Once"],
        finish_reason="content_filter",
    ),
    Transcript(
        name="a model that thinks",
        body=EVENTS.body(
            start(),
            block("thinking"),
            delta("Hm", "thinking"),
            delta(".", "thinking"),
            {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "EqQBCg=="}},
            closed(),
            block(index=1),
            delta("Yes.", index=1),
            closed(1),
            end("end_turn"),
            STOP,
        ),
        reasoning=["Hm", "."],
        tokens=["Yes."],
        options={"thinking": 2048},
    ),
    Transcript(
        name="a call of a tool",
        body=EVENTS.body(
            start(),
            block(),
            delta("Let me see."),
            closed(),
            {
                "type": "content_block_start",
                "index": 1,
                "content_block": {"type": "tool_use", "id": "toolu_1", "name": "search", "input": {}},
            },
            {
                "type": "content_block_delta",
                "index": 1,
                "delta": {"type": "input_json_delta", "partial_json": '{"text": "weather"}'},
            },
            closed(1),
            end("tool_use"),
            STOP,
        ),
        tokens=["Let me see."],
        finish_reason="tool_calls",
    ),
]

failures = [
    Failure(name="a wrong key", status=401, body=_body("authentication_error", "invalid x-api-key"), code="auth"),
    Failure(
        name="no credit",
        status=400,
        body=_body("invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
        code="quota_exceeded",
    ),
    Failure(
        name="a rate limit",
        status=429,
        headers={"retry-after": "20"},
        body=_body("rate_limit_error", "This request would exceed your organization's rate limit."),
        code="rate_limited",
        retry_after=20,
    ),
    Failure(
        name="a prompt that is too long",
        status=400,
        body=_body("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
        code="context_length",
    ),
    Failure(
        name="a missing model", status=404, body=_body("not_found_error", "model: test-model"), code="model_not_found"
    ),
    Failure(name="an overloaded server", status=529, body=_body("overloaded_error", "Overloaded"), code="unavailable"),
    Failure(
        name="an error in the middle",
        body=EVENTS.body(start(), block(), delta("Once"), error("api_error", "Internal server error")),
        tokens=["Once"],
        code="llm_error",
    ),
    Failure(
        name="an overload in the middle",
        body=EVENTS.body(start(), block(), delta("Once"), error("overloaded_error", "Overloaded")),
        tokens=["Once"],
        code="unavailable",
    ),
]


def asked(request: Request) -> None:
    """The API's reference: the system prompt is a field of its own, and turns have the roles user and assistant."""
    sent = request.json()
    assert sent.keys() == {"model", "system", "messages", "max_tokens", "temperature", "stream"}
    assert sent["stream"] is True
    assert _text(sent["system"]) == "You are brief."
    turns = [(turn["role"], _text(turn["content"])) for turn in sent["messages"]]
    assert turns == [("user", "Hello?"), ("assistant", "Hello."), ("user", "How are you?")]
    assert (sent["max_tokens"], sent["temperature"]) == (100, 0.5)


def _text(content: Any) -> str:
    """A text that stands as it is, or in blocks."""
    return content if isinstance(content, str) else "".join(block["text"] for block in content)


conformance = Conformance(
    plugin="anthropic",
    settings={"base_url": "{url}"},
    dialect=EVENTS,
    write=write,
    transcripts=transcripts,
    failures=failures,
    required=["max_tokens"],
    replies={
        "/v1/models": Reply(
            [b'{"data":[{"type":"model","id":"m","display_name":"M"}],"has_more":false}'],
            headers={"content-type": "application/json"},
        )
    },
    request=asked,
)
