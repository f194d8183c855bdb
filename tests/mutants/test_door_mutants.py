"""Every faulty door is detected by the check for its mistake, and by no other."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from door_mutants import DOOR_MUTANTS
from mutants import Mutant, sample

from aura_core.cli.new_plugin import DOOR_TEMPLATE, files
from aura_core.testing.checks import DOOR_PROMISES

pytestmark = pytest.mark.slow

MODULE = "aura_acme/__init__.py"


def examine(folder: Path, mutant: Mutant | None) -> dict[str, str]:
    """The broken promises, as reported by `aura test-plugin` in a subprocess."""
    for path, text in files("acme", DOOR_TEMPLATE).items():
        if path == MODULE:
            for old, new in mutant.edits if mutant else []:
                assert text.count(old) == 1, f"{text.count(old)} times: {old}"
                text = text.replace(old, new)
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    info = folder / "aura_acme-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: aura-acme\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text(
        "[aura]\nacme = aura_acme\n[aura.conformance.doors]\nacme = aura_acme.conformance:conformance\n"
    )
    command = [sys.executable, "-m", "aura_core", "test-plugin", "acme", "--json"]
    environ = os.environ | {"PYTHONPATH": str(folder)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=900, check=False)
    assert done.stdout, done.stderr
    checks = json.loads(done.stdout)["checks"]
    assert [each["name"] for each in checks] == list(DOOR_PROMISES)
    broken = {each["name"]: each["detail"] for each in checks if each["status"] == "failed"}
    assert done.returncode == (1 if broken else 0)
    return broken


def test_the_door_without_a_mistake_keeps_every_promise(tmp_path: Path) -> None:
    assert examine(tmp_path, None) == {}


@pytest.mark.parametrize("mutant", sample(DOOR_MUTANTS))
def test_the_mistake_is_detected_only_by_its_check(mutant: Mutant, tmp_path: Path) -> None:
    broken = examine(tmp_path, mutant)
    assert set(broken) == {mutant.caught_by}, broken
