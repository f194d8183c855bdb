"""Every mutant is detected by the check for its mistake; the provider without one keeps every promise."""

import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from kinds import KINDS
from mutants import AT_ONCE, MUTANTS, Mutant, broken_promises, edited, sample

from aura_core.cli.new_plugin import TEMPLATE
from aura_core.testing.checks import PROMISES

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
EVERY = 12
"""CI tries each twelfth."""
MODULE = "aura_acme/__init__.py"
Report = dict[str, str]


def examine(folder: Path, mutant: Mutant | None) -> Report:
    """The promises that the plugin breaks with this mistake; its protocol is that of the template."""
    shutil.copytree(HERE / "aura_acme", folder / "aura_acme", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(TEMPLATE / "aura_acme/conformance.py", folder / "aura_acme")
    module = folder / MODULE
    module.write_text(edited(module.read_text(encoding="utf-8"), mutant), encoding="utf-8")
    return broken_promises(folder, "aura.conformance", [mutant.caught_by] if mutant else ())


@pytest.fixture(scope="module")
def reports(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Report]]]:
    """The results of the mutants, some of which run at the same time, since they mostly wait."""
    calls = (getattr(item, "callspec", None) for item in request.session.items if item.path == request.path)
    wanted = [call.params["mutant"] for call in calls if call is not None and "mutant" in call.params]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {m.mistake: pool.submit(examine, tmp_path_factory.mktemp("mutant"), m) for m in wanted}
        pool.shutdown(cancel_futures=True)


def test_the_provider_without_a_mistake_keeps_every_promise(tmp_path: Path) -> None:
    assert examine(tmp_path, None) == {}


@pytest.mark.parametrize("mutant", sample(MUTANTS, EVERY, [mutant.mistake for mutant in MUTANTS]))
def test_the_mistake_is_detected_by_its_check(mutant: Mutant, reports: dict[str, Future[Report]]) -> None:
    broken = reports[mutant.mistake].result()
    assert set(broken) == {mutant.caught_by}, broken


def test_every_check_detects_a_mistake() -> None:
    told = (
        {mutant.caught_by for mutant in MUTANTS} | {kind.caught_by for kind in KINDS} | {kind.minimal for kind in KINDS}
    )
    assert set(PROMISES) - told == {"description"}, "which is about the description; see test_descriptions.py"
