"""Let the tests of the pages import their helpers and docs/generate.py, and provide a simulated Ollama."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aura_core.testing import Reply, Upstream

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "docs")]

ANSWER = [
    b'{"message":{"role":"assistant","content":"%b"},"done":false}\n' % word for word in (b"Hello!", b" How can I")
]
ANSWER += [b'{"message":{"role":"assistant","content":" help you?"},"done":true,"done_reason":"stop"}\n']


@pytest.fixture
def ollama() -> Iterator[Upstream]:
    """A server with one model and one answer."""
    with Upstream() as upstream:
        upstream.on("/api/version", Reply([b'{"version":"0.33.0"}']))
        upstream.on("/api/tags", Reply([b'{"models":[{"name":"qwen2.5-coder:7b","size":4700000000}]}']))
        upstream.on("/api/chat", Reply(ANSWER, headers={"content-type": "application/x-ndjson"}))
        yield upstream
