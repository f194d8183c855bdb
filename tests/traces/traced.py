"""Aura with traces, in front of two scripted OpenAI-compatible servers."""

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from collector import Collector, Tree

from aura_core.testing import SSE, AuraServer, Reply, Upstream

KEY = "sk-proj-0123456789abcdef"
TOKEN = "the-token-of-this-server"
TOML = """
[providers.primary]
plugin = "openai"
base_url = "{primary}"
api_key_env = "MY_KEY"

[providers.backup]
plugin = "openai"
base_url = "{backup}"
api_key_env = "MY_KEY"
"""
AGENTS = {
    "helper.md": "---\nname: The Helper\nprovider: primary\nmodel: first\ntemperature: 0.5\nmax_tokens: 70\n"
    "fallback: [{provider: backup, model: second}]\n---\nYou keep the SYSTEM-SECRET.\n",
    "hasty.md": "---\nprovider: primary\nmodel: first\nfirst_token_timeout: 0.2\n"
    "fallback: [{provider: backup, model: second}]\n---\n",
    "alone.md": "---\nprovider: primary\nmodel: first\n---\n",
    "ten.md": "---\nprovider: echo\noptions: {tokens: 10}\n---\n",
    "many.md": "---\nprovider: echo\noptions: {tokens: 10000}\n---\n",
    "paced.md": "---\nprovider: echo\noptions: {tokens: 100000, tokens_per_second: 20}\n---\n",
    "odd.md": '---\nname: "half \\ud800 and \\u202e"\nprovider: echo\nmodel: "m \\udc00"\n---\n',
}


def clear_variables(patch: pytest.MonkeyPatch) -> None:
    """As on a machine where nobody has set anything of OpenTelemetry."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        patch.delenv(name)


def answer(*words: str) -> Reply:
    """A complete answer, which costs 5 and 3 tokens."""
    said = [{"choices": [{"delta": {"content": word}}]} for word in words]
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    end = {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": usage}
    return Reply([SSE.body(*said, end, b"[DONE]")], headers={"content-type": "text/event-stream"})


def failure(status: int, message: str = "no", code: str | None = None) -> Reply:
    kind = "invalid_request_error" if status < 500 else "server_error"
    body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    headers = {"content-type": "application/json", "x-request-id": "req_7"}
    return Reply([json.dumps(body).encode()], status=status, headers=headers)


class Traced:
    """A server, its collector, and the servers of its providers."""

    def __init__(self, aura: AuraServer, collector: Collector, primary: Upstream, backup: Upstream) -> None:
        self.aura, self.collector, self.primary, self.backup = aura, collector, primary, backup

    @staticmethod
    def serve(folder: Path, collector: Collector, primary: Upstream, backup: Upstream) -> "Iterator[Traced]":
        """Serve `AGENTS`."""
        environ = {**os.environ, "MY_KEY": KEY}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MY_KEY", KEY)
            toml = TOML.format(primary=primary.url, backup=backup.url)
            with AuraServer(folder, AGENTS, toml, environ) as aura:
                yield Traced(aura, collector, primary, backup)

    def ask(self, agent: str, route: str = "chat/stream", **headers: str) -> tuple[httpx.Response, Tree]:
        """Ask an agent within a new trace; the response, and the spans of it."""
        trace, parent = new_trace(), secrets.token_hex(8)
        given = {"traceparent": f"00-{trace}-{parent}-01", "tracestate": "vendor=1"} | headers
        url = f"{self.aura.url}/api/agents/{agent}/{route}"
        body: dict[str, Any] = {"prompt": "PROMPT-SECRET", "additionalContext": "CONTEXT-SECRET"}
        response = httpx.post(url, json=body, headers=given, timeout=60, trust_env=False)
        tree = self.collector.answer(trace)
        assert tree.request.parent == parent
        return response, tree


def new_trace() -> str:
    """An id for a trace."""
    return secrets.token_hex(16)
