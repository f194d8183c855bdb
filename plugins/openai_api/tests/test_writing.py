"""What clients are sent: chunks, events and objects, as the APIs' own types have them."""

import json
from typing import Any

import pytest
from aura_openai_api.chat_answer import ChatEncoder
from aura_openai_api.chat_request import Wishes
from aura_openai_api.models import encode_model, encode_models
from aura_openai_api.responses_answer import ResponsesEncoder

from aura_core import AgentInfo, AnswerContext, Encoder, End, Failure, Message, Question, Usage, WholeAnswer

STOP = End("stop", Usage(9, 2))


def context(include_usage: bool = False) -> AnswerContext:
    asked = Question("it", [Message("user", "Hello")], wishes=Wishes(include_usage))
    return AnswerContext("abc", 1764000000.5, asked)


def chunks(frames: bytes) -> list[Any]:
    """The data of each event; every byte belongs to one."""
    assert frames.endswith(b"\n\n")
    found = []
    for block in frames.decode().removesuffix("\n\n").split("\n\n"):
        assert block.startswith("data: "), block
        data = block.removeprefix("data: ")
        assert "\n" not in data
        found.append(data if data == "[DONE]" else json.loads(data))
    return found


def events(frames: bytes) -> list[Any]:
    """The same of named events; a name is equal to the type in the data, and the events are numbered."""
    assert frames.endswith(b"\n\ndata: [DONE]\n\n"), frames[-100:]
    found = []
    for block in frames.decode().removesuffix("\n\ndata: [DONE]\n\n").split("\n\n"):
        name, data = block.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    return found


def chat_stream(end: End = STOP, include_usage: bool = False) -> list[Any]:
    encoder = ChatEncoder(context(include_usage))
    frames = encoder.answering("echo", "m") + encoder.reasoning("Hm") + encoder.text("Hel") + encoder.text('"\n\u2028é')
    return chunks(frames + encoder.done(end))


def test_every_chunk_has_the_same_head_and_one_choice() -> None:
    *found, last = chat_stream()
    assert last == "[DONE]"
    assert all(
        (chunk["id"], chunk["object"], chunk["created"], chunk["model"])
        == ("chatcmpl-abc", "chat.completion.chunk", 1764000000, "m")
        for chunk in found
    )
    choices = [chunk["choices"] for chunk in found]
    assert all(len(each) == 1 and each[0]["index"] == 0 for each in choices)
    assert [each[0]["delta"] for each in choices] == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "Hm"},
        {"content": "Hel"},
        {"content": '"\n\u2028é'},
        {},
    ]
    assert [each[0]["finish_reason"] for each in choices] == [None, None, None, None, "stop"]
    assert all("usage" not in chunk for chunk in found)


def test_usage_comes_in_a_chunk_of_its_own_where_it_is_asked_for() -> None:
    *found, usage, last = chat_stream(include_usage=True)
    assert last == "[DONE]"
    assert usage["choices"] == []
    assert usage["usage"] == {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    assert all("usage" not in chunk for chunk in found)


def test_cached_and_reasoning_tokens_are_told_where_the_provider_counts_them() -> None:
    end = End("stop", Usage(9, 5, cache_read=4, cache_write=1, reasoning=3))
    usage = chat_stream(end, include_usage=True)[-2]["usage"]
    assert usage["prompt_tokens_details"] == {"cached_tokens": 4}
    assert usage["completion_tokens_details"] == {"reasoning_tokens": 3}
    usage = responses_stream(("text", "a"), end=end)[-1]["response"]["usage"]
    assert usage["input_tokens_details"] == {"cached_tokens": 4}
    assert usage["output_tokens_details"] == {"reasoning_tokens": 3}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("stop", "stop"), ("length", "length"), ("content_filter", "content_filter"), ("tool_calls", "stop")],
)
def test_finish_reasons(ours: str, theirs: str) -> None:
    assert chat_stream(End(ours, Usage()))[-2]["choices"][0]["finish_reason"] == theirs
    whole = ChatEncoder(context())
    whole.answering("echo", "m")
    assert json.loads(whole.whole(WholeAnswer("a", "", End(ours, Usage()))))["choices"][0]["finish_reason"] == theirs


