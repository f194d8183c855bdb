"""Recordings of a real server of the Messages API give exactly their tokens, finish, usage or error code."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aura_core.testing import AuraServer, Reply, Upstream, split_at

FOLDER = Path(__file__).parent / "recordings"
RECORDINGS: list[dict[str, Any]] = json.loads((FOLDER / "index.json").read_text(encoding="utf-8"))["recordings"]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def aura(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuraServer]:
    toml = f'[providers.local]\nplugin = "anthropic"\nbase_url = "{upstream.url}"\n[server]\nretries = 0\n'
    agent = "---\nprovider: local\nmodel: tiny\n---\n"
    with AuraServer(tmp_path_factory.mktemp("aura"), {"it.md": agent}, toml) as aura:
        yield aura


@pytest.mark.parametrize("hostile", [False, True], ids=["as-recorded", "in-small-pieces"])
@pytest.mark.parametrize("recording", RECORDINGS, ids=[recording["name"] for recording in RECORDINGS])
def test_recording(recording: dict[str, Any], hostile: bool, upstream: Upstream, aura: AuraServer) -> None:
    body = (FOLDER / recording["file"]).read_bytes()
    expected = recording["expect"]
    splits = range(0, len(body), 1 + len(body) // 50) if hostile else ()
    upstream.queue(Reply(split_at(body, splits), recording["status"], recording["headers"]))
    *events, last = aura.ask("it")
    assert [event.data["content"] for event in events] == expected["tokens"]
    if expected["error"]:
        assert (last.name, last.data["code"]) == ("error", expected["error"]), last
    else:
        assert last == ("done", {"totalTokens": expected["total"], "finishReason": expected["finish_reason"]})
