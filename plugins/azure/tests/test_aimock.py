"""Azure's paths, v1 and classic, as a server that nobody here wrote serves them."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import aura_azure
import pytest
from aura_azure.settings import AzureSettings

from aura_core.testing import AuraServer

TEXT = "Grüße, 😀 from a server that we did not write. It has several words."
AGENT = {"a.md": "---\nprovider: azure\nmodel: gpt-4o\n---\n"}
KEY = "azure-test-0123456789"

pytestmark = pytest.mark.aimock


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)


@pytest.mark.parametrize("version", ["", "2024-10-21"])
def test_an_answer_streams_with_its_usage(
    version: str, aimock: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIMOCK_API_KEYS", KEY)
    url = aimock(TEXT, "--chunk-size", "7")
    toml = f'[providers.azure]\nendpoint = "{url}"\napi_version = "{version}"\ndeployments = {{ gpt-4o = "mine" }}'
    with AuraServer(tmp_path, AGENT, toml) as aura:
        events = aura.ask("a", "hello")
        (wrong,) = aura.ask("a", "something else")
    assert "".join(event.data["content"] for event in events[:-1]) == TEXT
    assert events[-1].data["totalTokens"] > 0
    assert wrong.data["code"] == "bad_request"


@pytest.mark.parametrize("version", ["", "2024-10-21"])
def test_a_wrong_key_is_auth(
    version: str, aimock: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIMOCK_API_KEYS", "another-key")
    toml = f'[providers.azure]\nendpoint = "{aimock(TEXT)}"\napi_version = "{version}"'
    with AuraServer(tmp_path, AGENT, toml) as aura:
        (event,) = aura.ask("a", "hello")
    assert event.data["code"] == "auth"
    assert "AZURE_OPENAI_API_KEY" in event.data["message"]


def test_its_health_is_asked(aimock: Callable[..., str]) -> None:
    settings = AzureSettings(endpoint=aimock(TEXT), api_key_env="AZURE_OPENAI_API_KEY")

    async def ask() -> None:
        async with aura_azure.open_client(settings) as client:
            await aura_azure.check_health(client)

    asyncio.run(ask())
