"""Three scripted servers for each test of failing over."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aura_core.testing import Upstream

sys.path.insert(0, str(Path(__file__).parent))  # for the modules that the tests of this folder share

from scripted import Trio, answer


@pytest.fixture
def trio(tmp_path: Path) -> Iterator[Trio]:
    with Upstream(answer("p")) as primary, Upstream(answer("b")) as backup, Upstream(answer("s")) as stranger:
        yield Trio(tmp_path, primary, backup, stranger)
        assert not stranger.requests, "an instance was asked that the agent does not name"
