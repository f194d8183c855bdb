"""The API's description is only JSON: no page with scripts from a foreign origin."""

from pathlib import Path

import httpx
import pytest

from aura_core.testing import AuraServer


@pytest.mark.parametrize("page", ["swagger", "redoc", "elements", "rapidoc", "scalar", "openapi.yaml"])
def test_no_page_that_loads_scripts_from_elsewhere_is_served(page: str, tmp_path: Path) -> None:
    with AuraServer(tmp_path) as aura:
        assert httpx.get(f"{aura.url}/schema/{page}", trust_env=False).status_code == 404
        schema = httpx.get(f"{aura.url}/schema/openapi.json", trust_env=False)
        assert "/api/agents/{agentId}/chat/stream" in schema.json()["paths"]


def test_its_examples_are_real_and_the_token_is_documented(tmp_path: Path) -> None:
    with AuraServer(tmp_path) as aura:
        schema = httpx.get(f"{aura.url}/schema/openapi.json", trust_env=False).json()
    stream = schema["paths"]["/api/agents/{agentId}/chat/stream"]["post"]["responses"]
    (example,) = stream["200"]["content"]["text/event-stream"]["examples"].values()
    assert example["value"].endswith('event: done\ndata: {"totalTokens": 12, "finishReason": "stop"}\n\n')
    assert "examples" not in stream["400"]["content"]["application/problem+json"]
    assert schema["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert schema["security"] == [{}, {"token": []}]
