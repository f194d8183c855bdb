"""The Messages API in examples: a full description, and a minimal one, with AURA_MINIMAL, as a newcomer writes it."""

import os

import msgspec

from aura_core import Usage
from aura_core.testing import SSE, Conformance, Failure, Reply, Transcript


def frame(record: bytes) -> bytes:
    """An event, named after its type."""
    kind = msgspec.json.decode(record)["type"] if record.startswith(b'{"type"') else "message"
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), record)


EVENTS = msgspec.structs.replace(SSE, frame=frame)
START = {"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "content": []}}
COUNTED = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "content": [],
        "usage": {
            "input_tokens": 9,
            "cache_read_input_tokens": 4,
            "cache_creation_input_tokens": 3,
            "output_tokens": 1,
        },
    },
}
TEXT = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
STOP = {"type": "content_block_stop", "index": 0}
LAST = {"type": "message_stop"}
PING = {"type": "ping"}


def delta(**fields: str) -> dict[str, object]:
    """A piece of a block."""
    return {"type": "content_block_delta", "index": 0, "delta": fields}


def text(token: str) -> dict[str, object]:
    """A piece of text."""
    return delta(type="text_delta", text=token)


def end(reason: str, **more: object) -> dict[str, object]:
    """The end of an answer."""
    return {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, **more}


def write(tokens: list[str]) -> bytes:
    """A whole answer of these tokens."""
    return EVENTS.body(START, TEXT, *map(text, tokens), STOP, end("end_turn"), LAST)


def ended(name: str, reason: str, finish_reason: str) -> Transcript:
    """An answer with one text that ends with this reason."""
    body = EVENTS.body(START, TEXT, text("Once"), STOP, end(reason), LAST)
    return Transcript(name=name, body=body, tokens=["Once"], finish_reason=finish_reason)


def error(kind: str, message: str) -> dict[str, object]:
    """An error."""
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


def refused(name: str, status: int, kind: str, message: str, code: str, **more: object) -> Failure:
    """A status, and an error as its body."""
    return Failure(name=name, status=status, body=msgspec.json.encode(error(kind, message)), code=code, **more)  # type: ignore[arg-type]


counted = Transcript(
    name="an answer with its usage",
    body=EVENTS.body(
        COUNTED, PING, TEXT, text("Hello"), text(" world"), STOP, end("end_turn", usage={"output_tokens": 7}), LAST
    ),
    tokens=["Hello", " world"],
    usage=Usage(16, 7, cache_read=4, cache_write=3),
)
thinking = Transcript(
    name="a thinking model",
    body=EVENTS.body(
        START,
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
        delta(type="thinking_delta", thinking="Hm"),
        delta(type="thinking_delta", thinking="."),
        delta(type="signature_delta", signature="EqQBCgIYAhIM"),
        STOP,
        TEXT,
        text("Yes."),
        STOP,
        end("end_turn"),
        LAST,
    ),
    reasoning=["Hm", "."],
    tokens=["Yes."],
)
too_long = ended("an answer that is too long", "max_tokens", "length")
in_the_middle = Failure(
    name="an error in the middle",
    body=EVENTS.body(START, TEXT, text("Once"), error("api_error", "Internal server error")),
    tokens=["Once"],
    code="llm_error",
)
missing_model = refused("a missing model", 404, "not_found_error", "model: tiny", "model_not_found")
MODELS = Reply([b'{"data":[{"type":"model","id":"tiny","display_name":"Tiny"}]}'])


def in_their_places(request: object) -> None:
    """Anthropic's documents: the system prompt is a field of its own, and only `stream` makes it a stream."""
    sent = request.json()  # type: ignore[attr-defined]
    assert sent["stream"] is True
    assert sent["system"] == "You are brief."
    assert sent["messages"] == [
        {"role": "user", "content": "Hello?"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "How are you?"},
    ]
    assert (sent["max_tokens"], sent["temperature"]) == (100, 0.5)


plain = msgspec.structs.replace(
    counted,
    name="an answer",
    body=EVENTS.body(START, TEXT, text("Hello"), text(" world"), STOP, end("end_turn"), LAST),
    usage=None,
)
minimal = Conformance(
    plugin="messages",
    settings={"base_url": "{url}"},
    dialect=EVENTS,
    write=write,
    required=["max_tokens"],
    transcripts=[
        plain,
        too_long,
        Transcript(
            name="a thinking model",
            body=EVENTS.body(
                START, delta(type="thinking_delta", thinking="Hm"), TEXT, text("Yes."), STOP, end("end_turn"), LAST
            ),
            reasoning=["Hm"],
            tokens=["Yes."],
        ),
    ],
    failures=[missing_model, in_the_middle],
)
full = Conformance(
    plugin="messages",
    settings={"base_url": "{url}"},
    dialect=EVENTS,
    write=write,
    required=["max_tokens"],
    replies={"/v1/models": MODELS},
    request=in_their_places,
    transcripts=[
        counted,
        thinking,
        too_long,
        ended("an answer that does not fit", "model_context_window_exceeded", "length"),
        ended("a stop sequence", "stop_sequence", "stop"),
        ended("a turn that is paused", "pause_turn", "length"),
        ended("a refusal", "refusal", "content_filter"),
        Transcript(
            name="a tool call",
            body=EVENTS.body(
                START,
                TEXT,
                text("Look"),
                STOP,
                {
                    "type": "content_block_start",
                    "index": 1,
                    "content_block": {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}},
                },
                delta(type="input_json_delta", partial_json='{"at": '),
                delta(type="input_json_delta", partial_json='"me"}'),
                STOP,
                end("tool_use"),
                LAST,
            ),
            tokens=["Look"],
            finish_reason="tool_calls",
        ),
        plain,
    ],
    failures=[
        missing_model,
        in_the_middle,
        refused("a wrong key", 401, "authentication_error", "invalid x-api-key", "auth"),
        refused("a forbidden key", 403, "permission_error", "Your key has no access.", "auth"),
        refused(
            "a rate limit",
            429,
            "rate_limit_error",
            "Too many requests.",
            "rate_limited",
            headers={"retry-after": "20"},
            retry_after=20,
        ),
        refused("a wrong parameter", 400, "invalid_request_error", "top_k: must be positive", "bad_request"),
        refused("overloaded", 529, "overloaded_error", "Overloaded", "unavailable"),
        refused("a fault", 500, "api_error", "Internal server error", "unavailable"),
        Failure(
            name="overloaded in the stream",
            body=EVENTS.body(START, error("overloaded_error", "Overloaded")),
            code="unavailable",
        ),
    ],
)
conformance = minimal if os.environ.get("AURA_MINIMAL") else full
