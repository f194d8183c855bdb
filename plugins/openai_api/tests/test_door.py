"""The door in a real server: bytes of answers, refusals in its dialect, and who may ask."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from aura_core.testing import AuraServer, Reply, Upstream

AGENTS = {
    "echo.md": "---\nname: Echo\ndescription: Repeats.\nprovider: echo\nmodel: parrot\n---\nYou repeat.",
    "whole.md": "---\nprovider: echo\noptions: {streaming: false, text: in one piece}\n---\n",
    "thinker.md": "---\nprovider: echo\noptions: {reasoning: Hm so, text: Yes}\n---\n",
    "midway.md": "---\nprovider: echo\noptions: {text: one two three, fail_after: 2, code: interrupted}\n---\n",
    "limited.md": "---\nprovider: echo\noptions: {fail_after: 0, code: rate_limited, retry_after: 20}\n---\n",
    "long.md": "---\nprovider: echo\noptions: {fail_after: 0, code: context_length}\n---\n",
    "broken.md": "---\ntemprature: 1\n---\n",
}
HELLO = [{"role": "user", "content": "Hello world"}]


@pytest.fixture(scope="module")
def aura(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuraServer]:
    with AuraServer(tmp_path_factory.mktemp("aura"), AGENTS, "[server]\nretries = 0") as server:
        yield server


def post(aura: AuraServer, path: str, body: Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"content-type": "application/json", "x-request-id": "abc"} | headers
    return httpx.post(f"{aura.url}{path}", content=content, headers=given, timeout=30, trust_env=False)


def chat(aura: AuraServer, model: str = "echo", **more: Any) -> httpx.Response:
    return post(aura, "/v1/chat/completions", {"model": model, "messages": HELLO} | more)


def responses(aura: AuraServer, model: str = "echo", **more: Any) -> httpx.Response:
    return post(aura, "/v1/responses", {"model": model, "input": "Hello world"} | more)


def error_of(response: httpx.Response) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/json"
    error: dict[str, Any] = response.json()["error"]
    assert error["message"]
    return error


def test_a_stream_byte_for_byte(aura: AuraServer) -> None:
    response = chat(aura, stream=True, stream_options={"include_usage": True})
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["x-request-id"] == "abc"
    created = json.loads(response.text.split("\n\n")[1].removeprefix("data: "))["created"]
    head = (
        f'data: {{"id":"chatcmpl-abc","object":"chat.completion.chunk","created":{created},"model":"parrot","choices":['
    )
    assert response.text == (
        ": ok\n\n"
        + head + '{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
        + head + '{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}\n\n'
        + head + '{"index":0,"delta":{"content":" world"},"finish_reason":null}]}\n\n'
        + head + '{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
        + head + '],"usage":{"prompt_tokens":4,"completion_tokens":2,"total_tokens":6}}\n\n'
        + "data: [DONE]\n\n"
    )  # fmt: skip


def test_a_whole_answer(aura: AuraServer) -> None:
    response = chat(aura, "thinker")
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    (choice,) = response.json()["choices"]
    assert choice["message"]["content"] == "Yes"
    assert choice["message"]["reasoning_content"] == "Hm so"
    assert response.json()["usage"]["completion_tokens"] == 1
    output = responses(aura, "thinker").json()["output"]
    assert [item["type"] for item in output] == ["reasoning", "message"]


def test_a_stream_of_events(aura: AuraServer) -> None:
    text = responses(aura, "thinker", stream=True).text
    assert text.startswith(": ok\n\nevent: response.created\n")
    assert text.endswith("data: [DONE]\n\n")
    assert text.count("event: response.completed\n") == 1
    assert text.index("reasoning_summary_text.delta") < text.index("output_text.delta")


def test_an_agent_that_cannot_stream_is_sent_as_one_delta(aura: AuraServer) -> None:
    blocks = chat(aura, "whole", stream=True).text.split("\n\n")
    deltas = [json.loads(block[6:])["choices"][0]["delta"] for block in blocks if block.startswith("data: {")]
    assert deltas == [{"role": "assistant", "content": ""}, {"content": "in one piece"}, {}]


def test_a_failure_in_the_middle_is_the_end_and_no_success(aura: AuraServer) -> None:
    text = chat(aura, "midway", stream=True).text
    assert '"content":" two"' in text
    last = text.removesuffix("\n\n").split("\n\n")[-1]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "interrupted"
    assert "[DONE]" not in text
    assert '"finish_reason":"' not in text
    text = responses(aura, "midway", stream=True).text
    assert text.count("event: response.failed\n") == 1
    assert "response.completed" not in text


def test_a_failure_of_a_whole_answer_is_a_status(aura: AuraServer) -> None:
    response = chat(aura, "limited")
    assert response.status_code == 429
    assert error_of(response)["code"] == "rate_limit_exceeded"
    assert response.headers["retry-after"] == "20"
    assert response.headers["retry-after-ms"] == "20000"
    assert "x-should-retry" not in response.headers
    response = responses(aura, "long")
    assert response.status_code == 400
    assert error_of(response)["code"] == "context_length_exceeded"
    assert response.headers["x-should-retry"] == "false"


def test_models_are_the_agents_that_can_answer(aura: AuraServer) -> None:
    response = httpx.get(f"{aura.url}/v1/models", trust_env=False)
    names = [model["id"] for model in response.json()["data"]]
    assert names == sorted(Path(name).stem for name in AGENTS if name != "broken.md")
    model = httpx.get(f"{aura.url}/v1/models/Echo", trust_env=False).json()
    assert (model["id"], model["name"], model["description"]) == ("echo", "Echo", "Repeats.")
    response = httpx.get(f"{aura.url}/v1/models/nobody", trust_env=False)
    assert response.status_code == 404
    assert error_of(response)["code"] == "model_not_found"
    assert httpx.get(f"{aura.url}/v1/models/broken", trust_env=False).status_code == 503


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
def test_refusals_are_in_the_door_s_dialect(aura: AuraServer, path: str) -> None:
    body = {"model": "nobody", "messages": HELLO, "input": "Hello"}
    refusals = {
        (404, "model_not_found", "model"): post(aura, path, body),
        (400, "invalid_request", "model"): post(aura, path, body | {"model": 1}),
        (400, "invalid_request", None): post(aura, path, b"{"),
        (415, "unsupported_media_type", None): post(aura, path, body, **{"content-type": "text/plain"}),
        (413, "payload_too_large", None): post(aura, path, b'"' + b" " * 4_194_304 + b'"'),
        (421, "misdirected_host", None): post(aura, path, body, host="evil.example"),
        (403, "forbidden_origin", None): post(aura, path, body, origin="https://evil.example"),
        (503, "agent_invalid", None): post(aura, path, body | {"model": "broken"}),
        (405, "method_not_allowed", None): httpx.get(f"{aura.url}{path}", trust_env=False),
        (404, "unknown_url", None): post(aura, "/v1/embeddings", body),
    }
    for (status, code, param), response in refusals.items():
        error = error_of(response)
        assert (response.status_code, error["code"], error["param"]) == (status, code, param)
        assert response.headers["x-should-retry"] == "false"
        assert response.headers["x-request-id"]


def test_a_refusal_names_the_part_of_a_message(aura: AuraServer) -> None:
    image = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]
    assert error_of(chat(aura, messages=image))["param"] == "messages[0].content[0]"
    assert error_of(chat(aura, messages=[{"role": "user", "content": 7}]))["param"] == "messages[0].content"
    assert error_of(chat(aura, n=3))["param"] == "n"


def test_any_key_will_do_where_the_server_has_no_token(aura: AuraServer) -> None:
    body = {"model": "echo", "messages": HELLO}
    assert post(aura, "/v1/chat/completions", body, authorization="Bearer sk-anything").status_code == 200


def test_a_token_is_required_where_the_server_has_one(tmp_path: Path) -> None:
    with AuraServer(tmp_path, AGENTS, environ={"AURA_TOKEN": "right-token"}) as aura:
        body = {"model": "echo", "messages": HELLO, "input": "Hello"}
        for path in ("/v1/chat/completions", "/v1/responses"):
            response = post(aura, path, body, authorization="Bearer wrong")
            assert response.status_code == 401
            assert error_of(response)["type"] == "authentication_error"
            assert response.headers["www-authenticate"] == "Bearer"
            assert post(aura, path, body, authorization="Bearer right-token").status_code == 200
        for path in ("/v1/models", "/v1/models/echo"):
            assert httpx.get(f"{aura.url}{path}", trust_env=False).status_code == 401


def test_a_page_of_an_allowed_origin_may_send_the_sdk_s_headers(tmp_path: Path) -> None:
    origin = "https://app.example.com"
    asked = "authorization,content-type,x-stainless-arch,x-stainless-retry-count,x-stainless-helper-method"
    preflight = {"access-control-request-method": "POST", "access-control-request-headers": asked}
    with AuraServer(tmp_path, AGENTS, f'[server]\nallowed_origins = ["{origin}"]') as aura:
        url = f"{aura.url}/v1/chat/completions"
        answer = httpx.options(url, headers=preflight | {"origin": origin}, trust_env=False)
        assert answer.status_code == 204
        allowed = {name.strip().lower() for name in answer.headers["access-control-allow-headers"].split(",")}
        assert set(asked.split(",")) <= allowed
        exposed = post(aura, "/v1/chat/completions", {"model": "echo", "messages": HELLO}, origin=origin)
        shown = {name.strip().lower() for name in exposed.headers["access-control-expose-headers"].split(",")}
        assert {"retry-after", "retry-after-ms", "x-should-retry", "x-request-id"} <= shown
        foreign = httpx.options(url, headers=preflight | {"origin": "https://evil.example"}, trust_env=False)
        assert foreign.status_code == 403
        assert "access-control-allow-headers" not in foreign.headers


def test_a_history_as_large_as_a_body_may_be_is_answered(aura: AuraServer) -> None:
    turn = {"role": "user", "content": [{"type": "text", "text": "word " * 200}]}
    turns = [turn, {"role": "assistant", "content": None}] * (4_000_000 // len(json.dumps(turn) + " " * 40))
    response = chat(aura, messages=[*turns, *HELLO])
    assert response.status_code == 200, response.text[:200]
    assert response.json()["choices"][0]["message"]["content"] == "Hello world"
    assert response.json()["usage"]["prompt_tokens"] > 500_000


@pytest.mark.parametrize(("wished", "sent"), [(50, 50), (500, 100), (None, 100)])
def test_a_client_lowers_the_agent_s_limit_and_never_raises_it(tmp_path: Path, wished: int | None, sent: int) -> None:
    pytest.importorskip("aura_ollama")
    end = b'{"message":{"content":"Hi"},"done":true,"done_reason":"stop"}\n'
    agent = {"it.md": "---\nprovider: ollama\nmodel: m\nmax_tokens: 100\ntemperature: 0.5\n---\nBe good."}
    with Upstream(Reply([end], headers={"content-type": "application/x-ndjson"})) as upstream:
        toml = f'[providers.ollama]\nbase_url = "{upstream.url}"'
        with AuraServer(tmp_path, agent, toml) as aura:
            system = [{"role": "system", "content": "Be brief."}]
            response = chat(aura, "it", messages=[*system, *HELLO], temperature=2, max_tokens=wished)
        (request,) = upstream.requests
    assert response.json()["model"] == "m"
    asked = request.json()
    assert asked["options"]["num_predict"] == sent
    assert asked["options"]["temperature"] == 0.5
    assert asked["messages"] == [
        {"role": "system", "content": "Be good.\n\nAdditional context:\nBe brief."},
        {"role": "user", "content": "Hello world"},
    ]


def test_the_text_that_responses_keep_counts_in_the_memory_of_the_process(tmp_path: Path) -> None:
    agents = {"long.md": "---\nprovider: echo\noptions: {text: word, tokens: 190000}\n---\n"}
    toml = "[server]\nmax_body = 1048576\nmax_buffered = 2097152\nretries = 0"
    with AuraServer(tmp_path, agents, toml) as aura:
        kept = post(aura, "/v1/responses", {"model": "long", "input": "a", "stream": True}).text
        passed = chat(aura, "long", stream=True).text
    assert "event: response.failed" in kept
    assert "max_buffered" in kept
    assert passed.endswith("data: [DONE]\n\n")
