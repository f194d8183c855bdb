"""The example of docs/plugins.md with binary frames and a login, written from that page alone, passes its tests."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

from aura_core.testing.checks import PROMISES

EXAMPLE = Path(__file__).parents[2] / "docs/examples/telex_provider"
NOT_JSON = {"side-fields", "failing-finish", "broken-records", "missing-end"}
"""Promises about fields of JSON records."""


def test_the_example_passes_its_own_tests(tmp_path: Path) -> None:
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = tmp_path / "aura_telex-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\nRequires-Dist: aura-server\n"
    )
    groups = project["entry-points"].items()
    (info / "entry_points.txt").write_text("".join(f"[{group}]\ntelex = {found['telex']}\n" for group, found in groups))
    path = os.pathsep.join([str(tmp_path), str(EXAMPLE)])
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-c", str(EXAMPLE / "pyproject.toml"), str(EXAMPLE)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    skipped = len(NOT_JSON) + 1  # and other-hooks: it has none
    assert f"{len(PROMISES) - skipped + 1} passed, {skipped} skipped" in done.stdout, done.stdout[-2000:]
