"""Requests that are refused before an answer starts, with their status and code; never with 500."""

import json
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from aura_core.problems import Problem
from aura_core.testing import AuraServer

TOKEN = "correct horse battery staple"
STREAM = "/api/agents/ok/chat/stream"


@pytest.fixture(scope="module")
def aura(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuraServer]:
    agents = {
        "ok.md": "---\nprovider: echo\n---\n",
        "broken.md": "---\ntemprature: 1\n---\n",
        "nobody.md": "---\nprovider: nobody\n---\n",
        "halfway.md": "---\nprovider: halfway\n---\n",
        "typo.md": "---\nprovider: echo\noptions: {dely: 1}\n---\n",
    }
    toml = """
[server]
allowed_hosts = ["aura.example", "other.example:8443"]
allowed_origins = ["https://friend.example"]
max_body = 2048
[providers.halfway]
plugin = "ollama"
"""
    with AuraServer(tmp_path_factory.mktemp("aura"), agents, toml) as server:
        yield server


def _post(aura: AuraServer, path: str = STREAM, content: bytes | None = None, **headers: str) -> httpx.Response:
    body = b'{"prompt": "hi"}' if content is None else content
    given = {"content-type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
    return httpx.post(aura.url + path, content=body, headers=given, trust_env=False)


def _check(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert (response.status_code, response.json()["code"]) == (status, code), response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["status"] == status
    assert problem["instance"] == f"urn:aura:request:{response.headers['x-request-id']}"
    assert set(problem) == {"type", "title", "status", "detail", "instance", "code"}
    return problem


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:1", "127.0.0.1:5300", "127.9.9.9", "[::1]:5300", "Aura.Example:99", "other.example:8443"],
)
def test_good_hosts(aura: AuraServer, host: str) -> None:
    assert _post(aura, host=host).status_code == 200


def test_the_servers_own_page_and_a_tls_front_may_call(aura: AuraServer) -> None:
    for origin, host in (
        (aura.url, f"127.0.0.1:{aura.port}"),
        ("https://aura.example", "aura.example"),
        ("https://aura.example", "aura.example:443"),
    ):
        assert _post(aura, origin=origin, host=host).status_code == 200


def test_allowed_origins_get_cors_answers(aura: AuraServer) -> None:
    friend = "https://friend.example"
    response = _post(aura, origin=friend)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == friend
    preflight = httpx.options(
        aura.url + STREAM,
        headers={"origin": friend, "access-control-request-method": "POST"},
        trust_env=False,
    )
    assert preflight.status_code == 204
    assert "Content-Type" in preflight.headers["access-control-allow-headers"]
    assert _post(aura, path="/api/nothing", origin=friend).headers["access-control-allow-origin"] == friend


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b"{", "JSON"),
        (b"[]", "expected an object, got a list"),
        (b'{"prompt": " \\n"}', "prompt: it must not be blank"),
        (b'{"prompt": 5}', "prompt: expected a string"),
        (b"{}", "'prompt' is missing"),
        (b'{"prompt": "a", "model": "gpt"}', "object contains unknown field model"),
        (b'{"prompt": "a", "conversationHistory": [{"role": "system", "content": ""}]}', "conversationHistory[0].role"),
        (b'{"prompt": "a", "conversationHistory": [{"role": "user"}]}', "conversationHistory[0]: 'content' is missing"),
        (b'{"prompt": "a", "additionalContext": null}', "additionalContext"),
        (b'{"prompt": "\xff"}', "UTF-8"),
        (b'{"prompt": "\\ud83d', "JSON"),
        (b'{"prompt": ' + b"[" * 1000 + b"]" * 1000 + b"}", "prompt"),
        (b'{"x": ' + b"[" * 1000 + b"]" * 1000 + b"}", ""),
    ],
)
def test_a_bad_body_is_named(aura: AuraServer, body: bytes, says: str) -> None:
    assert says in _check(_post(aura, content=body), 400, "invalid_request")["detail"]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (rb"a \ud83d", "a \ufffd"),
        (rb"\ude00 a", "\ufffd a"),
        (rb"\uD83D\ud83d\ude00", "\ufffd\U0001f600"),
        (rb"\\ud83d \ud83d", "\\ud83d \ufffd"),
    ],
)
def test_a_lone_surrogate_is_replaced(aura: AuraServer, written: bytes, read: str) -> None:
    answer = _post(aura, "/api/agents/ok/chat", content=b'{"prompt": "%b"}' % written)
    assert answer.json()["content"] == read