def test_an_error_has_no_choices_and_is_the_end() -> None:
    encoder = ChatEncoder(context())
    encoder.answering("echo", "m")
    (error,) = chunks(encoder.error(Failure("Wait.", "rate_limited", 20.0)))
    assert error == {
        "error": {
            "message": "Wait.",
            "type": "rate_limit_error",
            "param": None,
            "code": "rate_limit_exceeded",
            "retry_after": 20.0,
        }
    }


def test_a_whole_completion() -> None:
    encoder = ChatEncoder(context())
    encoder.answering("echo", "")
    assert json.loads(encoder.whole(WholeAnswer("Hello", "Hm", STOP))) == {
        "id": "chatcmpl-abc",
        "object": "chat.completion",
        "created": 1764000000,
        "model": "it",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello", "refusal": None, "reasoning_content": "Hm"},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
    }
    assert "reasoning_content" not in json.loads(encoder.whole(WholeAnswer("a", "", STOP)))["choices"][0]["message"]


def test_a_model_s_name_cannot_break_out_of_its_place() -> None:
    encoder = ChatEncoder(context())
    (chunk,) = chunks(encoder.answering("echo", '"}\n\ndata: {"error": 1}\n\n%d%s'))
    assert chunk["model"] == '"}\n\ndata: {"error": 1}\n\n%d%s'
    responses = ResponsesEncoder(context())
    frames = responses.answering("echo", '"}\n\ndata: %b') + responses.text("%d") + responses.done(STOP)
    assert {event["response"]["model"] for event in events(frames) if "response" in event} == {'"}\n\ndata: %b'}


# Responses


def responses_stream(*said: tuple[str, str], end: End = STOP) -> list[Any]:
    encoder = ResponsesEncoder(context())
    frames = encoder.answering("echo", "m")
    for method, text in said:
        frames += getattr(encoder, method)(text)
    return events(frames + encoder.done(end))


TEXT = [
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
]
THOUGHT = [
    "response.output_item.added",
    "response.reasoning_summary_part.added",
    "response.reasoning_summary_text.delta",
    "response.reasoning_summary_text.done",
    "response.reasoning_summary_part.done",
    "response.output_item.done",
]
BEGIN = ["response.created", "response.in_progress"]


def types(found: list[Any]) -> list[str]:
    return [event["type"] for event in found]


def test_the_events_of_an_answer_in_their_order() -> None:
    found = responses_stream(("text", "Hel"), ("text", "lo"))
    assert types(found) == [*BEGIN, *TEXT, "response.completed"]
    item = found[2]["item"]
    assert item == {"id": "msg_abc_0", "type": "message", "status": "in_progress", "role": "assistant", "content": []}
    assert {event["item_id"] for event in found if "item_id" in event} == {"msg_abc_0"}
    assert [event["delta"] for event in found if "delta" in event] == ["Hel", "lo"]
    assert found[6]["text"] == found[7]["part"]["text"] == "Hello"
    response = found[-1]["response"]
    assert (response["id"], response["status"], response["model"]) == ("resp_abc", "completed", "m")
    assert response["output"] == [found[8]["item"]]
    assert response["output"][0]["content"][0]["text"] == "Hello"
    assert response["usage"]["input_tokens"] == 9
    assert response["usage"]["output_tokens"] == 2
    assert response["usage"]["total_tokens"] == 11
    assert response["store"] is False
    assert found[0]["response"]["status"] == "in_progress"
    assert found[0]["response"]["usage"] is None


def test_reasoning_and_text_are_items_of_their_own_however_they_alternate() -> None:
    found = responses_stream(("reasoning", "a"), ("text", "b"), ("text", "c"), ("reasoning", "d"))
    assert types(found) == [*BEGIN, *THOUGHT, *TEXT, *THOUGHT, "response.completed"]
    output = found[-1]["response"]["output"]
    assert [(item["type"], item["id"]) for item in output] == [
        ("reasoning", "rs_abc_0"),
        ("message", "msg_abc_1"),
        ("reasoning", "rs_abc_2"),
    ]
    assert output[0]["summary"] == [{"type": "summary_text", "text": "a"}]
    indices = [event["output_index"] for event in found if "output_index" in event]
    assert indices == [0] * len(THOUGHT) + [1] * len(TEXT) + [2] * len(THOUGHT)


