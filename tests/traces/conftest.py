"""A collector, two scripted model servers, and one Aura in front of them, for all tests of a module."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aura_core.testing import AuraServer, Upstream

sys.path.insert(0, str(Path(__file__).parent))  # for the modules that the tests of this folder share

from collector import Collector
from traced import Traced, clear_variables


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    clear_variables(monkeypatch)


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    with Collector() as collector, Upstream() as primary, Upstream() as backup, pytest.MonkeyPatch.context() as patch:
        clear_variables(patch)
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
        yield from Traced.serve(tmp_path_factory.mktemp("traced"), collector, primary, backup)
