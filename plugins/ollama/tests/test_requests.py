"""What is sent, and to whom: addresses, keys, and what a server that is none of Ollama's is called."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import aura_ollama
import pytest
from aura_ollama.settings import OllamaSettings

from aura_core import ChatRequest, Message, ProviderError, Token
from aura_core.testing import AuraServer, Reply, Upstream

KEY = "ollama-4f9c2e7b81d05a63"
AGENT = "---\nprovider: local\nmodel: tiny\n---\n"


def serve(folder: Path, upstream: Upstream) -> AuraServer:
    toml = f'[server]\nretries = 0\n[providers.local]\nplugin = "ollama"\nbase_url = "{upstream.url}"\n'
    return AuraServer(folder, {"it.md": AGENT}, toml + 'api_key_env = "MY_KEY"\n')


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("gpu.example", "http://gpu.example:11434"),
        ("gpu.example:80/ollama/", "http://gpu.example:80/ollama"),
        ("http://gpu.example", "http://gpu.example"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("ollama.com", "https://ollama.com:443"),
        (" Ollama.com/ ", "https://ollama.com:443"),
        ("ollama.com:443", "https://ollama.com:443"),
        ("https://ollama.com", "https://ollama.com"),
        ("ollama.com.example", "http://ollama.com.example:11434"),
        ("::1", "http://[::1]:11434"),
        ("::", "http://[::1]:11434"),
        ("[::1]", "http://[::1]:11434"),
        ("[::1]:80", "http://[::1]:80"),
        ("2001:db8::7/ollama", "http://[2001:db8::7]:11434/ollama"),
    ],
)
def test_an_address_means_what_it_means_for_ollama_itself(text: str, url: str) -> None:
    assert OllamaSettings(base_url=text).url() == url


@pytest.mark.parametrize("text", ["gpu:port", "ftp://gpu", "http://me:pw@gpu", "http://gpu?key=1", "::1::2"])
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        OllamaSettings(base_url=text)


@pytest.mark.parametrize("key", ["abc\ndef-4f9c2e7b", "ab\u00e4-4f9c2e7b"])
def test_a_key_that_no_header_can_carry_is_told_before_anything_is_sent(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", key)
    with Upstream() as upstream, serve(tmp_path, upstream) as aura:
        (event,) = aura.ask("it")
    assert event.data["code"] == "auth"
    assert "MY_KEY" in event.data["message"]
    assert "4f9c2e" not in event.data["message"]
    assert upstream.connections == 0


@pytest.mark.parametrize("said", ["the key {} is wrong", "key={}", "sign in at https://x.example/?key={}", "({})"])
@pytest.mark.parametrize("form", [KEY, KEY[:-8] + "*****", "***" + KEY[-8:]], ids=["whole", "begin", "end"])
@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_no_part_of_a_key_is_passed_on(
    status: int, form: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    body = b'{"error":"It failed: %b"}\n' % said.format(form).encode()
    with Upstream(Reply([body], status)) as upstream, serve(tmp_path, upstream) as aura:
        (event,) = aura.ask("it")
    assert status == 401 or "It failed" in event.data["message"]
    assert not any(piece in event.data["message"] for piece in ("4f9c2e", "d05a63", "x.example"))


def test_an_error_whose_body_stalls_still_has_its_status_and_what_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aura_core.streams.body.ERROR_BODY_TIME", 1)
    whole = b'{"error":"model \'tiny\' not found"}'
    with Upstream() as upstream, serve(tmp_path, upstream) as aura:
        upstream.queue(Reply([b'{"error"'], 503, ending="stall"), Reply([whole], 404, ending="stall"))
        assert [aura.ask("it")[0].data["code"] for _ in range(2)] == ["unavailable", "model_not_found"]


@pytest.mark.parametrize("body", [b"<html>nginx</html>", b'{"error":"Unexpected endpoint"}', b"[]", b'{"version":1}'])
def test_a_server_that_is_none_of_ollamas_is_not_healthy(body: bytes) -> None:
    async def ask(url: str) -> None:
        async with aura_ollama.open_client(OllamaSettings(base_url=url)) as client:
            await aura_ollama.check_health(client)

    with Upstream(Reply([body])) as upstream:
        with pytest.raises(ProviderError) as caught:
            asyncio.run(ask(upstream.url))
        assert caught.value.code == "bad_response"
        upstream.default = Reply([b'{"version":"0.33.0"}'])
        asyncio.run(ask(upstream.url))


def test_a_long_error_holds_nobody_up(tmp_path: Path) -> None:
    """A careless expression took minutes for it, and with it every other stream."""
    with Upstream() as upstream, serve(tmp_path, upstream) as aura:
        upstream.queue(Reply([json.dumps({"error": "://" * 200_000}).encode() + b"\n"]))
        began = time.monotonic()
        assert aura.ask("it")[0].data["code"] == "llm_error"
        assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b"404 page not found"),
        (404, b"<html><center>nginx</center></html>"),
        (404, b'{"detail":"Not Found"}'),  # FastAPI: vLLM, LiteLLM, llama-cpp-python
        (405, b'{"detail":"Method Not Allowed"}'),
        (404, b'{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}'),  # llama.cpp
        (404, b'{"error":{"message":"Invalid URL (POST /api/chat)","type":"invalid_request_error","code":null}}'),
        (200, b'{"error":"Unexpected endpoint or method. (POST /api/chat)"}'),  # LM Studio
        (200, b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'),
    ],
)
def test_a_server_of_another_protocol_is_told_with_the_plugin_for_it(status: int, body: bytes, tmp_path: Path) -> None:
    with Upstream(Reply([body], status)) as upstream, serve(tmp_path, upstream) as aura:
        (event,) = aura.ask("it")
    assert event.data["code"] in ("bad_request", "bad_response")
    assert 'plugin = "openai"' in event.data["message"], event.data["message"]


@pytest.mark.parametrize(
    ("characters", "counted", "cut"),
    [
        (60_000, 4096, True),
        (60_000, 12_000, False),  # five characters a token: prose
        (60_000, 0, False),  # it knew the prompt
        (7_000, 10, False),  # short enough for any context
    ],
)
def test_a_prompt_that_ollama_cut_is_a_warning_in_the_log_and_in_doctor(
    characters: int, counted: int, cut: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    done = b'{"message":{"content":"Hi"},"done":true,"done_reason":"stop","prompt_eval_count":%d,"eval_count":1}\n'
    request = ChatRequest([Message("user", "a" * characters)], "tiny")

    async def advise(url: str) -> list[str]:
        async with aura_ollama.open_client(OllamaSettings(base_url=url)) as client:
            return await aura_ollama.check_request(request, client)

    with Upstream(Reply([done % counted])) as upstream:
        with serve(tmp_path, upstream) as aura:
            assert aura.ask("it", "a" * characters)[-1].name == "done"
        logged = [record.getMessage() for record in caplog.records if record.name == "aura.ollama"]
        advice = asyncio.run(advise(upstream.url))
    if not cut:
        assert logged == advice == []
        return
    assert "'tiny'" in logged[0]
    for text in (logged[0], *advice):
        assert "60,000 characters were sent, and it read 4,096 tokens; raise num_ctx" in text
    assert len(advice) == 1
    assert upstream.requests[-1].json()["options"] == {"num_predict": 1}


def test_the_servers_id_of_the_request_is_told_before_the_text() -> None:
    """Ollama itself gives none; a gateway in front of it does."""
    body = b'{"message":{"content":"Hi"},"done":true,"done_reason":"stop"}\n'

    async def tokens(url: str) -> list[Token]:
        async with aura_ollama.open_client(OllamaSettings(base_url=url)) as client:
            request = ChatRequest([Message("user", "Hello")], "m")
            return [token async for token in aura_ollama.stream_chat(request, client)]

    with Upstream(Reply([body], headers={"x-request-id": "req_7"})) as upstream:
        assert asyncio.run(tokens(upstream.url))[0] == Token(upstream_id="req_7")
        upstream.default = Reply([body])
        assert asyncio.run(tokens(upstream.url))[0].content == "Hi"


def test_choosing_a_model_asks_for_no_context(upstream_tags: Upstream) -> None:
    async def asked(url: str) -> str | None:
        async with aura_ollama.open_client(OllamaSettings(base_url=url)) as client:
            return await aura_ollama.default_model(client)

    assert asyncio.run(asked(upstream_tags.url)) == "big:latest"
    assert [request.path for request in upstream_tags.requests] == ["/api/tags"]


@pytest.fixture
def upstream_tags() -> Iterator[Upstream]:
    with Upstream() as upstream:
        upstream.on("/api/tags", Reply([b'{"models": [{"name": "big:latest"}, {"name": "small:1b"}]}']))
        yield upstream