def test_agents_that_cannot_answer(aura: AuraServer) -> None:
    _check(_post(aura, "/api/agents/absent/chat/stream"), 404, "agent_not_found")
    broken = _check(_post(aura, "/api/agents/broken/chat/stream"), 503, "agent_invalid")
    assert "did you mean 'temperature'?" in broken["detail"]
    assert "broken.md:2" in broken["detail"]
    missing = _check(_post(aura, "/api/agents/nobody/chat/stream"), 503, "provider_not_installed")
    assert re.search(r"nobody\.md:2: provider 'nobody' is not installed; installed are .*\becho\b", missing["detail"])
    assert "pip install" not in missing["detail"]
    assert "base_url" in _check(_post(aura, "/api/agents/halfway/chat/stream"), 503, "provider_misconfigured")["detail"]
    assert "did you mean 'delay'?" in _check(_post(aura, "/api/agents/typo/chat"), 503, "agent_invalid")["detail"]
    listed = httpx.get(f"{aura.url}/api/agents", trust_env=False).json()["agents"]
    assert {a["id"]: bool(a["error"]) for a in listed} == {
        "broken": True,
        "halfway": True,
        "nobody": True,
        "ok": False,
        "typo": True,
    }


def test_routes_and_methods(aura: AuraServer) -> None:
    _check(_post(aura, "/api/nothing"), 404, "not_found")
    _check(httpx.get(f"{aura.url}/schema/nothing", trust_env=False), 404, "not_found")
    wrong = httpx.get(aura.url + STREAM, trust_env=False)
    _check(wrong, 405, "method_not_allowed")
    assert "POST" in wrong.headers["allow"]
    _check(httpx.get(f"{aura.url}/api/agents/none", trust_env=False), 404, "agent_not_found")
    assert httpx.get(f"{aura.url}/api/agents/OK", trust_env=False).json()["id"] == "ok"
    assert httpx.get(f"{aura.url}/health", trust_env=False).json() == {"status": "ok"}
    assert httpx.get(f"{aura.url}/health/ready", trust_env=False).json() == {"status": "ready"}
    for probe in ("/health", "/health/ready"):
        assert httpx.head(aura.url + probe, trust_env=False).status_code == 200
    document = httpx.get(f"{aura.url}/schema/openapi.json", trust_env=False).json()
    assert "/api/agents/{agentId}/chat/stream" in document["paths"]


