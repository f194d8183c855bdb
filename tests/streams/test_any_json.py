"""For any JSON that a server sends, a plugin's decoder returns a token or raises a ProviderError, and nothing else."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from aura_anthropic import wire as events
from aura_ollama import api
from aura_openai import wire
from hypothesis import given, settings
from hypothesis import strategies as st

from aura_core import ProviderError, Token
from aura_core.streams import Endpoint, NotProtocol, Scrub, ServerSentEvent, status_error

SERVER = Endpoint("It", Scrub("sk-secret-0123456789"), "check the key", "is base_url right?", "its protocol")
FIELDS = (
    "choices delta content text error message code type usage index finish_reason reasoning reasoning_details thinking"
    " prompt_tokens total_tokens x_groq detail loc msg metadata raw done done_reason eval_count base_resp status_code"
    " status_msg retryDelay retry_after details param 0 message_start content_block content_block_start"
    " content_block_delta message_delta stop_reason input_tokens output_tokens_details"
)
NAMES = st.sampled_from(FIELDS.split())
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["stop", "1e999", "-1", "nan", '{"error":"x"}', "9" * 5000, "content_block_delta", "message_delta"]
    )
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5), max_leaves=20
)
WIRES: dict[str, tuple[Callable[[bytes], Token | None], type[Exception]]] = {
    "openai": (lambda data: wire.token(data, SERVER, "m"), NotProtocol),
    "anthropic": (lambda data: events.Events(SERVER, "m").token(ServerSentEvent(data)), NotProtocol),
    "ollama": (lambda data: api.token(data, "m", SERVER), api.NotALine),
}


@pytest.mark.parametrize("name", WIRES)
@settings(max_examples=200, deadline=None)
@given(said=st.dictionaries(NAMES, VALUES, max_size=6))
def test_any_object_is_a_token_or_an_error(name: str, said: dict[str, Any]) -> None:
    read, refused = WIRES[name]
    try:
        token = read(json.dumps(said).encode())
    except (ProviderError, refused):
        return
    if token is None:
        return  # the end of a stream
    assert {type(token.content), type(token.reasoning)} == {str}
    assert token.finish_reason is None or type(token.finish_reason) is str
    if token.usage is not None:
        assert all(type(count) is int and 0 <= count < 2**53 for count in (token.usage.prompt, token.usage.completion))


@settings(max_examples=200, deadline=None)
@given(said=VALUES, status=st.sampled_from([400, 404, 413, 429, 500, 503]))
def test_any_body_of_an_error_has_a_code_and_a_message(said: Any, status: int) -> None:
    found = status_error(SERVER, status, {}, json.dumps(said).encode(), "m")
    assert found.message.strip()
    assert found.retry_after is None or 0 <= found.retry_after <= 24 * 3600
