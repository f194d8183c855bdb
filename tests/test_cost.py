"""Limits for the cost of a token, in calls (which a busy machine does not change), and for imports."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable

import pytest
from encoders import Sse

from aura_core import Token
from aura_core.answer.candidates import Candidate
from aura_core.answer.relay import Relay
from aura_core.config.settings import ServerSettings

TOKENS = 2000
HEAVY = [
    "pydantic",
    "openai",
    "anthropic",
    "httpx2",
    "aiohttp",
    "httpx_aiohttp",
    "azure",
    "prometheus_client",
    "opentelemetry",
    "google",
    "requests",
    "rich",
    "polyfactory",
]


def _modules(code: str) -> list[str]:
    shown = f"import sys\n{code}\nprint(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True).stdout
    return [name.split(".")[0] for name in out.split()]


def test_the_plugin_api_imports_next_to_nothing() -> None:
    ours = set(_modules("import aura_core")) - set(_modules("import msgspec, pluggy, inspect"))
    assert ours == {"aura_core"}


def test_the_server_imports_no_sdk_before_it_is_needed() -> None:
    code = """
from aura_core.cli.options import open_runtime
import aura_core.cli.serve, aura_core.server.serve
runtime = open_runtime(None, None)
sys.modules["prometheus_client"] = None  # as where the extra is not installed
aura_core.server.serve.DrainingServer(runtime)
del sys.modules["prometheus_client"]
"""
    assert not set(_modules(code)) & set(HEAVY)


async def _one_by_one() -> AsyncIterator[Token]:
    for _ in range(TOKENS):
        await asyncio.sleep(0)  # each token in a read of its own
        yield Token("word ")
    yield Token(finish_reason="stop")


async def _together() -> AsyncIterator[Token]:
    for _ in range(TOKENS):
        yield Token("word ")
    yield Token(finish_reason="stop")


class _Connection:
    """A connection that accepts every write."""

    writes = 0

    def write(self, frames: list[bytes]) -> bool:
        b"".join(frames)
        self.writes += 1
        return True

    async def drain(self) -> None:
        raise AssertionError("it has room")

    def unsent(self) -> int:
        raise AssertionError("it has room")


def _calls(source: Callable[[], AsyncIterator[Token]]) -> tuple[float, int]:
    """Python and C calls for each token, and the number of writes."""

    async def start() -> AsyncIterator[Token]:
        return source()

    async def run() -> tuple[int, int]:
        relay = Relay(Candidate(start, "test"), ServerSettings(), Sse())
        calls, connection = 0, _Connection()

        def count(_frame: object, event: str, _argument: object) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        sys.setprofile(count)
        try:
            last = await relay.pipe(connection)
        finally:
            sys.setprofile(None)
            relay.close()
        assert last
        return calls, connection.writes

    calls, writes = asyncio.run(run())
    return calls / TOKENS, writes


@pytest.mark.parametrize(("source", "budget", "most_writes"), [(_one_by_one, 58, TOKENS + 2), (_together, 13, 20)])
def test_calls_for_a_token(source: Callable[[], AsyncIterator[Token]], budget: int, most_writes: int) -> None:
    calls, writes = _calls(source)
    assert calls <= budget
    assert writes <= most_writes
