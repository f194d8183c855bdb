"""The victim, their servers and the attacker's, for each test of trust."""

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aura_core.testing import Upstream

sys.path.insert(0, str(Path(__file__).parent))

from victim import Victim  # only looked up here


@pytest.fixture(scope="session")
def servers() -> Iterator[tuple[Upstream, Upstream, Upstream]]:
    with Upstream() as own, Upstream() as local, Upstream() as attacker:
        yield own, local, attacker


@pytest.fixture
def victim(servers: tuple[Upstream, Upstream, Upstream], tmp_path: Path) -> Victim:
    for server in servers:
        server.requests.clear()
        server.connections = 0
    return Victim(tmp_path, *servers)


@pytest.fixture
def inside(victim: Victim, monkeypatch: pytest.MonkeyPatch) -> Iterator[Victim]:
    """The victim, with this process in the folder; commands that run in it leave no log handler behind."""
    monkeypatch.chdir(victim.folder)
    for name, value in victim.environ.items():
        monkeypatch.setenv(name, value)
    root, own = logging.getLogger(), logging.getLogger("aura")
    before = root.handlers[:], root.level, own.level
    yield victim
    root.handlers[:], root.level, own.level = before