@pytest.mark.parametrize(("reason", "said"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_an_answer_that_is_not_whole_is_incomplete(reason: str, said: str) -> None:
    found = responses_stream(("text", "a"), ("text", "b"), end=End(reason, Usage()))
    assert types(found) == [*BEGIN, *TEXT, "response.incomplete"]
    response = found[-1]["response"]
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": said}
    assert response["output"][0]["status"] == "incomplete"


def test_an_answer_of_no_text_has_an_item() -> None:
    found = responses_stream(end=End("tool_calls", Usage()))
    assert types(found) == [*BEGIN, *(name for name in TEXT if "delta" not in name), "response.completed"]
    assert found[-1]["response"]["output"][0]["content"][0]["text"] == ""


def test_an_error_in_the_middle_keeps_what_was_said() -> None:
    encoder = ResponsesEncoder(context())
    frames = encoder.answering("echo", "m") + encoder.text("Hel")
    found = events(frames + encoder.error(Failure("It broke.", "interrupted")))
    assert types(found) == [*BEGIN, *TEXT[:3], "response.failed"]
    response = found[-1]["response"]
    assert response["status"] == "failed"
    assert response["error"] == {"code": "interrupted", "message": "It broke."}
    assert response["output"][0]["status"] == "incomplete"
    assert response["output"][0]["content"][0]["text"] == "Hel"


def test_a_failed_response_says_when_to_come_back() -> None:
    found = events(ResponsesEncoder(context()).error(Failure("Slow down.", "rate_limited", 7)))
    assert found[-1]["response"]["error"]["retry_after"] == 7


def test_an_error_before_the_first_text_is_a_whole_stream() -> None:
    found = events(ResponsesEncoder(context()).error(Failure("Too long.", "context_length")))
    assert types(found) == [*BEGIN, "response.failed"]
    assert found[-1]["response"]["error"]["code"] == "context_length_exceeded"
    assert found[-1]["response"]["model"] == "it"


def test_a_whole_response() -> None:
    encoder = ResponsesEncoder(context())
    encoder.answering("echo", "m")
    encoder = ResponsesEncoder(context())  # whatever `answering` gave is not sent
    encoder.answering("echo", "m")
    response = json.loads(encoder.whole(WholeAnswer("Hello", "Hm", STOP)))
    assert (response["object"], response["status"], response["model"]) == ("response", "completed", "m")
    assert [item["type"] for item in response["output"]] == ["reasoning", "message"]
    streamed = responses_stream(("reasoning", "Hm"), ("text", "Hello"))[-1]["response"]
    streamed["completed_at"] = response["completed_at"]
    assert response == streamed


@pytest.mark.parametrize("kind", [ChatEncoder, ResponsesEncoder])
def test_text_is_sent_as_it_is(kind: type[Encoder]) -> None:
    said = ["\x00", "\u2028\u2029", "</script>", '"\\', "\r\n\r\n", "é😀", "%s%d", "data: [DONE]\n\n"]
    encoder = kind(context())
    encoder.answering("echo", "m")
    for text in said:
        frame = encoder.text(text)
        (data,) = [line for line in frame.decode().split("\n") if line.startswith('data: {"') and "delta" in line][-1:]
        found = json.loads(data.removeprefix("data: "))
        assert text == (found["delta"] if kind is ResponsesEncoder else found["choices"][0]["delta"]["content"])


# Models

GOOD = AgentInfo("it", "Its Name", "What it does.", "echo", "m", None, True, [], None)


def test_an_agent_is_listed_as_a_model() -> None:
    listed = json.loads(encode_models([GOOD]))
    assert listed["object"] == "list"
    (model,) = listed["data"]
    assert {key: model[key] for key in ("id", "object", "owned_by", "name", "description")} == {
        "id": "it",
        "object": "model",
        "owned_by": "aura",
        "name": "Its Name",
        "description": "What it does.",
    }
    assert type(model["created"]) is int
    assert json.loads(encode_model(GOOD)) == model
