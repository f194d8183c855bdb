"""Azure's two APIs, keys, Entra ID, deployments and settings, against a server on a real socket."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aura_azure
import pytest
from aura_azure.settings import AzureSettings

from aura_core import ChatRequest, ProviderError
from aura_core.testing import AuraServer, Reply, Upstream

KEY = "azure-key-0123456789"
TOKEN = "eyJ0eXAi.entra-token-987654321.c2ln"
OK = Reply([b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'])
AGENT = "---\nprovider: azure\nmodel: gpt-4o\nmax_tokens: 5\ntemperature: 0.5\n---\n"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(OK) as upstream:
        yield upstream


def serve(tmp_path: Path, table: str = "", environ: dict[str, str] | None = None, agent: str = AGENT) -> AuraServer:
    toml = f"[server]\nretries = 0\n[providers.azure]\n{table}\n"
    return AuraServer(tmp_path, {"it.md": agent}, toml, environ)


def test_the_v1_api_has_the_deployment_in_the_body(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    table = f'endpoint = "{upstream.url}/openai/v1/"\ndeployments = {{ "gpt-4o" = "my deployment" }}'
    with serve(tmp_path, table) as aura:
        assert aura.ask("it")[-1].name == "done"
    (request,) = upstream.requests
    assert request.path == "/openai/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.json() == {
        "model": "my deployment",
        "messages": [{"role": "user", "content": "Hello"}],
        "temperature": 0.5,
        "max_tokens": 5,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_the_classic_api_has_the_deployment_in_the_path(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", upstream.url)
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
    monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", TOKEN)  # the SDK alone would let it win over the key
    with serve(tmp_path, 'deployments = { "gpt-4o" = "a/b c" }') as aura:
        assert aura.ask("it")[-1].name == "done"
    (request,) = upstream.requests
    assert request.path == "/openai/deployments/a%2Fb%20c/chat/completions?api-version=2024-10-21"
    assert request.headers["api-key"] == KEY
    assert "authorization" not in request.headers
    assert TOKEN not in str(request)


def test_a_model_without_a_deployment_of_its_own_is_its_name(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    agent = "---\nprovider: azure\nmodel: o4-mini\nmax_tokens: 5\n---\n"
    with serve(tmp_path, f'endpoint = "{upstream.url}"\ndeployments = {{ x = "y" }}', agent=agent) as aura:
        aura.ask("it")
    body = upstream.requests[0].json()
    assert body["model"] == "o4-mini"
    assert body["max_completion_tokens"] == 5


@pytest.mark.parametrize("version", ["", 'api_version = "2024-10-21"'])
def test_entra_gives_a_token_and_no_key_is_sent(
    version: str, tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("azure.identity")
    # The managed identity of App Service, served here, is the one credential of azure-identity that speaks plain HTTP.
    answer = json.dumps({"access_token": TOKEN, "expires_on": "4102444800", "resource": "x", "token_type": "Bearer"})
    upstream.on("/msi", Reply([answer.encode()], headers={"content-type": "application/json"}))
    for name, value in {
        "IDENTITY_ENDPOINT": f"{upstream.url}/msi",
        "IDENTITY_HEADER": "secret-header",
        "AZURE_OPENAI_API_KEY": KEY,
        "HTTP_PROXY": "http://127.0.0.1:9",
        "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
    }.items():
        monkeypatch.setenv(name, value)
    with serve(tmp_path, f'endpoint = "{upstream.url}"\nauth = "entra"\n{version}') as aura:
        assert aura.ask("it")[-1].name == "done"
        assert aura.ask("it")[-1].name == "done"
    tokens = [request for request in upstream.requests if request.path.startswith("/msi")]
    chats = [request for request in upstream.requests if request.method == "POST"]
    assert len(tokens) == 1
    assert [request.headers["authorization"] for request in chats] == [f"Bearer {TOKEN}"] * 2
    assert KEY not in str(upstream.requests)


def test_entra_that_gives_no_token_is_auth_without_its_words(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("azure.identity")
    refusal = b'{"error":"invalid","error_description":"Sign in at https://login.example/?code=secret-code"}'
    upstream.on("/msi", Reply([refusal], status=400, headers={"content-type": "application/json"}))
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{upstream.url}/msi")
    monkeypatch.setenv("IDENTITY_HEADER", "secret-header")
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")
    with serve(tmp_path, f'endpoint = "{upstream.url}"\nauth = "entra"') as aura:
        (event,) = aura.ask("it")
    assert event.data["code"] == "auth"
    assert "az login" in event.data["message"]
    assert "login.example" not in str(event) + caplog.text
    assert "secret" not in str(event) + caplog.text


def test_entra_without_azure_identity_says_what_to_install(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity.aio", None)  # as if it were not installed
    with serve(tmp_path, f'endpoint = "{upstream.url}"\nauth = "entra"') as aura:
        (event,) = aura.ask("it")
    assert event.data["code"] == "auth"
    assert "needs azure-identity: install plugins/azure of Aura's repository with its extra" in event.data["message"]
    assert "pip install" not in event.data["message"]
    assert upstream.requests == []


@pytest.mark.parametrize("key_env", ["", 'api_key_env = "MY_AZURE_KEY"'])
def test_without_a_key_nothing_is_asked(key_env: str, tmp_path: Path, upstream: Upstream) -> None:
    with serve(tmp_path, f'endpoint = "{upstream.url}"\n{key_env}') as aura:
        (event,) = aura.ask("it")
    assert event.data["code"] == "auth"
    assert ("MY_AZURE_KEY" if key_env else "AZURE_OPENAI_API_KEY") in event.data["message"]
    assert upstream.requests == []


def test_another_instance_gets_no_default_key_and_no_variables(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, KEY)
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
    monkeypatch.setenv("OTHER_KEY", "other-key-123456")
    toml = f'[providers.mine]\nplugin = "azure"\nendpoint = "{upstream.url}"\napi_key_env = "OTHER_KEY"\n'
    toml += f'[providers.none]\nplugin = "azure"\nendpoint = "{upstream.url}"\n'
    agents = {f"{name}.md": AGENT.replace("azure", name) for name in ("mine", "none")}
    with AuraServer(tmp_path, agents, toml) as aura:
        assert aura.ask("mine")[-1].name == "done"
        assert aura.ask("none")[-1].data["code"] == "auth"
    (request,) = upstream.requests
    assert request.path == "/openai/v1/chat/completions"
    assert request.headers["authorization"] == "Bearer other-key-123456"
    assert KEY not in str(upstream.requests)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("", "endpoint"),
        ('endpoint = "my-resource"', "https://"),
        ('endpoint = "https://user:pw@x.example"', "no user"),
        ('endpoint = "https://x.example/openai/deployments/d/chat/completions?api-version=1"', "no user, password"),
        ('endpoint = "https://x.example/openai/deployments/d"', "leave out /openai/deployments"),
        ('endpoint = "https://x.example"\napi_version = "v1"', "v1 API"),
        ('endpoint = "https://x.example"\nauth = "ad"', "auth"),
        ('endpoint = "https://x.example"\ndeployments = { a = " " }', "blank"),
        ('endpoint = "https://x.example"\ndeployment = { a = "b" }', "deployments"),
    ],
)
def test_a_wrong_setting_is_told_and_nothing_else_breaks(table: str, words: str, tmp_path: Path) -> None:
    with serve(tmp_path, table) as aura:
        response = aura.post("it")
    assert response.status_code == 503
    assert response.json()["code"] == "provider_misconfigured"
    assert words in response.json()["detail"]
    assert "pw@" not in response.text


@pytest.mark.parametrize(("version", "path"), [("", "/openai/v1/models"), ("2024-10-21", "/openai/models")])
def test_health_asks_for_the_models_and_models_are_the_settings(
    version: str, path: str, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    upstream.on(path, Reply([b'{"object":"list","data":[{"id":"gpt-4o"}]}']))
    settings = AzureSettings(
        endpoint=upstream.url,
        api_key_env="TEST_KEY",
        api_version=version,
        deployments={"gpt-4o": "mine"},
        default_model="o4-mini",
    )

    async def ask() -> list[str]:
        async with aura_azure.open_client(settings) as client:
            await aura_azure.check_health(client)
        return [f"{model.name}: {model.description}" for model in await aura_azure.list_models(settings)]

    assert asyncio.run(ask()) == ["gpt-4o: deployment mine", "o4-mini: deployment o4-mini"]
    assert KEY in str(upstream.requests[0].headers)


def test_health_says_what_is_wrong(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    settings = AzureSettings(endpoint=upstream.url, api_key_env="TEST_KEY")
    body = b'{"statusCode":401,"message":"Access denied due to invalid subscription key azure-key-0123."}'
    upstream.on("/openai/v1/models", Reply([body], status=401))

    async def ask() -> None:
        async with aura_azure.open_client(settings) as client:
            await aura_azure.check_health(client)

    with pytest.raises(ProviderError) as caught:
        asyncio.run(ask())
    assert caught.value.code == "auth"
    assert "check the key in TEST_KEY" in caught.value.message
    assert "azure-key" not in caught.value.message


def test_importing_the_plugin_imports_no_sdk() -> None:
    code = (
        "import sys, aura_azure; heavy = {'openai', 'httpx2', 'httpx', 'aiohttp', 'azure.identity', 'pydantic'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_a_deployment_that_is_named_like_a_model_gets_a_warning() -> None:
    settings = AzureSettings(endpoint="https://x.openai.azure.com", deployments={"gpt-4o": "mine"})
    found = {
        model: asyncio.run(aura_azure.check_request(ChatRequest([], model), settings))
        for model in ("gpt-4o", "gpt-4.1", "my-own")
    }
    assert found["gpt-4o"] == found["my-own"] == []
    assert "'gpt-4.1' is a model's name" in found["gpt-4.1"][0]