def _raw(aura: AuraServer, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", aura.port), timeout=5) as sock:
        answer = b""
        with suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(request)
        with suppress(ConnectionResetError):
            while chunk := sock.recv(65536):
                answer += chunk
        return answer


@pytest.mark.parametrize("junk", [b"\x00\xff\r\n\r\n", b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", b"POST\r\n\r\n"])
def test_invalid_http_gets_400(aura: AuraServer, junk: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "aura")
    aura.runtime.refused.tell(now=True)  # only the first ones of a minute get a line
    head, _, body = _raw(aura, junk).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["code"] == "invalid_request"
    identity = json.loads(body)["instance"].removeprefix("urn:aura:request:")
    assert f"x-request-id: {identity}\r\n".encode() in head
    told = [record.fields for record in caplog.records if hasattr(record, "fields")]
    assert [(refusal.request_id, refusal.code, refusal.client_address) for refusal in told] == [
        (identity, "invalid_request", "127.0.0.1")
    ]


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_client_that_half_closes_gets_the_refusal_of_its_body(aura: AuraServer, version: bytes) -> None:
    """Like urllib: it sends the whole body before it reads, and fails if it cannot."""
    head = b"POST %b HTTP/%b\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
    with socket.create_connection(("127.0.0.1", aura.port), timeout=30) as sock, sock.makefile("rb") as answer:
        sock.sendall(head % (STREAM.encode(), version) + b"Content-Length: 8000000\r\n\r\n")
        sock.sendall(b"a" * 8_000_000)
        assert answer.readline().startswith(b"HTTP/1.1 413 ")
        assert json.loads(answer.read().partition(b"\r\n\r\n")[2])["code"] == "payload_too_large"


def test_an_endless_request_body_is_not_read_forever(aura: AuraServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aura_core.server.uvicorn_protocol.LINGER", 1000)
    head = b"POST %b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 99999999999\r\n\r\n"
    with socket.create_connection(("127.0.0.1", aura.port), timeout=30) as sock:
        sock.sendall(head % STREAM.encode())
        with pytest.raises(ConnectionError):
            sock.sendall(b"a" * 100_000_000)


def test_the_order_of_the_checks(tmp_path: Path) -> None:
    toml = '[server]\nmax_body = 1024\nallowed_hosts = ["aura.example"]'
    steps: list[tuple[int, dict[str, str], bytes, str]] = [
        (421, {"host": "evil.example", "origin": "null", "content-type": "text/plain"}, b"a" * 2000, "none"),
        (403, {"origin": "null", "content-type": "text/plain"}, b"a" * 2000, "none"),
        (401, {"content-type": "text/plain"}, b"a" * 2000, "none"),
        (415, {"authorization": f"Bearer {TOKEN}", "content-type": "text/plain"}, b"a" * 2000, "none"),
        (413, {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}, b"a" * 2000, "none"),
        (400, {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}, b"a", "none"),
        (404, {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}, b'{"prompt":"a"}', "none"),
    ]
    with AuraServer(tmp_path, toml=toml, environ=os.environ | {"AURA_TOKEN": TOKEN}) as aura:
        for status, headers, body, agent in steps:
            url = f"{aura.url}/api/agents/{agent}/chat/stream"
            assert httpx.post(url, content=body, headers=headers, trust_env=False).status_code == status


def test_too_many_streams(tmp_path: Path) -> None:
    stalls = "---\nprovider: echo\noptions: {stall_after: 0}\n---\n"
    with AuraServer(tmp_path, {"stalls.md": stalls}, "[server]\nmax_streams = 1") as aura:
        url = f"{aura.url}/api/agents/stalls/chat/stream"
        with httpx.stream("POST", url, json={"prompt": "a"}, trust_env=False) as first:
            assert first.status_code == 200
            refused = httpx.post(url, json={"prompt": "a"}, trust_env=False)
            _check(refused, 503, "too_many_streams")
            assert refused.headers["retry-after"] == "1"


def test_a_full_or_stopping_server_is_reported_before_an_agent_that_cannot_stream(tmp_path: Path) -> None:
    stalls = "---\nprovider: echo\noptions: {stall_after: 0}\n---\n"
    whole = "---\nprovider: echo\noptions: {streaming: false}\n---\n"
    with AuraServer(tmp_path, {"stalls.md": stalls, "whole.md": whole}, "[server]\nmax_streams = 1") as aura:
        url = f"{aura.url}/api/agents/stalls/chat/stream"
        with httpx.stream("POST", url, json={"prompt": "a"}, trust_env=False):
            _check(_post(aura, "/api/agents/whole/chat/stream"), 503, "too_many_streams")
        aura.runtime.draining = True
        _check(_post(aura, "/api/agents/whole/chat/stream"), 503, "server_shutdown")
        aura.runtime.draining = False
        while aura.runtime.relays:  # the server may not have noticed yet that the first client disconnected
            time.sleep(0.01)
        _check(_post(aura, "/api/agents/whole/chat/stream"), 400, "streaming_not_supported")


def test_a_server_that_shuts_down_sends_retry_after() -> None:
    assert Problem("server_shutdown", "").headers()["retry-after"] == "5"


@pytest.mark.parametrize(
    ("agent", "content", "headers"),
    [
        ("ok", b'{"prompt": "hi"}', {}),
        ("ok", b"{}", {}),
        ("ok", b'{"prompt": ', {}),
        ("ok", b"", {}),
        ("ok", b'{"prompt": "%b"}' % (b"x" * 2048), {}),
        ("ok", b'{"prompt": "hi"}', {"content_type": "text/plain"}),
        ("ok", b'{"prompt": "hi"}', {"content_encoding": "gzip"}),
        ("unknown", b'{"prompt": "hi"}', {}),
        ("broken", b'{"prompt": "hi"}', {}),
    ],
)
def test_a_path_in_another_spelling_is_answered_alike(
    aura: AuraServer, agent: str, content: bytes, headers: dict[str, str]
) -> None:
    """It goes through Litestar, which a question at the route itself passes by."""
    path = f"/api/agents/{agent}/chat/stream"
    given = {"x_request_id": "mine"} | headers
    direct, other = (_post(aura, spelled, content, **given) for spelled in (path, f"/{path}/"))
    for response in (direct, other):
        response.headers.pop("date")
    assert (direct.status_code, direct.text, direct.headers) == (other.status_code, other.text, other.headers)
