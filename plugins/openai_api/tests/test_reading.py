"""What clients send: what is read, what is ignored, and what is refused by its name."""

from typing import Any

import msgspec
import pytest
from aura_openai_api.chat_request import ChatCompletionRequest, read_chat
from aura_openai_api.responses_request import ResponsesRequest, read_responses

from aura_core import Message, Problem, Question

HELLO = {"role": "user", "content": "Hello"}


def chat(**parameters: Any) -> Question:
    body = {"model": "it", "messages": [HELLO]} | parameters
    return read_chat(msgspec.json.decode(msgspec.json.encode(body), type=ChatCompletionRequest), {})


def responses(**parameters: Any) -> Question:
    body = {"model": "it", "input": "Hello"} | parameters
    return read_responses(msgspec.json.decode(msgspec.json.encode(body), type=ResponsesRequest), {})


def test_a_plain_question() -> None:
    asked = chat()
    assert (asked.agent, asked.messages, asked.context) == ("it", [Message("user", "Hello")], "")
    assert (asked.stream, asked.max_tokens, asked.wishes.include_usage) == (False, None, False)
    assert responses().messages == asked.messages


def test_a_stream_and_its_usage_are_given_when_they_are_asked_for() -> None:
    assert chat(stream=True).stream
    assert not chat(stream=True).wishes.include_usage
    assert chat(stream=True, stream_options={"include_usage": True}).wishes.include_usage
    assert not chat(stream=None, stream_options=None).stream
    assert responses(stream=True).stream


def test_system_and_developer_messages_become_context_wherever_they_stand() -> None:
    asked = chat(
        messages=[
            {"role": "system", "content": "Be brief."},
            HELLO,
            {"role": "developer", "content": [{"type": "text", "text": "Be "}, {"type": "text", "text": "kind."}]},
            {"role": "assistant", "content": "Hi"},
            {"role": "system", "content": " "},
            {"role": "user", "content": "And now?"},
        ]
    )
    assert asked.context == "Be brief.\n\nBe kind."
    assert asked.messages == [Message("user", "Hello"), Message("assistant", "Hi"), Message("user", "And now?")]


def test_instructions_stand_before_the_system_messages_of_the_input() -> None:
    asked = responses(instructions="First.", input=[{"role": "developer", "content": "Second."}, HELLO])
    assert asked.context == "First.\n\nSecond."


def test_parts_follow_each_other_without_anything_between_them() -> None:
    parts = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo\n"}, {"type": "text", "text": " world"}]
    assert chat(messages=[{"role": "user", "content": parts}]).messages == [Message("user", "Hello\n world")]
    parts = [{"type": "input_text", "text": "a"}, {"type": "output_text", "text": "b", "annotations": []}]
    assert responses(input=[{"role": "user", "content": parts}]).messages == [Message("user", "ab")]


@pytest.mark.parametrize("content", [None, "", " \n", [], [{"type": "text", "text": ""}]])
def test_a_message_that_says_nothing_is_left_out(content: Any) -> None:
    asked = chat(messages=[HELLO, {"role": "assistant", "content": content, "tool_calls": []}, HELLO])
    assert asked.messages == [Message("user", "Hello")] * 2


def test_the_last_message_need_not_be_a_user_s() -> None:
    asked = chat(messages=[HELLO, {"role": "assistant", "content": "Well,"}])
    assert asked.messages[-1] == Message("assistant", "Well,")


def test_a_refusal_is_what_the_assistant_said() -> None:
    parts = [{"type": "refusal", "refusal": "I will not."}]
    assert chat(messages=[HELLO, {"role": "assistant", "content": parts}]).messages[1].content == "I will not."


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({}, None),
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 6}, 6),
        ({"max_tokens": 9, "max_completion_tokens": 7}, 7),
        ({"max_tokens": None}, None),
    ],
)
def test_the_smaller_limit_holds(given: dict[str, Any], read: int | None) -> None:
    assert chat(**given).max_tokens == read


def test_the_limit_of_responses() -> None:
    assert responses(max_output_tokens=16).max_tokens == 16


# What dozens of clients send besides, from their sources.
IGNORED: dict[str, Any] = {
    "temperature": 0.2,
    "top_p": 1,
    "seed": 7,
    "user": "somebody",
    "logprobs": True,
    "top_logprobs": 2,
    "logit_bias": {"50256": -100},
    "metadata": {"chat_id": "1"},
    "parallel_tool_calls": False,
    "prompt_cache_key": "k",
    "reasoning_effort": "high",
    "reasoning": {"effort": "low", "summary": "auto"},
    "service_tier": "auto",
    "store": True,
    "include": ["reasoning.encrypted_content"],
    "truncation": "auto",
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
    "tool_choice": "auto",
    "function_call": "none",
    "response_format": {"type": "text"},
    "text": {"format": {"type": "text"}, "verbosity": "low"},
    "modalities": ["text"],
    "n": 1,
    "stop": [],
    "background": False,
    "previous_response_id": None,
    "num_ctx": 4096,
    "extra_body": {"think": True},
}


