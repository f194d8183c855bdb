"""Whatever is sent to the door: no 500, no hang, no plugin's name, and an answer in the door's dialect."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest
import schemathesis
from aura_openai_api.chat_request import ChatCompletionRequest
from aura_openai_api.errors import ERRORS
from aura_openai_api.responses_request import ResponsesRequest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from aura_core.testing import AuraServer

AGENTS = {
    "ok.md": "---\nprovider: echo\n---\n",
    "fails.md": "---\nprovider: echo\noptions: {fail_after: 0, code: quota_exceeded}\n---\n",
    "whole.md": "---\nprovider: echo\noptions: {streaming: false}\n---\n",
    "broken.md": "---\ntemprature: 1\n---\n",
}
BOUNDED = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
BODIES = {"/v1/chat/completions": ChatCompletionRequest, "/v1/responses": ResponsesRequest}
STATUSES = {error.status for error in ERRORS.values()}


@pytest.fixture(scope="module")
def aura(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuraServer]:
    with AuraServer(tmp_path_factory.mktemp("aura"), AGENTS, "[server]\nretries = 0") as server:
        yield server


def document() -> dict[str, Any]:
    """The routes as OpenAPI has them, made of the same types that the door decodes."""
    schemas, components = msgspec.json.schema_components(BODIES.values(), ref_template="#/components/schemas/{name}")
    paths = {
        path: {
            "post": {
                "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
                "responses": {"200": {"description": "an answer"}},
            }
        }
        for path, schema in zip(BODIES, schemas, strict=True)
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "door", "version": "1"},
        "paths": paths,
        "components": {"schemas": components},
    }


def check(response: Any, body: str) -> None:
    """An answer, or a refusal in the door's dialect."""
    assert response.status_code in STATUSES | {200}, body
    assert response.status_code != 500, body
    if response.status_code == 200:
        return
    error = json.loads(body)["error"]
    assert set(error) <= {"message", "type", "param", "code", "retry_after"}
    assert error["message"]
    assert "aura_openai_api" not in body


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("path", BODIES)
def test_bodies_that_fit_the_types_and_bodies_that_do_not(aura: AuraServer, path: str, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_dict(document())
    schema.config.update(base_url=aura.url)
    operation = schema[path]["POST"]

    @BOUNDED
    @given(operation.as_strategy(generation_mode=mode), st.sampled_from(["", *AGENTS]))
    def holds(case: schemathesis.Case, agent: str) -> None:
        if agent and isinstance(case.body, dict):
            case.body["model"] = agent.removesuffix(".md")
        response = case.call(base_url=aura.url, timeout=30)
        check(response, response.text)

    holds()


# Messages as no client would send them, and the words that the door looks for among them.
word = st.sampled_from(
    ["user", "assistant", "system", "developer", "tool", "text", "input_text", "output_text", "refusal", "message"]
) | st.sampled_from(
    ["reasoning", "item_reference", "image_url", "auto", "none", "required", "ok", "", "\x00", "\ud800", "é" * 300]
)
value = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | word,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["role", "content", "type", "text", "refusal", "id", "format", "summary", "function"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)
parameters = st.dictionaries(
    st.sampled_from([*BODIES["/v1/chat/completions"].__struct_fields__, "tools", "temperature", "store"])
    | st.sampled_from(BODIES["/v1/responses"].__struct_fields__),
    value,
    max_size=8,
)


@pytest.mark.parametrize("path", BODIES)
def test_objects_of_the_right_names_and_the_wrong_values(aura: AuraServer, path: str) -> None:
    client = httpx.Client(timeout=30, trust_env=False, verify=False)  # no certificates are read

    @settings(BOUNDED, max_examples=200)
    @given(parameters, st.sampled_from(["ok", "fails", "whole", "broken", "none"]))
    def holds(body: dict[str, Any], agent: str) -> None:
        content = json.dumps({"model": agent, "messages": [], "input": "Hi"} | body).encode()
        headers = {"content-type": "application/json"}
        response = client.post(f"{aura.url}{path}", content=content, headers=headers)
        check(response, response.text)
        if response.status_code == 200 and "event-stream" in response.headers["content-type"]:
            assert "[DONE]" in response.text or '"error"' in response.text

    with client:
        holds()


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"7",
        b'"x"',
        b'{"model": "ok"',
        b"\xff\xfe",
        b'{"model": "ok", "messages": ' + b"[" * 100_000,
        b'{"model": "' + b"x" * 1_000_000 + b'", "messages": [{"role": "user", "content": "a"}], "input": "a"}',
    ],
    ids=lambda body: repr(body[:20]),
)
def test_bodies_that_are_no_request(aura: AuraServer, path: str, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    response = httpx.post(f"{aura.url}{path}", content=body, headers=headers, timeout=30, trust_env=False)
    assert response.status_code in (400, 404)
    check(response, response.text)
    assert len(response.text) < 2000
