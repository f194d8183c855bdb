"""Acme keeps every promise of a door, and its clients get the answers of agents from a real server."""

import json
from pathlib import Path
from urllib.request import Request, urlopen

from aura_core.testing import AuraServer, Check

AGENT = "---\nprovider: echo\n---\n"


def test_conformance(check: Check) -> None:
    check.run()


def test_a_client_gets_an_answer(tmp_path: Path) -> None:
    body = {"agent": "it", "messages": [{"role": "user", "text": "Hello world"}]}
    with AuraServer(tmp_path, {"it.md": AGENT}) as aura:
        headers = {"content-type": "application/json", "x-request-id": "one"}
        request = Request(f"{aura.url}/acme/ask", json.dumps(body).encode(), headers)
        with urlopen(request, timeout=30) as response:
            lines = [json.loads(line) for line in response]
        with urlopen(f"{aura.url}/acme/agents", timeout=30) as response:
            listed = json.load(response)
    assert lines == [
        {"request": "one", "model": ""},
        {"text": "Hello"},
        {"text": " world"},
        {"end": "stop", "tokens": 4},
    ]
    assert listed == {"agents": [{"id": "it", "name": "it"}]}
