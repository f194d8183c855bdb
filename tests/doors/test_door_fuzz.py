"""Whatever is sent to a door: no 500, and a refusal in its own words; whatever an agent says, clients read the same."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from leak_check import LeakCheck

from aura_core.cli.new_plugin import DOOR_TEMPLATE, files
from aura_core.testing import AuraServer

BOUNDED = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
FIELDS = ("agent", "messages", "stream", "images")
BODIES = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(FIELDS, JSON | st.just("e") | st.just([{"role": "user", "text": "Hello"}]))
)


@pytest.fixture(scope="module")
def aura(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuraServer]:
    """A server with the door of the template."""
    folder = tmp_path_factory.mktemp("site")
    for path, text in files("acme", DOOR_TEMPLATE).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    info = folder / "aura_acme-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: aura-acme\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[aura]\nacme = aura_acme\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        with AuraServer(tmp_path_factory.mktemp("aura"), {"e.md": "---\nprovider: echo\n---\n"}) as server:
            yield server


def test_no_body_is_answered_with_a_fault_of_the_server(aura: AuraServer) -> None:
    rest = LeakCheck(aura)
    with httpx.Client(base_url=aura.url, trust_env=False, timeout=30) as client:

        @BOUNDED
        @given(st.binary(max_size=100) | JSON.map(json.dumps).map(str.encode) | BODIES.map(json.dumps).map(str.encode))
        @example(b'{"agent": "e", "messages": [{"role": "user", "text": "\\ud800"}]}')
        @example(b'{"agent": "\\u0000", "messages": [{"role": "user", "text": ""}]}')
        def holds(body: bytes) -> None:
            answer = client.post("/acme/ask", content=body, headers={"content-type": "application/json"})
            assert answer.status_code < 500, answer.text
            if answer.status_code >= 400:
                assert answer.json()["error"]
                assert answer.json()["code"]

        holds()
    rest.check()


def test_every_text_arrives_as_it_was_asked(aura: AuraServer) -> None:
    with httpx.Client(base_url=aura.url, trust_env=False, timeout=30) as client:

        @BOUNDED
        @given(st.text(min_size=1, max_size=60), st.booleans())
        @example("\n\n", True)
        @example('data: x\n\n{"end": "stop"}', True)
        def holds(said: str, stream: bool) -> None:
            body = {"agent": "e", "messages": [{"role": "user", "text": said}], "stream": stream}
            answer = client.post("/acme/ask", json=body)
            assert answer.status_code == 200
            lines = [msgspec.json.decode(line) for line in answer.content.split(b"\n") if line]
            assert "".join(line.get("text", "") for line in lines) == said
            assert [line["end"] for line in lines if "end" in line] == ["stop"]

        holds()


def test_the_paths_of_doors_take_no_other_method_and_no_other_path(aura: AuraServer, tmp_path: Path) -> None:
    with httpx.Client(base_url=aura.url, trust_env=False, timeout=30) as client:

        @settings(BOUNDED, max_examples=100)
        @given(
            st.sampled_from(["GET", "PUT", "DELETE", "PATCH", "HEAD", "POST"]),
            st.sampled_from(["/acme/ask", "/acme/agents", "/acme", "/acme/", "/acme/ask/x", "/acme//ask"])
            | st.text(st.characters(codec="ascii", exclude_characters="?#\\"), max_size=10).map("/acme/".__add__),
        )
        def holds(method: str, path: str) -> None:
            try:
                answer = client.request(method, path)
            except httpx.InvalidURL:
                return
            assert answer.status_code in (200, 400, 404, 405, 415), answer.text

        holds()
