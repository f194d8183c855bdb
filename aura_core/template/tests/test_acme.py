"""Acme keeps every promise of a provider, and its answers reach a client over a real server."""

import asyncio
from pathlib import Path

from aura_core import Model
from aura_core.testing import AuraServer, Check, Reply, Upstream

from aura_acme import AcmeSettings, list_models, open_client
from aura_acme.conformance import write

AGENT = "---\nprovider: acme\nmodel: tiny\ntemperature: 0.5\n---\nYou are brief.\n"


def test_conformance(check: Check) -> None:
    check.run()


def test_an_answer_reaches_the_client(tmp_path: Path) -> None:
    with Upstream(Reply([write(["Hello", " world"])])) as upstream:
        toml = f'[providers.acme]\nbase_url = "{upstream.url}"\n'
        with AuraServer(tmp_path, {"it.md": AGENT}, toml) as aura:
            assert aura.ask("it", "Hello?") == [
                ("token", {"content": "Hello"}),
                ("token", {"content": " world"}),
                ("done", {"totalTokens": 0, "finishReason": "stop"}),
            ]
    (request,) = upstream.requests
    assert request.headers["content-type"] == "application/json"
    assert request.json() == {
        "model": "tiny",
        "messages": [{"role": "system", "content": "You are brief."}, {"role": "user", "content": "Hello?"}],
        "stream": True,
        "temperature": 0.5,
    }


def test_the_models_are_listed() -> None:
    async def listed(url: str) -> list[Model]:
        async with open_client(AcmeSettings(base_url=url)) as client:
            return await list_models(client)

    with Upstream() as upstream:
        upstream.on("/models", Reply([b'{"models": [{"name": "tiny", "context": 4096}]}']))
        assert asyncio.run(listed(upstream.url)) == [Model("tiny", context=4096)]
