"""What Ollama servers were reported to send, whole responses as they came, and what becomes of each."""

import json
from pathlib import Path
from typing import Any

import pytest
from recorded import whole_response

from aura_core.testing import AuraServer, Upstream

FOLDER = Path(__file__).parent / "reports"
REPORTS: list[dict[str, Any]] = json.loads((FOLDER / "index.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("report", REPORTS, ids=[report["id"] for report in REPORTS])
def test_report(report: dict[str, Any], tmp_path: Path) -> None:
    agent = f"---\nprovider: ollama\nmodel: tiny\n{report.get('agent', '')}\n---\n"
    with Upstream(whole_response(FOLDER / report["upstream_file"])) as upstream:
        toml = f'[providers.ollama]\nbase_url = "{upstream.url}"\n'
        with AuraServer(tmp_path, {"it.md": agent}, toml) as aura:
            *said, last = aura.ask("it")
        chats = [request for request in upstream.requests if request.path == "/api/chat"]
    expected = report["expected"]
    assert last.name == expected["end"], last
    assert "".join(event.data["content"] for event in said) == expected.get("text", "")
    assert len(chats) == expected.get("requests", len(chats))
    for name, value in expected.get("sent", {}).items():
        assert chats[0].json()[name] == value
    if last.name == "done":
        assert last.data["finishReason"] in expected["finish"]
        return
    assert last.data["code"] in expected["code"]
    if "retry_after" in expected:
        least, most = expected["retry_after"]
        assert least <= last.data["retryAfter"] <= most
