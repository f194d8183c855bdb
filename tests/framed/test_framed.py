"""A provider for a protocol unknown to the repository, written only from docs/plugins.md, keeps every promise."""

import json
import os
import subprocess
import sys
from pathlib import Path

from aura_core.testing.checks import PROMISES

FOLDER = Path(__file__).parent


def test_a_provider_of_length_prefixed_json_keeps_every_promise(tmp_path: Path) -> None:
    info = tmp_path / "aura_framed-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: aura-framed\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[aura]\nframed = aura_framed\n[aura.conformance]\nframed = aura_framed.conformance:conformance\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "aura_core", "test-plugin", "framed", "--json"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(FOLDER), str(tmp_path)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    checks = json.loads(done.stdout)["checks"]
    assert [c for c in checks if c["status"] == "failed"] == []
    kept = {c["name"] for c in checks if c["status"] == "ok"}
    without = {"framing", "reasoning", "side-fields", "failing-finish"}
    assert kept == set(PROMISES) - without, "it has one spelling, no reasoning, and no lines of JSON"
