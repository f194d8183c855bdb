"""Fixtures for the core's tests: fake distributions, real servers, raw sockets."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

FakePlugin = Callable[..., None]


@pytest.fixture
def fake_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePlugin]:
    """Put a distribution with one plugin on sys.path, as pip would."""
    made: list[str] = []

    def make(name: str, source: str, distribution: str | None = None, version: str = "1.0", requires: str = "") -> None:
        distribution = distribution or f"aura-{name}"
        module = f"fake_{distribution}_{name}".replace("-", "_")
        made.append(module)
        folder = tmp_path / "site" / distribution
        info = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        needs = f"Requires-Dist: {requires}\n" if requires else ""
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n{needs}")
        (info / "entry_points.txt").write_text(f"[aura]\n{name} = {module}\n")
        (folder / f"{module}.py").write_text(source)
        monkeypatch.syspath_prepend(str(folder))

    yield make
    for module in made:
        sys.modules.pop(module, None)
