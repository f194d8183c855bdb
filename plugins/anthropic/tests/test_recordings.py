"""Recordings of a real server of the Messages API give exactly their tokens, finish, usage or error code."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from recorded import Recording, recordings

from aura_core.testing import AuraServer, Upstream

RECORDINGS = recordings(Path(__file__).parent / "recordings")


@pytest.fixture(scope="module")
def aura(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuraServer]:
    toml = f'[providers.local]\nplugin = "anthropic"\nbase_url = "{upstream.url}"\n[server]\nretries = 0\n'
    agent = "---\nprovider: local\nmodel: tiny\n---\n"
    with AuraServer(tmp_path_factory.mktemp("aura"), {"it.md": agent}, toml) as aura:
        yield aura


@pytest.mark.parametrize("hostile", [False, True], ids=["as-recorded", "in-small-pieces"])
@pytest.mark.parametrize("recording", RECORDINGS, ids=str)
def test_recording(recording: Recording, hostile: bool, upstream: Upstream, aura: AuraServer) -> None:
    upstream.queue(recording.reply(hostile))
    recording.check(aura.ask("it"))
