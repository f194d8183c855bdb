"""Every recording of Azure OpenAI gives exactly its text, finish, usage or error code, through both of its APIs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from recorded import Recording, recordings

from aura_core.testing import AuraServer, Reply, Upstream

RECORDINGS = recordings(Path(__file__).parent / "recordings")
KEY = "azure-key-0123456789"
FILTERED = b'"content_filter_results":{"hate":{"filtered":false,"severity":"safe"}}'


@pytest.fixture(scope="module")
def aura(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuraServer]:
    agents = {f"{api}.md": f"---\nprovider: {api}\nmodel: gpt-4o\n---\n" for api in ("v1", "classic")}
    table = f'plugin = "azure"\nendpoint = "{upstream.url}"\napi_key_env = "TEST_KEY"\n'
    toml = f'[server]\nretries = 0\n[providers.v1]\n{table}[providers.classic]\n{table}api_version = "2024-10-21"\n'
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEST_KEY", KEY)
        with AuraServer(tmp_path_factory.mktemp("aura"), agents, toml, {"TEST_KEY": KEY}) as aura:
            yield aura


@pytest.mark.parametrize("api", ["v1", "classic"])
@pytest.mark.parametrize("hostile", [False, True], ids=["as-recorded", "in-small-pieces"])
@pytest.mark.parametrize("recording", RECORDINGS, ids=str)
def test_recording(recording: Recording, hostile: bool, api: str, upstream: Upstream, aura: AuraServer) -> None:
    upstream.queue(recording.reply(hostile))
    recording.check(aura.ask(api))


def chunks(*choices: bytes) -> list[bytes]:
    return [b'data: {"choices":[' + choice + b'],"id":""}\n\n' for choice in choices] + [b"data: [DONE]\n\n"]


def test_the_asynchronous_filter_annotates_without_a_delta(upstream: Upstream, aura: AuraServer) -> None:
    annotation = b'{"index":0,"finish_reason":null,' + FILTERED + b',"content_filter_offsets":{"check_offset":4}}'
    parts = chunks(
        b"",
        b'{"index":0,"delta":{"content":"Hi"},"finish_reason":null}',
        annotation,
        b'{"index":0,"delta":{},"finish_reason":"stop"}',
        annotation,
    )
    upstream.queue(Reply(parts))
    assert aura.ask("v1") == [("token", {"content": "Hi"}), ("done", {"totalTokens": 0, "finishReason": "stop"})]


def test_a_block_in_mid_answer_is_a_content_filter_finish(upstream: Upstream, aura: AuraServer) -> None:
    block = b'{"index":0,"finish_reason":"content_filter","content_filter_results":{"hate":{"filtered":true}}}'
    upstream.queue(Reply(chunks(b'{"index":0,"delta":{"content":"Hi"}}', block)))
    assert aura.ask("v1")[-1] == ("done", {"totalTokens": 0, "finishReason": "content_filter"})


@pytest.mark.parametrize("parts", [[], chunks(b""), chunks(b'{"index":0,"delta":{"content":"Hi"}}')[:-1]])
def test_an_answer_without_its_end_is_never_done(parts: list[bytes], upstream: Upstream, aura: AuraServer) -> None:
    upstream.queue(Reply(parts, ending="cut"))
    assert aura.ask("classic")[-1].name == "error"
