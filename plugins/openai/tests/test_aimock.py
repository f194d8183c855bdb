"""OpenAI's protocol as a server that nobody here wrote speaks it."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import aura_openai
import pytest
from aura_openai.settings import OpenAISettings

from aura_core.testing import AuraServer

TEXT = "Grüße, 😀 from a server that we did not write. It has several words."
AGENT = {"a.md": "---\nprovider: openai\nmodel: gpt-4o\n---\n"}
KEY = "sk-test-0123456789abcdef"

pytestmark = pytest.mark.aimock


def _toml(url: str) -> str:
    return f'[server]\nretries = 0\n[providers.openai]\nbase_url = "{url}/v1"'


def test_an_answer_streams_with_its_usage(aimock: Callable[..., str], tmp_path: Path) -> None:
    with AuraServer(tmp_path, AGENT, _toml(aimock(TEXT, "--chunk-size", "7", "--latency", "5"))) as aura:
        events = aura.ask("a", "hello")
    assert [event.name for event in events] == ["token"] * 10 + ["done"]
    assert "".join(event.data["content"] for event in events[:-1]) == TEXT
    assert events[-1].data["totalTokens"] > 0


def test_the_key_is_sent_as_it_wants_it(
    aimock: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIMOCK_API_KEYS", KEY)
    url = aimock(TEXT)
    with AuraServer(tmp_path, AGENT, _toml(url)) as aura:
        assert aura.ask("a", "hello")[-1].data["code"] == "auth"
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with AuraServer(tmp_path, AGENT, _toml(url)) as aura:
        assert aura.ask("a", "hello")[-1].name == "done"


def test_its_models_are_listed(aimock: Callable[..., str]) -> None:
    settings = OpenAISettings(base_url=f"{aimock(TEXT)}/v1")

    async def ask() -> list[str]:
        async with aura_openai.open_client(settings) as client:
            await aura_openai.check_health(client)
            return [model.name for model in await aura_openai.list_models(client)]

    assert "gpt-4o" in asyncio.run(ask())


def test_an_answer_that_it_does_not_have_is_an_error(aimock: Callable[..., str], tmp_path: Path) -> None:
    with AuraServer(tmp_path, AGENT, _toml(aimock(TEXT))) as aura:
        (event,) = aura.ask("a", "something else")
    assert (event.name, event.data["code"]) == ("error", "bad_request")
    assert "No fixture matched" in event.data["message"]


@pytest.mark.parametrize(
    ("chaos", "codes"),
    [
        ("--chaos-drop", {"unavailable"}),
        ("--chaos-malformed", {"bad_response"}),
        ("--chaos-disconnect", {"unavailable", "bad_response"}),
        ("--chaos-ratelimit", {"rate_limited"}),
    ],
)
def test_its_chaos_is_never_done(chaos: str, codes: set[str], aimock: Callable[..., str], tmp_path: Path) -> None:
    with AuraServer(tmp_path, AGENT, _toml(aimock(TEXT, chaos, "1"))) as aura:
        (event,) = aura.ask("a", "hello")
    assert event.name == "error"
    assert event.data["code"] in codes
