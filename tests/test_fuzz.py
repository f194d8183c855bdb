"""For any input: no 500, no hang, no echo of raw input; and the responses match the OpenAPI document."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from leak_check import LeakCheck
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.openapi import from_url

from aura_core.testing import AuraServer

AGENTS = {
    "ok.md": "---\nprovider: echo\n---\n",
    "fails.md": "---\nprovider: echo\noptions: {fail_after: 0, code: rate_limited, retry_after: 1}\n---\n",
    "whole.md": "---\nprovider: echo\noptions: {streaming: false}\n---\n",
    "broken.md": "---\ntemprature: 1\n---\n",
}
# Not `not_a_server_error`: our 502, 503 and 504 report a provider's failure.
CONFORMANCE = [
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "allow_header_conformance",
]
BOUNDED = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def aura(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuraServer]:
    with AuraServer(tmp_path_factory.mktemp("aura"), AGENTS, "[server]\nretries = 0") as server:
        yield server


ROUTES = [
    "GET /api/agents",
    "GET /api/agents/{agentId}",
    "POST /api/agents/{agentId}/chat",
    "POST /api/agents/{agentId}/chat/stream",
    "GET /api/providers",
    "GET /health",
    "GET /health/ready",
]
WITH_INPUT = [(route, mode) for route in ROUTES for mode in GenerationMode if mode.is_positive or "POST" in route]


@pytest.mark.parametrize(("route", "mode"), WITH_INPUT, ids=[f"{route}-{mode.value}" for route, mode in WITH_INPUT])
def test_every_answer_is_as_documented(aura: AuraServer, route: str, mode: GenerationMode) -> None:
    method, path = route.split(" ")
    schema = from_url(f"{aura.url}/schema/openapi.json")
    operation = schema[path][method]
    load_all_checks()
    # OpenAPI cannot describe the events of a stream; test_wire.py tests them.
    checks = CHECKS.get_by_names([name for name in CONFORMANCE if not (path.endswith("stream") and "schema" in name)])

    @BOUNDED
    @given(operation.as_strategy(generation_mode=mode), st.sampled_from(["", *AGENTS]))
    def holds(case: schemathesis.Case, agent: str) -> None:
        if agent and "agentId" in path:
            case.path_parameters["agentId"] = agent.removesuffix(".md")
        response = case.call_and_validate(timeout=10, checks=checks)
        assert response.status_code != 500

    holds()


REFUSALS = {
    400: {"content": b"{"},
    403: {"headers": {"origin": "null"}},
    404: {"path": "/api/agents/none/chat"},
    415: {"headers": {"content-type": "text/plain"}},
    413: {"content": b" " * 5_000_000},
    421: {"headers": {"host": "evil.example"}},
    429: {"path": "/api/agents/fails/chat"},
    503: {"path": "/api/agents/broken/chat"},
}


@pytest.mark.parametrize("status", REFUSALS)
def test_every_refusal_is_documented(aura: AuraServer, status: int) -> None:
    case: dict[str, Any] = {"path": "/api/agents/ok/chat", "content": b'{"prompt": "a"}', "headers": {}} | REFUSALS[
        status
    ]
    headers = {"content-type": "application/json"} | case["headers"]
    response = httpx.post(aura.url + case["path"], content=case["content"], headers=headers, trust_env=False)
    document = httpx.get(f"{aura.url}/schema/openapi.json", trust_env=False).json()
    documented = document["paths"]["/api/agents/{agentId}/chat"]["post"]["responses"]
    assert response.status_code == status
    assert response.headers["content-type"] in documented[str(status)]["content"]


# Bytes

METHODS = [b"GET", b"POST", b"PUT", b"OPTIONS", b"HEAD", b"CONNECT", b"PRI", b"get", b""]
PATHS = [
    b"/health",
    b"/api/agents",
    b"/api/agents/ok/chat",
    b"/api/agents/ok/chat/stream",
    b"*",
    b"http://x/",
    b"/%",
    b"//",
]
HEADERS = [
    b"Host: localhost",
    b"Content-Type: application/json",
    b"Content-Length: 15",
    b"Content-Length: 1e9",
    b"Host:",
]
HEADERS += [
    b"Transfer-Encoding: chunked",
    b"Expect: 100-continue",
    b"Upgrade: h2c",
    b"Connection: upgrade",
    b" folded: x",
]
MARK = b"zqzqzq"  # what must not appear in the response

raw = st.binary(max_size=200)
requests = st.builds(
    lambda method, path, version, headers, body, junk: (
        method + b" " + path + b" " + version + b"\r\n" + b"".join(h + b"\r\n" for h in headers) + b"\r\n" + body + junk
    ),
    st.sampled_from(METHODS),
    st.sampled_from(PATHS) | raw.map(lambda junk: b"/" + MARK + junk),
    st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.1 x", b""]),
    st.lists(st.sampled_from(HEADERS) | raw.map(lambda junk: b"X: " + MARK + junk), max_size=6),
    st.sampled_from([b"", b'{"prompt": "a"}', b"f\r\n" + b'{"prompt": "a"}' + b"\r\n0\r\n\r\n", b'{"' + MARK]),
    st.just(b"") | raw,
)


def test_raw_bytes_get_no_500_no_hang_and_no_echo(aura: AuraServer) -> None:
    rest = LeakCheck(aura)

    @settings(BOUNDED, max_examples=300)
    @given(requests | raw, st.integers(0, 300))
    def holds(said: bytes, cut: int) -> None:
        with socket.create_connection(("127.0.0.1", aura.port), timeout=10) as sock:
            got = b""
            with suppress(ConnectionError):
                sock.sendall(said[:cut])
                sock.sendall(said[cut:])
            with suppress(OSError):  # it is already closed
                sock.shutdown(socket.SHUT_WR)
            with suppress(ConnectionError):
                while chunk := sock.recv(65536):
                    got += chunk
        assert b"HTTP/1.1 500" not in got
        assert MARK not in got
        assert not got or got.startswith(b"HTTP/1.1 ")

    holds()
    assert aura.ask("ok")[-1].name == "done"
    rest.check()
