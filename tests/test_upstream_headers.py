"""The id of a request and a valid traceparent are sent to the provider; a client cannot set any other header."""

import uuid
from pathlib import Path

import anthropic  # noqa: F401  # takes longer on a busy machine than a client may take to open
import httpx
import pytest

from aura_core.server.guard import new_id
from aura_core.testing import NDJSON, SSE, AuraServer, Reply, Upstream

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
REPLIES = {
    "openai": Reply([SSE.body({"choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}]}, b"[DONE]")]),
    "azure": Reply([SSE.body({"choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}]}, b"[DONE]")]),
    "anthropic": Reply([SSE.body({"type": "message_delta", "delta": {"stop_reason": "end_turn"}})]),
    "ollama": Reply([NDJSON.body({"message": {"content": "Hi"}, "done": True, "done_reason": "stop"})]),
}


def _asked(tmp_path: Path, plugin: str, headers: list[tuple[str, str]]) -> dict[str, str]:
    """The headers of the provider's request, and of Aura's answer as `answered`."""
    with Upstream(REPLIES[plugin]) as upstream:
        place = "endpoint" if plugin == "azure" else "base_url"
        toml = f'[providers.it]\nplugin = "{plugin}"\n{place} = "{upstream.url}"\napi_key_env = "MY_KEY"\n'
        with AuraServer(tmp_path, {"it.md": "---\nprovider: it\nmodel: m\n---\n"}, toml) as aura:
            url = f"{aura.url}/api/agents/it/chat/stream"
            response = httpx.post(url, json={"prompt": "Hello"}, headers=headers, timeout=30, trust_env=False)
            assert "event: done" in response.text, response.text
    return upstream.requests[-1].headers | {"answered": response.headers["x-request-id"]}


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-0123456789")


@pytest.mark.parametrize("plugin", REPLIES)
def test_every_own_plugin_sends_them(plugin: str, tmp_path: Path) -> None:
    sent = _asked(tmp_path, plugin, [("X-Request-Id", "from-nginx.7"), ("traceparent", TRACE)])
    assert (sent["x-request-id"], sent["traceparent"]) == ("from-nginx.7", TRACE)


def test_an_id_that_is_not_valid_is_replaced_as_in_the_answer(tmp_path: Path) -> None:
    sent = _asked(tmp_path, "openai", [("X-Request-Id", "a b; c")])
    assert sent["x-request-id"] == sent["answered"] != "a b; c"
    assert sent["x-request-id"] == str(uuid.UUID(sent["x-request-id"])), "llama-cpp-python's server refuses others"
    assert "traceparent" not in sent


@pytest.mark.parametrize(
    "trace",
    [
        TRACE.upper(),
        TRACE[:-1],
        TRACE + "0",
        "01" + TRACE[2:],
        "ff" + TRACE[2:],
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01",
        TRACE + ", " + TRACE,
        "x" * 4000,
    ],
)
def test_a_traceparent_that_is_not_valid_is_left_out(trace: str, tmp_path: Path) -> None:
    sent = _asked(tmp_path, "ollama", [("traceparent", trace)])
    assert "traceparent" not in sent


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        (["a=1"], "a=1"),
        (["tenant@vendor=x y, other=2"], "tenant@vendor=x y, other=2"),
        (["a=1", "b=2"], "a=1,b=2"),
        (["a=1,"], None),
        (["A=1"], None),
        (["a"], None),
        (["a=1=2"], None),
        (["a=" + "x" * 600], None),
        ([""], None),
    ],
    ids=str,
)
def test_a_valid_tracestate_goes_with_its_traceparent(given: list[str], passed: str | None, tmp_path: Path) -> None:
    headers = [("traceparent", TRACE), *(("tracestate", each) for each in given)]
    sent = _asked(tmp_path, "ollama", headers)
    assert (sent["traceparent"], sent.get("tracestate")) == (TRACE, passed)


def test_two_traceparents_are_none(tmp_path: Path) -> None:
    assert "traceparent" not in _asked(tmp_path, "ollama", [("traceparent", TRACE), ("traceparent", TRACE)])


def test_no_other_header_of_a_client_goes_on(tmp_path: Path) -> None:
    given = [("tracestate", "a=1"), ("baggage", "user=alice"), ("cookie", "c=1"), ("authorization", "Bearer client")]
    sent = _asked(tmp_path, "openai", given)
    assert not {"tracestate", "baggage", "cookie"} & sent.keys()
    assert sent["authorization"] == "Bearer sk-0123456789"


def test_an_id_of_ours_is_a_random_uuid() -> None:
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert {(str(uuid.UUID(each)) == each, uuid.UUID(each).version, uuid.UUID(each).variant) for each in ids} == {
        (True, 4, uuid.RFC_4122)
    }
