"""What is sent, and to whom: settings, variables, keys, options, and how an answer is given up."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aura_openai
import httpx
import pytest
from aura_openai.settings import OpenAISettings

from aura_core import ChatRequest, Message, ProviderError, Token
from aura_core.testing import AuraServer, Reply, Upstream

KEY = "sk-proj-AbCdEfGh1234567890-wxyz"
HELLO = b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n'
OK = Reply([HELLO, b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'])
REQUEST = ChatRequest([Message("user", "Hello")], "tiny")


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(OK) as upstream:
        yield upstream


def serve(folder: Path, table: str, front: str = "", plugin: str = "") -> AuraServer:
    """Aura with one agent, and a table for `openai`, or for `local` where another plugin line is given."""
    name = "local" if plugin else "openai"
    agent = f"---\nprovider: {name}\nmodel: tiny\n{front}\n---\n"
    return AuraServer(folder, {"it.md": agent}, f"[server]\nretries = 0\n[providers.{name}]\n{plugin}\n{table}\n")


def body_of(upstream: Upstream) -> Any:
    return upstream.requests[-1].json()


def test_only_what_is_set_is_sent(tmp_path: Path, upstream: Upstream) -> None:
    with serve(tmp_path, f'base_url = "{upstream.url}/v1/"') as aura:
        assert aura.ask("it")[-1].name == "done"
    (request,) = upstream.requests
    assert request.path == "/v1/chat/completions"
    assert request.json() == {
        "model": "tiny",
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["content-type"] == "application/json"
    assert "authorization" not in request.headers
    assert not [name for name in request.headers if name.startswith(("openai-", "cookie"))]


def test_the_instance_of_the_plugins_name_has_the_vendors_variables(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {
        "OPENAI_API_KEY": f" {KEY}\n",
        "OPENAI_BASE_URL": f"{upstream.url}/v1",
        "OPENAI_ORG_ID": "org-1",
        "OPENAI_PROJECT_ID": "proj_1",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with serve(tmp_path, "") as aura:
        assert aura.ask("it")[-1].name == "done"
    headers = upstream.requests[0].headers
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["openai-organization"] == "org-1"
    assert headers["openai-project"] == "proj_1"


def test_another_instance_has_none_of_them(tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    with Upstream(OK) as foreign:
        (tmp_path / ".netrc").write_text(f"machine 127.0.0.1 login me password {KEY}\n")
        (tmp_path / ".netrc").chmod(0o600)
        variables = {
            "OPENAI_API_KEY": KEY,
            "OPENAI_ADMIN_KEY": KEY,
            "OPENAI_BASE_URL": foreign.url,
            "OPENAI_ORG_ID": "org-1",
            "OPENAI_PROJECT_ID": "proj_1",
            "OPENAI_CUSTOM_HEADERS": f"Authorization: Bearer {KEY}\nx-custom: {KEY}",
            "HTTP_PROXY": foreign.url,
            "http_proxy": foreign.url,
            "ALL_PROXY": foreign.url,
            "HOME": str(tmp_path),
            "NETRC": str(tmp_path / ".netrc"),
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with serve(tmp_path, f'base_url = "{upstream.url}/v1"', plugin='plugin = "openai"') as aura:
            assert aura.ask("it")[-1].name == "done"
        assert foreign.connections == 0
    assert KEY not in str(upstream.requests)
    assert "org-1" not in str(upstream.requests)
    assert "authorization" not in upstream.requests[0].headers


def test_each_instance_sends_its_own_key_to_its_own_host(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ONE", "TWO"):
        monkeypatch.setenv(f"{name}_KEY", f"key-of-{name}-123456")
    with Upstream(OK) as other:
        toml = ""
        for name, server in (("one", upstream), ("two", other)):
            toml += f'[providers.{name}]\nplugin = "openai"\nbase_url = "{server.url}"\n'
            toml += f'api_key_env = "{name.upper()}_KEY"\n'
        agents = {f"{name}.md": f"---\nprovider: {name}\nmodel: m\n---\n" for name in ("one", "two")}
        with AuraServer(tmp_path, agents, toml) as aura:
            assert aura.ask("one")[-1].name == aura.ask("two")[-1].name == "done"
        assert other.requests[0].headers["authorization"] == "Bearer key-of-TWO-123456"
    assert upstream.requests[0].headers["authorization"] == "Bearer key-of-ONE-123456"


@pytest.mark.parametrize(
    ("table", "plugin", "key", "words"),
    [
        ("", "", None, "OPENAI_API_KEY holds no API key"),
        ("", "", "  ", "OPENAI_API_KEY holds no API key"),
        ("", "", "sk-ä", "holds characters"),
        ("", "", "sk-1\n2", "holds characters"),
        ('base_url = "https://api.openai.com/v1"', 'plugin = "openai"', KEY, "api_key_env"),
        (
            'base_url = "http://127.0.0.1:1"\napi_key_env = "MY_KEY"',
            'plugin = "openai"',
            KEY,
            "MY_KEY holds no API key",
        ),
    ],
)
def test_a_missing_key_is_told_before_anything_is_sent(
    table: str, plugin: str, key: str | None, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if key is not None:
        monkeypatch.setenv("OPENAI_API_KEY", key)
    with serve(tmp_path, table, plugin=plugin) as aura:
        (event,) = aura.ask("it")
    assert event.data["code"] == "auth"
    assert words in event.data["message"]
    assert "sk-" not in event.data["message"]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('base_url = "localhost:1234"', "http://"),
        ('base_url = "http://"', "http://"),
        ('base_url = "http://me:secret@host/v1"', "no user"),
        ('base_url = "http://host/v1?key=secret"', "query"),
        ('base_url = "http://host:port/v1"', "not an address"),
        ('base_url = "http://host/v1/chat/completions"', "leave out"),
        ('base_url = "http://ho st/v1"', "spaces"),
        ('organization = "ä"', "organization"),
        ('max_tokens_parameter = "none"', "max_tokens_parameter"),
        ("connect_timeout = 0", "connect_timeout"),
        ('api_key = "sk-secret"', "api_key_env"),
    ],
)
def test_a_wrong_setting_is_told_without_its_secret(table: str, words: str, tmp_path: Path) -> None:
    with serve(tmp_path, table) as aura:
        response = aura.post("it")
    assert response.json()["code"] == "provider_misconfigured"
    assert words in response.json()["detail"]
    assert "secret" not in response.text


def test_another_instance_names_its_own_address(tmp_path: Path) -> None:
    with serve(tmp_path, "", plugin='plugin = "openai"') as aura:
        response = aura.post("it")
    assert response.json()["code"] == "provider_misconfigured"
    assert "base_url" in response.json()["detail"]


@pytest.mark.parametrize(
    ("model", "setting", "name"),
    [
        ("gpt-4o", "auto", "max_tokens"),
        ("gpt-oss:20b", "auto", "max_tokens"),
        ("qwen3-o1-style", "auto", "max_tokens"),
        ("gpt-5-mini", "auto", "max_completion_tokens"),
        ("openai/o4-mini", "auto", "max_completion_tokens"),
        ("o3", "auto", "max_completion_tokens"),
        ("o3", "max_tokens", "max_tokens"),
        ("tiny", "max_completion_tokens", "max_completion_tokens"),
    ],
)
def test_max_tokens_has_the_name_that_the_model_wants(
    model: str, setting: str, name: str, tmp_path: Path, upstream: Upstream
) -> None:
    front = "max_tokens: 7\ntemperature: 0.25\noptions: {max_tokens: 1, max_completion_tokens: 2}"
    agent = f"---\nprovider: openai\nmodel: {model}\n{front}\n---\n"
    toml = f'[providers.openai]\nbase_url = "{upstream.url}"\nmax_tokens_parameter = "{setting}"\n'
    with AuraServer(tmp_path, {"it.md": agent}, toml) as aura:
        aura.ask("it")
    body = body_of(upstream)
    assert {key: value for key, value in body.items() if key.startswith("max")} == {name: 7}
    assert body["temperature"] == 0.25


def test_openais_own_servers_know_the_new_name_for_every_model() -> None:
    from aura_openai.wire import limit_parameter

    for url, official in {
        " https://api.openai.com ": True,
        "https://api.openai.com/v1": True,
        "https://eu.api.openai.com/v1": True,
        "https://openai.com.example/v1": False,
        "https://my-openai.com/v1": False,
    }.items():
        assert OpenAISettings(base_url=url).official() is official
    assert limit_parameter("auto", True, "gpt-4o") == "max_completion_tokens"


def test_usage_need_not_be_asked_for(tmp_path: Path, upstream: Upstream) -> None:
    with serve(tmp_path, f'base_url = "{upstream.url}"\ninclude_usage = false') as aura:
        aura.ask("it")
    assert "stream_options" not in body_of(upstream)


def test_options_add_parameters(tmp_path: Path, upstream: Upstream) -> None:
    front = "options: {top_p: 0.5, seed: 1, stop: [a], chat_template_kwargs: {enable_thinking: false}, user: null}"
    with serve(tmp_path, f'base_url = "{upstream.url}"', front) as aura:
        aura.ask("it")
    body = body_of(upstream)
    assert body["top_p"] == 0.5
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert "user" not in body


@pytest.mark.parametrize("name", ["model", "messages", "stream", "stream_options", "n"])
def test_options_never_replace_what_is_auras(name: str, tmp_path: Path, upstream: Upstream) -> None:
    with serve(tmp_path, f'base_url = "{upstream.url}"', f"options: {{{name}: 2}}") as aura:
        response = aura.post("it")
        listed = httpx.get(f"{aura.url}/api/agents/it", trust_env=False).json()
    assert response.json()["code"] == "agent_invalid"
    assert f"{name!r} cannot be set here" in response.json()["detail"]
    assert name in listed["error"]

    async def anyway() -> None:  # the check is not the only guard
        settings = OpenAISettings(base_url=upstream.url)
        request = ChatRequest(REQUEST.messages, "tiny", options={name: 2})
        async with aura_openai.open_client(settings) as client:
            _ = [token async for token in aura_openai.stream_chat(request, settings, client)]

    asyncio.run(anyway())
    assert body_of(upstream).get(name) != 2


@pytest.mark.parametrize("option", ["top_p: 2", "top_p: high", "stop: 1", "max_tokens: 0"])
def test_a_wrong_option_is_told(option: str, tmp_path: Path) -> None:
    with serve(tmp_path, 'base_url = "http://127.0.0.1:1"', f"options: {{{option}}}") as aura:
        response = aura.post("it")
    assert response.json()["code"] == "agent_invalid"
    assert option.partition(":")[0] in response.json()["detail"]


def test_three_hundred_streams_of_one_instance_start_at_once(upstream: Upstream) -> None:
    release = threading.Event()
    upstream.default = Reply([HELLO, release, *OK.parts[1:]])
    settings = OpenAISettings(base_url=upstream.url)

    async def ask(client: Any) -> list[Token]:
        return [token async for token in aura_openai.stream_chat(REQUEST, settings, client)]

    async def ask_all() -> list[list[Token]]:
        async with aura_openai.open_client(settings) as client:
            tasks = [asyncio.create_task(ask(client)) for _ in range(300)]
            await asyncio.to_thread(upstream.wait_requests, 300, 20)
            assert not any(task.done() for task in tasks)
            release.set()
            return await asyncio.gather(*tasks)

    answers = asyncio.run(ask_all())
    assert len(answers) == 300
    assert all(answer[0].content == "Hi" and answer[-1].finish_reason == "stop" for answer in answers)


@pytest.mark.parametrize("parts", [[], [HELLO]], ids=["before-the-first-token", "after-it"])
def test_hanging_up_closes_the_upstream_at_once(parts: list[bytes], tmp_path: Path, upstream: Upstream) -> None:
    upstream.default = Reply(parts, ending="stall", head_delay=0 if parts else 30)
    with serve(tmp_path, f'base_url = "{upstream.url}"') as aura:
        url = f"{aura.url}/api/agents/it/chat/stream"
        with httpx.stream("POST", url, json={"prompt": "x"}, trust_env=False, timeout=10) as response:
            lines = response.iter_lines()
            while parts and '"Hi"' not in next(lines):
                pass
            upstream.wait_requests()
        upstream.wait_hangup(timeout=30)


def test_the_connection_is_used_again_and_keeps_no_cookies(tmp_path: Path, upstream: Upstream) -> None:
    whole = b"".join(part for part in OK.parts if isinstance(part, bytes))
    # Not chunked: the body's end comes with [DONE], in one write, so that nothing hangs on how long it is waited for.
    headers = {"set-cookie": "session=1; Path=/", "content-length": str(len(whole))}
    upstream.default = Reply([whole], headers=headers, chunked=False)
    with serve(tmp_path, f'base_url = "{upstream.url.replace("127.0.0.1", "localhost")}"') as aura:
        for _ in range(3):
            assert aura.ask("it")[-1].name == "done"
    assert upstream.connections == 1
    assert not [request for request in upstream.requests if "cookie" in request.headers]


def test_models_health_and_the_default_model(upstream: Upstream) -> None:
    settings = OpenAISettings(base_url=upstream.url, default_model="b")
    listing = b'{"object":"list","data":[{"id":"b","object":"model"},{"id":"a","created":1}]}'

    async def ask() -> list[str]:
        async with aura_openai.open_client(settings) as client:
            await aura_openai.check_health(client)
            return [model.name for model in await aura_openai.list_models(client)]

    upstream.on("/models", Reply([listing]))
    assert asyncio.run(ask()) == ["a", "b"]
    upstream.on("/models", Reply([b'[{"id":"b","object":"model"},{"id":"a"}]']))  # Together AI
    assert asyncio.run(ask()) == ["a", "b"]
    assert asyncio.run(aura_openai.default_model(settings)) == "b"
    assert asyncio.run(aura_openai.default_model(OpenAISettings(base_url=upstream.url))) is None
    for reply, code in (
        (Reply([b"<html>"]), "bad_response"),
        (Reply([b'{"data":{}}']), "bad_response"),
        (Reply([b"[" * 100_000]), "bad_response"),
        (Reply([b""], 401), "auth"),
        (Reply([b""], 404), "bad_request"),
        (Reply([b"x"], ending="cut"), "unavailable"),
    ):
        upstream.on("/models", reply)
        with pytest.raises(ProviderError) as caught:
            asyncio.run(ask())
        assert caught.value.code == code


def test_agents_without_a_model_have_that_of_the_settings(tmp_path: Path, upstream: Upstream) -> None:
    agent = {"it.md": "---\nprovider: openai\n---\n"}
    toml = f'[providers.openai]\nbase_url = "{upstream.url}"\n'
    with AuraServer(tmp_path, agent, toml) as aura:
        assert aura.ask("it")[0].data["code"] == "model_not_found"
    with AuraServer(tmp_path, agent, toml + 'default_model = "mine"\n') as aura:
        assert aura.ask("it")[-1].name == "done"
    assert [request.json()["model"] for request in upstream.requests if request.body] == ["mine"]


def test_a_server_that_lists_one_model_needs_none_in_the_agent(tmp_path: Path, upstream: Upstream) -> None:
    upstream.on("/models", Reply([b'{"object":"list","data":[{"id":"the-only-one","object":"model"}]}']))
    toml = f'[providers.local]\nplugin = "openai"\nbase_url = "{upstream.url}"\n'
    with AuraServer(tmp_path, {"it.md": "---\nprovider: local\n---\n"}, toml) as aura:
        assert aura.ask("it")[-1].name == "done"
    assert [request.json()["model"] for request in upstream.requests if request.body] == ["the-only-one"]


def test_importing_the_plugin_imports_no_sdk() -> None:
    code = (
        "import sys, aura_openai; heavy = {'openai', 'httpx2', 'httpx', 'aiohttp', 'httpx_aiohttp', 'pydantic'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_no_key_is_in_a_log_or_a_list(tmp_path: Path, upstream: Upstream) -> None:
    upstream.default = Reply([b'{"error":{"message":"Incorrect API key provided: %b"}}' % KEY.encode()], 401)
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "it.md").write_text("---\nprovider: openai\nmodel: m\n---\n")
    (tmp_path / "aura.toml").write_text(f'[providers.openai]\nbase_url = "{upstream.url}"\n')
    environ = os.environ | {"OPENAI_API_KEY": KEY, "OPENAI_LOG": "debug", "AURA_TRUST": str(tmp_path)}
    seen = ""
    for arguments in (["chat", "it", "Hello"], ["agents", "--json"], ["plugins", "--json"]):
        command = [sys.executable, "-c", "from aura_core.cli import main; main()", *arguments]
        result = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60)
        seen += result.stdout + result.stderr
    assert "OPENAI_API_KEY" in seen
    assert KEY not in seen
    assert KEY[-4:] not in seen
