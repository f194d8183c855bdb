"""The example of docs/plugins.md, a door in Ollama's dialect, passes its tests: with Ollama's client and the kit."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "docs/examples/ollama_door"


def test_the_example_passes_its_own_tests(tmp_path: Path) -> None:
    pytest.importorskip("ollama", reason="needs the client of Ollama")
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = tmp_path / "aura_ollama_door-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = project["entry-points"].items()
    texts = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in found.items()) for group, found in groups
    ]
    (info / "entry_points.txt").write_text("".join(texts))
    path = os.pathsep.join([str(tmp_path), str(EXAMPLE)])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", str(EXAMPLE / "pyproject.toml")]
    done = subprocess.run(
        [*command, str(EXAMPLE)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout
