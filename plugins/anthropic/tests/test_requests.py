"""What is sent, and to whom: settings, variables, keys, the API's version, options, and how an answer is given up."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aura_anthropic
import httpx
import pytest
from aura_anthropic.conformance import EVENTS, STOP, block, delta, end, start
from aura_anthropic.settings import AnthropicSettings

from aura_core import ChatRequest, Message, ProviderError, Token
from aura_core.testing import AuraServer, Reply, Upstream

KEY = "sk-ant-api03-AbCdEfGh1234567890-wxyz"
HELLO = EVENTS.body(start(), block(), delta("Hi"))
OK = Reply([HELLO, EVENTS.body(end("end_turn"), STOP)])
REQUEST = ChatRequest([Message("user", "Hello")], "tiny")
SDK_VERSION = "2026-10-21"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(OK) as upstream:
        yield upstream


def serve(folder: Path, table: str, front: str = "", plugin: str = "", prompt: str = "") -> AuraServer:
    """Aura with one agent, and a table for `anthropic`, or for `local` where another plugin line is given."""
    name = "local" if plugin else "anthropic"
    agent = f"---\nprovider: {name}\nmodel: tiny\n{front}\n---\n{prompt}"
    return AuraServer(folder, {"it.md": agent}, f"[server]\nretries = 0\n[providers.{name}]\n{plugin}\n{table}\n")


CASES = {
    # An agent's front matter, the settings, and the fields that must be in its request.
    "max_tokens: 7": ("", {"max_tokens": 7}),
    "options: {max_tokens: 8}": ("", {"max_tokens": 8}),
    "max_tokens: 7\noptions: {max_tokens: 8}": ("", {"max_tokens": 7}),
    "options: {thinking: 2048}": (
        "max_tokens = 100",
        {"max_tokens": 2148, "thinking": {"type": "enabled", "budget_tokens": 2048}},
    ),
    "options: {thinking: {budget_tokens: 2048}}": (
        "max_tokens = 100",
        {"max_tokens": 2148, "thinking": {"type": "enabled", "budget_tokens": 2048}},
    ),
    "max_tokens: 3000\noptions: {thinking: 2048}": ("max_tokens = 100", {"max_tokens": 3000}),
    "options: {thinking: true}": ("max_tokens = 100", {"max_tokens": 100, "thinking": {"type": "adaptive"}}),
    "options: {thinking: false}": ("", {"thinking": {"type": "disabled"}}),
    "options: {thinking: {type: adaptive, display: summarized}}": (
        "",
        {"thinking": {"type": "adaptive", "display": "summarized"}},
    ),
    "options: {effort: high}": ("", {"output_config": {"effort": "high"}}),
    "options: {effort: high, output_config: {format: {type: text}}}": (
        "",
        {"output_config": {"format": {"type": "text"}, "effort": "high"}},
    ),
    'options: {stop_sequences: ["###"], service_tier: standard_only}': (
        "",
        {"stop_sequences": ["###"], "service_tier": "standard_only"},
    ),
    "options: {metadata: {user_id: u1}, inference_geo: eu}": (
        "",
        {"metadata": {"user_id": "u1"}, "inference_geo": "eu"},
    ),
    "options: {cache_system: true}": (
        "",
        {"system": [{"type": "text", "text": "Be terse.", "cache_control": {"type": "ephemeral"}}]},
    ),
    "options: {cache_system: 1h}": (
        "",
        {"system": [{"type": "text", "text": "Be terse.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
    ),
    "options: {betas: [context-1m-2025-08-07, fast]}": ("", {"anthropic-beta": "context-1m-2025-08-07,fast"}),
    # Version 2026-10-21 refuses temperature, top_p and top_k, whatever their value:
    # https://platform.claude.com/docs/en/api/versioning
    "options: {effort: low, top_p: null}": ("", {"anthropic-version": SDK_VERSION, "top_p": None}),
    "temperature: 0": ("", {"anthropic-version": "2023-06-01", "temperature": 0}),
    "options: {temperature: 0.5}": ("", {"anthropic-version": "2023-06-01", "temperature": 0.5}),
    "temperature: 0.25\noptions: {temperature: 0.5}": ("", {"temperature": 0.25}),
    "options: {top_p: 0.5}": ("", {"anthropic-version": "2023-06-01", "top_p": 0.5}),
    "options: {top_k: 5}": ("", {"anthropic-version": "2023-06-01", "top_k": 5}),
    "temperature: 1": (f'api_version = "{SDK_VERSION}"', {"anthropic-version": SDK_VERSION, "temperature": 1}),
    "tags: [x]": ('api_version = "2023-06-01"', {"anthropic-version": "2023-06-01"}),
}
WRONG = {
    "top_p: 2": "top_p",
    "temperature: 1.5": "temperature",
    "top_k: -1": "top_k",
    "thinking: 512": "thinking",
    "thinking: {type: enabled}": "budget_tokens",
    "thinking: {type: adaptive, budget_tokens: 2048}": "budget_tokens",
    "thinking: {type: sometimes}": "thinking",
    "thinking: often": "thinking",
    "effort: enormous": "effort",
    "effort: low, output_config: {effort: high}": "effort",
    "stop_sequences: [1]": "stop_sequences",
    "service_tier: gold": "service_tier",
    "cache_system: 2h": "cache_system",
    'betas: ["a, b"]': "betas",
    "max_tokens: 0": "max_tokens",
    "model: 2": "'model' cannot be set here",
    "messages: 2": "'messages' cannot be set here",
    "system: 2": "'system' cannot be set here",
    "stream: 2": "'stream' cannot be set here",
}


@pytest.fixture(scope="module")
def all_cases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Upstream, AuraServer]]:
    """One server with an agent for each case."""
    agents, toml = {}, "[server]\nretries = 0\n"
    with Upstream(OK) as upstream:
        for number, (front, (table, _)) in enumerate(CASES.items()):
            agents[f"case{number}.md"] = f"---\nprovider: p{number}\nmodel: tiny\n{front}\n---\nBe terse.\n"
            toml += f'[providers.p{number}]\nplugin = "anthropic"\nbase_url = "{upstream.url}"\n{table}\n'
        for number, option in enumerate(WRONG):
            agents[f"wrong{number}.md"] = f"---\nprovider: p0\nmodel: tiny\noptions: {{{option}}}\n---\n"
        with AuraServer(tmp_path_factory.mktemp("aura"), agents, toml) as aura:
            yield upstream, aura


@pytest.mark.parametrize("front", CASES)
def test_an_agents_parameters_are_in_its_request(front: str, all_cases: tuple[Upstream, AuraServer]) -> None:
    upstream, aura = all_cases
    assert aura.ask(f"case{list(CASES).index(front)}")[-1].name == "done"
    request = upstream.requests[-1]
    body = request.json()
    found = request.headers | body
    assert {name: found.get(name) for name in CASES[front][1]} == CASES[front][1]
    assert not {"effort", "cache_system", "betas"} & body.keys()
    assert None not in body.values()


@pytest.mark.parametrize("option", WRONG)
def test_a_wrong_option_is_told(option: str, all_cases: tuple[Upstream, AuraServer]) -> None:
    response = all_cases[1].post(f"wrong{list(WRONG).index(option)}")
    assert response.json()["code"] == "agent_invalid"
    assert WRONG[option] in response.json()["detail"]


def test_only_what_is_set_and_what_the_protocol_demands_is_sent(tmp_path: Path, upstream: Upstream) -> None:
    with serve(tmp_path, f'base_url = "{upstream.url}/"', prompt="You are terse.") as aura:
        assert aura.ask("it")[-1].name == "done"
    (request,) = upstream.requests
    assert request.path == "/v1/messages"
    assert request.json() == {
        "model": "tiny",
        "system": "You are terse.",
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 16384,
        "stream": True,
    }
    assert request.headers["anthropic-version"] == SDK_VERSION
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["content-type"] == "application/json"
    assert "text/event-stream" in request.headers["accept"]
    assert not {"authorization", "x-api-key", "cookie", "anthropic-beta"} & request.headers.keys()


def test_the_instance_of_the_plugins_name_has_the_vendors_variables(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in ("", "/v1/"):  # clients differ in whether /v1 belongs to the address
        monkeypatch.setenv("ANTHROPIC_API_KEY", f" {KEY}\n")
        monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "a-token-that-is-not-used")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", f"{upstream.url}{path}")
        with serve(tmp_path, "") as aura:
            assert aura.ask("it")[-1].name == "done"
        assert upstream.requests[-1].path == "/v1/messages"
        assert upstream.requests[-1].headers["authorization"] == f"Bearer {KEY}"


def test_a_gateways_token_is_used_where_there_is_no_key(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "token-of-the-gateway")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", upstream.url)
    with serve(tmp_path, 'api_key_header = "x-api-key"') as aura:
        assert aura.ask("it")[-1].name == "done"
        assert upstream.requests[-1].headers["authorization"] == "Bearer token-of-the-gateway"
        upstream.queue(Reply([b'{"type":"error","error":{"type":"authentication_error","message":"no"}}'], 401))
        assert "ANTHROPIC_AUTH_TOKEN" in aura.ask("it")[-1].data["message"]


def test_a_key_is_sent_as_x_api_key_where_that_is_set(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    table = f'base_url = "{upstream.url}"\napi_key_env = "MY_KEY"\napi_key_header = "x-api-key"'
    with serve(tmp_path, table, plugin='plugin = "anthropic"') as aura:
        assert aura.ask("it")[-1].name == "done"
    assert upstream.requests[0].headers["x-api-key"] == KEY
    assert "authorization" not in upstream.requests[0].headers


def test_nothing_that_the_sdk_would_find_by_itself_is_used(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Upstream(OK) as foreign:
        (tmp_path / ".netrc").write_text(f"machine 127.0.0.1 login me password {KEY}\n")
        (tmp_path / ".netrc").chmod(0o600)
        profiles = tmp_path / "anthropic" / "configs"
        profiles.mkdir(parents=True)
        (profiles / "default.json").write_text(f'{{"api_key": "{KEY}", "base_url": "{foreign.url}"}}')
        variables = {
            "ANTHROPIC_API_KEY": KEY,
            "ANTHROPIC_AUTH_TOKEN": KEY,
            "ANTHROPIC_BASE_URL": foreign.url,
            "ANTHROPIC_CUSTOM_HEADERS": f"Authorization: Bearer {KEY}\nx-custom: {KEY}",
            "ANTHROPIC_PROFILE": "default",
            "ANTHROPIC_CONFIG_DIR": str(tmp_path / "anthropic"),
            "ANTHROPIC_IDENTITY_TOKEN": KEY,
            "ANTHROPIC_FEDERATION_RULE_ID": KEY,
            "ANTHROPIC_ORGANIZATION_ID": KEY,
            "ANTHROPIC_OPEN_TELEMETRY_TRACES_CONTENT_MODE": "content",
            "OTEL_PYTHON_TRACER_PROVIDER": "sdk_tracer_provider",
            "HTTP_PROXY": foreign.url,
            "http_proxy": foreign.url,
            "ALL_PROXY": foreign.url,
            "HOME": str(tmp_path),
            "NETRC": str(tmp_path / ".netrc"),
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with serve(tmp_path, f'base_url = "{upstream.url}"', plugin='plugin = "anthropic"') as aura:
            assert aura.ask("it")[-1].name == "done"
        assert foreign.connections == 0
    assert KEY not in str(upstream.requests)
    assert not {"authorization", "x-api-key", "x-custom", "traceparent"} & upstream.requests[0].headers.keys()


@pytest.mark.parametrize(
    ("table", "plugin", "key", "words"),
    [
        ("", "", None, "ANTHROPIC_API_KEY holds no API key"),
        ("", "", "  ", "ANTHROPIC_API_KEY holds no API key"),
        ("", "", "sk-ä", "holds characters"),
        ('base_url = "https://api.anthropic.com"', 'plugin = "anthropic"', KEY, "api_key_env"),
        ('base_url = "http://127.0.0.1:1"\napi_key_env = "MY_KEY"', 'plugin = "anthropic"', KEY, "MY_KEY holds no"),
        ('base_url = "http://127.0.0.1:1"\nauth_token_env = "MY_T"', 'plugin = "anthropic"', KEY, "MY_T holds no"),
    ],
)
def test_a_missing_key_is_told_before_anything_is_sent(
    table: str, plugin: str, key: str | None, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    if key is not None:
        monkeypatch.setenv("ANTHROPIC_API_KEY", key)
    with serve(tmp_path, table, plugin=plugin) as aura:
        (event,) = aura.ask("it")
    assert event.data["code"] == "auth"
    assert words in event.data["message"]
    assert "sk-" not in event.data["message"]


WRONG_SETTINGS = {
    'base_url = "localhost:1234"': "http://",
    'base_url = "http://me:secret@host"': "no user",
    'base_url = "http://host/v1/messages"': "leave out",
    'api_version = "latest"': "api_version",
    'api_key_header = "basic"': "api_key_header",
    "max_tokens = 0": "max_tokens",
    "connect_timeout = 0": "connect_timeout",
    'api_key = "sk-secret"': "api_key_env",
    "": "base_url",  # another instance names its own address
}


def test_a_wrong_setting_is_told_without_its_secret(tmp_path: Path) -> None:
    agents, toml = {}, ""
    for number, table in enumerate(WRONG_SETTINGS):
        address = "" if not table or table.startswith("base_url") else 'base_url = "http://127.0.0.1:1"'
        toml += f'[providers.p{number}]\nplugin = "anthropic"\n{address}\n{table}\n'
        agents[f"a{number}.md"] = f"---\nprovider: p{number}\nmodel: m\n---\n"
    with AuraServer(tmp_path, agents, toml) as aura:
        for number, words in enumerate(WRONG_SETTINGS.values()):
            response = aura.post(f"a{number}")
            assert response.json()["code"] == "provider_misconfigured"
            assert words in response.json()["detail"]
            assert "secret" not in response.text


def test_anthropics_own_servers_are_known_by_their_host() -> None:
    for url, official in {
        "https://api.anthropic.com": True,
        "https://api.anthropic.com/v1": True,
        "https://anthropic.com.example": False,
        "https://my-anthropic.com": False,
    }.items():
        assert AnthropicSettings(base_url=url).official() is official


@pytest.mark.parametrize("name", ["model", "messages", "system", "stream"])
def test_options_never_replace_what_is_auras_even_unchecked(name: str, upstream: Upstream) -> None:
    async def ask() -> None:
        settings = AnthropicSettings(base_url=upstream.url)
        request = ChatRequest(REQUEST.messages, "tiny", options={name: 2})
        async with aura_anthropic.open_client(settings) as client:
            _ = [token async for token in aura_anthropic.stream_chat(request, settings, client)]

    asyncio.run(ask())
    assert upstream.requests[-1].json().get(name) != 2


@pytest.mark.parametrize("parts", [[], [HELLO]], ids=["before-the-first-token", "after-it"])
def test_hanging_up_closes_the_upstream_at_once(parts: list[bytes], tmp_path: Path, upstream: Upstream) -> None:
    upstream.default = Reply(parts, ending="stall", head_delay=0 if parts else 30)
    with serve(tmp_path, f'base_url = "{upstream.url}"') as aura:
        url = f"{aura.url}/api/agents/it/chat/stream"
        with httpx.stream("POST", url, json={"prompt": "x"}, trust_env=False, timeout=30) as response:
            lines = response.iter_lines()
            while parts and '"Hi"' not in next(lines):
                pass
            upstream.wait_requests()
        upstream.wait_hangup(timeout=30)


def test_models_health_and_the_default_model(upstream: Upstream) -> None:
    settings = AnthropicSettings(base_url=upstream.url, default_model="b")
    listing = (
        b'{"data":[{"type":"model","id":"b","display_name":"B 1","max_input_tokens":200000,"max_tokens":64000},'
        b'{"type":"model","id":"a","display_name":null,"lifecycle":"active"},'
        b'{"type":"model","id":"old","display_name":"Old","lifecycle":"retired"}],"has_more":false}'
    )

    async def ask() -> list[tuple[Any, ...]]:
        async with aura_anthropic.open_client(settings) as client:
            await aura_anthropic.check_health(client)
            listed = await aura_anthropic.list_models(client)
            return [(model.name, model.description, model.context, model.max_output) for model in listed]

    async def check() -> None:
        async with aura_anthropic.open_client(settings) as client:
            await aura_anthropic.check_health(client)

    upstream.on("/v1/models", Reply([listing]))
    assert asyncio.run(ask()) == [("a", "", None, None), ("b", "B 1", 200000, 64000)]
    assert asyncio.run(aura_anthropic.default_model(settings)) == "b"
    assert asyncio.run(aura_anthropic.default_model(AnthropicSettings(base_url=upstream.url))) is None
    for reply, code in (
        (Reply([b"<html>"]), "bad_response"),
        (Reply([b'{"data":{}}']), "bad_response"),
        (Reply([b"[" * 100_000]), "bad_response"),
        (Reply([b""], 401), "auth"),
        (Reply([b""], 404), "bad_request"),
        (Reply([b"x"], ending="cut"), "unavailable"),
    ):
        upstream.on("/v1/models", reply)
        with pytest.raises(ProviderError) as caught:
            asyncio.run(ask())
        assert caught.value.code == code
    upstream.on("/v1/models", Reply([b"404 page not found"], 404))
    asyncio.run(check())  # a compatible server need not list its models


def test_the_log_says_why_an_answer_ended(upstream: Upstream) -> None:
    settings = AnthropicSettings(base_url=upstream.url)

    async def ask() -> list[Token]:
        async with aura_anthropic.open_client(settings) as client:
            return [token async for token in aura_anthropic.stream_chat(REQUEST, settings, client)]

    details = {"type": "refusal", "category": "cyber", "explanation": "No malware."}
    for last, finish, detail in (
        (end("refusal", details), "content_filter", "refusal: cyber: No malware."),
        (end("pause_turn"), "stop", "pause_turn"),
        (end("END_TURN"), "stop", ""),
        (end("a_new_word"), "a_new_word", "a_new_word"),
    ):
        upstream.queue(Reply([EVENTS.body(start(), last, STOP)], headers={"request-id": "req_7"}))
        tokens = asyncio.run(ask())
        assert [(token.finish_reason, token.detail) for token in tokens if token.finish_reason] == [(finish, detail)]
        assert [token.upstream_id for token in tokens if token.upstream_id] == ["req_7"]


def test_importing_the_plugin_imports_no_sdk() -> None:
    code = (
        "import sys, aura_anthropic; heavy = {'anthropic', 'httpx2', 'httpx', 'aiohttp', 'httpx_aiohttp', 'pydantic'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_no_key_is_in_a_log(tmp_path: Path, upstream: Upstream) -> None:
    said = b'{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key: %b"}}' % KEY.encode()
    upstream.default = Reply([said], 401)
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "it.md").write_text("---\nprovider: anthropic\nmodel: m\n---\n")
    (tmp_path / "aura.toml").write_text(f'[providers.anthropic]\nbase_url = "{upstream.url}"\n')
    environ = os.environ | {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_LOG": "debug", "AURA_TRUST": str(tmp_path)}
    # Imported first: on a busy machine the import alone takes longer than a client may take to open.
    command = [sys.executable, "-c", "import anthropic; from aura_core.cli import main; main()", "chat", "it", "Hello"]
    result = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120)
    seen = result.stdout + result.stderr
    assert "ANTHROPIC_API_KEY" in seen
    assert KEY not in seen
    assert KEY[-4:] not in seen
