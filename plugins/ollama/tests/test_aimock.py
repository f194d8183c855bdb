"""Ollama's protocol as a server that nobody here wrote speaks it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from aura_core.testing import AuraServer

TEXT = "Grüße, 😀 from a server that we did not write. It has several words."
AGENT = "---\nprovider: ollama\nmodel: gpt-4o\n---\n"

pytestmark = pytest.mark.aimock


def _toml(url: str) -> str:
    return f'[server]\nretries = 0\n[providers.ollama]\nbase_url = "{url}"'


def test_an_answer_streams(aimock: Callable[..., str], tmp_path: Path) -> None:
    url = aimock(TEXT, "--chunk-size", "7", "--latency", "5")
    with AuraServer(tmp_path, {"a.md": AGENT, "b.md": "---\nprovider: ollama\n---\n"}, _toml(url)) as aura:
        events = aura.ask("a", "hello")
        by_default = aura.ask("b", "hello")
    assert [event.name for event in events] == ["token"] * 10 + ["done"]
    assert "".join(event.data["content"] for event in events[:-1]) == TEXT
    assert by_default[-1].name == "done", "its list of models names one"


def test_an_answer_that_it_does_not_have_is_an_error(aimock: Callable[..., str], tmp_path: Path) -> None:
    with AuraServer(tmp_path, {"a.md": AGENT}, _toml(aimock(TEXT))) as aura:
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
    with AuraServer(tmp_path, {"a.md": AGENT}, _toml(aimock(TEXT, chaos, "1"))) as aura:
        (event,) = aura.ask("a", "hello")
    assert event.name == "error"
    assert event.data["code"] in codes