@pytest.mark.parametrize("name", IGNORED)
def test_what_changes_no_meaning_is_ignored(name: str) -> None:
    assert chat(**{name: IGNORED[name]}).messages == [Message("user", "Hello")]
    assert responses(**{name: IGNORED[name]}).messages == [Message("user", "Hello")]


def image(kind: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, {"type": kind, kind: {"url": "x"}}]}]


REFUSED_BY_CHAT: list[tuple[dict[str, Any], str]] = [
    ({"n": 2}, "n"),
    ({"n": 0}, "n"),
    ({"stop": "END"}, "stop"),
    ({"stop": ["", "END"]}, "stop"),
    ({"modalities": ["text", "audio"]}, "modalities"),
    ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format"),
    ({"response_format": {"type": "json_object"}}, "response_format"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice"),
    ({"function_call": {"name": "f"}}, "function_call"),
    ({"messages": image("image_url")}, "messages[0].content[1]"),
    ({"messages": image("input_audio")}, "messages[0].content[1]"),
    ({"messages": image("file")}, "messages[0].content[1]"),
    ({"messages": [HELLO, {"role": "tool", "content": "42", "tool_call_id": "1"}]}, "messages[1]"),
    ({"messages": [HELLO, {"role": "function", "name": "f", "content": "42"}]}, "messages[1]"),
    ({"messages": [{"role": "narrator", "content": "Once"}]}, "messages[0].role"),
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "system", "content": "Be brief."}]}, "messages"),
    ({"messages": [{"role": "user", "content": " "}]}, "messages"),
]


@pytest.mark.parametrize(("given", "field"), REFUSED_BY_CHAT, ids=lambda each: str(each)[:50])
def test_what_changes_the_meaning_is_refused_by_name(given: dict[str, Any], field: str) -> None:
    with pytest.raises(Problem) as caught:
        chat(**given)
    assert caught.value.code == "invalid_request"
    assert caught.value.field == field
    assert caught.value.detail.startswith(f"{field}: ")


REFUSED_BY_RESPONSES: list[tuple[dict[str, Any], str]] = [
    ({"previous_response_id": "resp_1"}, "previous_response_id"),
    ({"conversation": "conv_1"}, "conversation"),
    ({"conversation": {"id": "conv_1"}}, "conversation"),
    ({"background": True}, "background"),
    ({"prompt": {"id": "pmpt_1"}}, "prompt"),
    ({"text": {"format": {"type": "json_schema", "name": "x", "schema": {}}}}, "text.format"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"tool_choice": {"type": "function", "name": "f"}}, "tool_choice"),
    ({"input": [HELLO, {"type": "function_call_output", "call_id": "1", "output": "42"}]}, "input[1]"),
    ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
    ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]}, "input[0].content[0]"),
    ({"input": [{"content": "who says this?"}]}, "input[0].role"),
    ({"input": ""}, "input"),
    ({"input": []}, "input"),
]


@pytest.mark.parametrize(("given", "field"), REFUSED_BY_RESPONSES, ids=lambda each: str(each)[:50])
def test_what_responses_cannot_keep_is_refused_by_name(given: dict[str, Any], field: str) -> None:
    with pytest.raises(Problem) as caught:
        responses(**given)
    assert caught.value.field == field


def test_reasoning_that_comes_back_is_left_out() -> None:
    """Clients send the items of an earlier response again."""
    earlier = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm"}]}
    said = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [
        {"type": "output_text", "text": "Hi", "annotations": [], "logprobs": []}
    ]}  # fmt: skip
    asked = responses(input=[{"role": "user", "content": "Hello"}, earlier, said, HELLO])
    assert [message.content for message in asked.messages] == ["Hello", "Hi", "Hello"]


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [HELLO]},
        {"model": "it"},
        {"model": 1, "messages": [HELLO]},
        {"model": "it", "messages": [{"role": "user", "content": 1}]},
        {"model": "it", "messages": [HELLO], "max_tokens": 0},
        {"model": "it", "messages": [HELLO], "stream": "yes"},
    ],
)
def test_what_has_the_wrong_type_does_not_decode(body: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(body), type=ChatCompletionRequest)


def test_a_client_s_long_word_is_repeated_in_part() -> None:
    with pytest.raises(Problem) as caught:
        chat(messages=[{"role": "user", "content": [{"type": "x" * 100_000, "text": "a"}]}])
    assert len(caught.value.detail) < 200
