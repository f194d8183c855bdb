"""What servers were reported to send, whole responses as they came, and what becomes of each."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from recorded import whole_response

from aura_core.testing import AuraServer, Upstream

FOLDER = Path(__file__).parent / "reports"
REPORTS: list[dict[str, Any]] = json.loads((FOLDER / "index.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def aura(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuraServer]:
    toml = f'[providers.local]\nplugin = "openai"\nbase_url = "{upstream.url}/v1"\n'
    agent = "---\nprovider: local\nmodel: tiny\n---\n"
    with AuraServer(tmp_path_factory.mktemp("aura"), {"it.md": agent}, toml) as aura:
        yield aura


@pytest.mark.parametrize("report", REPORTS, ids=[report["id"] for report in REPORTS])
def test_report(report: dict[str, Any], upstream: Upstream, aura: AuraServer) -> None:
    upstream.default = whole_response(FOLDER / report["upstream_file"])
    *said, last = aura.ask("it")
    expected = report["expected"]
    if "any_of" in expected:
        expected = next(one for one in expected["any_of"] if one["end"] == last.name)
    assert last.name == expected["end"], last
    text, reasoning = (
        "".join(event.data["content"] for event in said if event.name == name) for name in ("token", "reasoning")
    )
    assert (text, reasoning) == (expected.get("text", ""), expected.get("reasoning", ""))
    if last.name == "done":
        assert last.data["finishReason"] in expected["finish"]
        assert last.data["totalTokens"] == expected.get("tokens", 0)
        return
    assert last.data["code"] in expected["code"]
    message = last.data["message"]
    assert all(word in message for word in expected.get("says", ()))
    assert not any(word in message for word in expected.get("says_not", ()))
