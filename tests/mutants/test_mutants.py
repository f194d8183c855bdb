"""Every mutant is detected by the check for its mistake, and by no other."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from mutants import MUTANTS, Mutant, sample

from aura_core.cli.new_plugin import TEMPLATE
from aura_core.testing.checks import PROMISES

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
MODULE = "aura_acme/__init__.py"
Report = dict[str, str]
LIMIT = 900
"""Seconds for all checks of one mutant; on a busy machine they take minutes."""


def install(folder: Path, mutant: Mutant | None) -> None:
    """Put the plugin, with a mistake, where Python finds it; its protocol is that of the template."""
    shutil.copytree(HERE / "aura_acme", folder / "aura_acme", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(TEMPLATE / "aura_acme/conformance.py", folder / "aura_acme")
    source = (folder / MODULE).read_text(encoding="utf-8")
    for old, new in mutant.edits if mutant else []:
        assert source.count(old) == 1, f"{source.count(old)} times: {old}"
        source = source.replace(old, new)
    (folder / MODULE).write_text(source, encoding="utf-8")
    info = folder / "aura_acme-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: aura-acme\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text(
        "[aura]\nacme = aura_acme\n[aura.conformance]\nacme = aura_acme.conformance:conformance\n"
    )


def examine(folder: Path, mutant: Mutant | None) -> Report:
    """The broken promises, as reported by `aura test-plugin` in a subprocess."""
    install(folder, mutant)
    command = [sys.executable, "-m", "aura_core", "test-plugin", "acme", "--json"]
    environ = os.environ | {"PYTHONPATH": str(folder)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.stdout, done.stderr
    checks = json.loads(done.stdout)["checks"]
    assert [each["name"] for each in checks] == list(PROMISES)
    broken = {each["name"]: each["detail"] for each in checks if each["status"] == "failed"}
    assert done.returncode == (1 if broken else 0)
    return broken


@pytest.fixture(scope="module")
def reports(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Report]]]:
    """The results of the mutants, some of which run at the same time, since they mostly wait."""
    calls = (getattr(item, "callspec", None) for item in request.session.items)
    wanted = [call.params["mutant"] for call in calls if call is not None and "mutant" in call.params]
    with ThreadPoolExecutor(3) as pool:
        yield {m.mistake: pool.submit(examine, tmp_path_factory.mktemp("mutant"), m) for m in wanted}
        pool.shutdown(cancel_futures=True)


def test_the_provider_without_a_mistake_keeps_every_promise(tmp_path: Path) -> None:
    assert examine(tmp_path, None) == {}


@pytest.mark.parametrize("mutant", sample(MUTANTS))
def test_the_mistake_is_detected_only_by_its_check(mutant: Mutant, reports: dict[str, Future[Report]]) -> None:
    broken = reports[mutant.mistake].result()
    assert set(broken) == {mutant.caught_by}, broken


def test_every_check_detects_a_mistake() -> None:
    assert {mutant.caught_by for mutant in MUTANTS} == set(PROMISES)
