"""A plugin for Aura 0.1 works unchanged: what `aura new-plugin` wrote then, its own tests and `aura test-plugin`.

scaffold_0_1 is that distribution as it was written, under the name `acme`.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aura_core.testing import SSE, AuraServer, Reply, Upstream
from aura_core.testing.checks import PROMISES

SCAFFOLD = Path(__file__).parent / "scaffold_0_1"
NEW = {promise.name for promise in PROMISES.values() if promise.since != "0.1"}
METADATA = """\
Metadata-Version: 2.3
Name: aura-acme
Version: 0.1.0
Requires-Dist: aura-core<0.2,>=0.1
Requires-Dist: httpx<1,>=0.27
Requires-Dist: msgspec<1,>=0.19
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The scaffold, installed as pip installs it."""
    folder = tmp_path / "aura-acme"
    shutil.copytree(SCAFFOLD, folder, ignore=shutil.ignore_patterns("__pycache__"))
    info = folder / "aura_acme-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(METADATA)
    (info / "entry_points.txt").write_text(
        "[aura]\nacme = aura_acme\n\n[aura.conformance]\nacme = aura_acme.conformance:conformance\n"
    )
    return folder


def _run(project: Path, *command: str) -> str:
    environ = os.environ | {"PYTHONPATH": str(project)}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=project, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_own_tests_pass(project: Path) -> None:
    last = _run(project, "pytest", "-q", "-p", "no:cacheprovider").splitlines()[-1]
    assert last.startswith(f"{len(PROMISES) - len(NEW) + 1} passed, {len(NEW)} skipped"), last


def test_it_keeps_what_0_1_promised_and_the_rest_is_skipped_with_the_reason(project: Path) -> None:
    checks = json.loads(_run(project, "aura_core", "test-plugin", "acme", "--json"))["checks"]
    assert {each["name"] for each in checks if each["status"] == "ok"} == PROMISES.keys() - NEW
    skipped = {each["name"]: each["detail"] for each in checks if each["status"] == "skipped"}
    assert skipped.keys() == NEW
    assert set(skipped.values()) == {"it is new in Aura 0.2, and the plugin was written for 0.1"}


def test_a_plugin_for_0_2_is_held_to_all_of_it(project: Path) -> None:
    metadata = project / "aura_acme-0.1.0.dist-info/METADATA"
    metadata.write_text(METADATA.replace("aura-core<0.2,>=0.1", "aura-server<0.3,>=0.2"))
    environ = os.environ | {"PYTHONPATH": str(project)}
    command = [sys.executable, "-m", "aura_core", "test-plugin", "acme", "--json"]
    done = subprocess.run(command, cwd=project, env=environ, capture_output=True, text=True, check=False)
    broken = {each["name"] for each in json.loads(done.stdout)["checks"] if each["status"] == "failed"}
    assert {"settings"} <= broken, "it has no file for its key"


def test_it_answers_over_a_server(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(project))
    monkeypatch.setenv("ACME_API_KEY", "sk-acme-0123456789")
    answer = SSE.body({"text": "Hello"}, {"finish": "stop", "usage": {"prompt": 9, "completion": 2}})
    with Upstream(Reply([answer])) as upstream:
        toml = f'[providers.acme]\nbase_url = "{upstream.url}"\n'
        with AuraServer(tmp_path, {"it.md": "---\nprovider: acme\nmodel: m\n---\n"}, toml) as aura:
            assert aura.ask("it")[-1].data == {"totalTokens": 11, "finishReason": "stop"}
    assert upstream.requests[0].headers["authorization"] == "Bearer sk-acme-0123456789"
    sys.modules.pop("aura_acme", None)
