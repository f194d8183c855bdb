"""Of 124 kinds of wrong providers the check that names the fault tells all but those listed with the reason."""

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from kinds import KINDS, Kind
from mutants import AT_ONCE, Mutant, broken_promises, edited, sample

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
EVERY = 9
"""CI tries each ninth, with the full description and with the minimal one."""
FULL = [kind for kind in KINDS if kind.caught_by]
MINIMAL = [kind for kind in KINDS if kind.minimal]


def examine(folder: Path, kind: Kind, minimal: bool) -> dict[str, str]:
    """What the check for this fault says of it, by its name; nothing where it is content."""
    shutil.copytree(HERE / "aura_messages", folder / "aura_messages", ignore=shutil.ignore_patterns("__pycache__"))
    module = folder / "aura_messages/__init__.py"
    mutant = Mutant(kind.name, kind.caught_by, kind.edits)
    module.write_text(edited(module.read_text(encoding="utf-8"), mutant), encoding="utf-8")
    environ = os.environ | ({"AURA_MINIMAL": "1"} if minimal else {})
    check = kind.minimal if minimal else kind.caught_by
    return broken_promises(folder, "aura.conformance", [check], "messages", environ)


@pytest.fixture(scope="module")
def reports(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[tuple[str, bool], Future[dict[str, str]]]]:
    """The results of the kinds that are tried, several at the same time, as they mostly wait."""
    calls = (getattr(item, "callspec", None) for item in request.session.items if item.path == request.path)
    params = [call.params for call in calls if call is not None and "kind" in call.params]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {
            (param["kind"].name, param["minimal"]): pool.submit(
                examine, tmp_path_factory.mktemp("kind"), param["kind"], param["minimal"]
            )
            for param in params
        }
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("minimal", [False], ids=["full"])
@pytest.mark.parametrize("kind", sample(FULL, EVERY, [kind.name for kind in FULL]))
def test_the_check_that_names_the_fault_tells_it(
    kind: Kind, minimal: bool, reports: dict[tuple[str, bool], Future[dict[str, str]]]
) -> None:
    told = bool(reports[kind.name, minimal].result())
    assert told is not bool(kind.escapes), reports[kind.name, minimal].result() or f"not told by {kind.caught_by}"


@pytest.mark.parametrize("minimal", [True], ids=["minimal"])
@pytest.mark.parametrize("kind", sample(MINIMAL, EVERY, [kind.name for kind in MINIMAL]))
def test_a_minimal_description_is_enough(
    kind: Kind, minimal: bool, reports: dict[tuple[str, bool], Future[dict[str, str]]]
) -> None:
    told = bool(reports[kind.name, minimal].result())
    assert told is not bool(kind.minimal_escapes), reports[kind.name, minimal].result() or f"by {kind.minimal}"


@pytest.mark.parametrize("minimal", [False, pytest.param(True, marks=pytest.mark.mutants)], ids=["full", "minimal"])
def test_the_provider_without_a_fault_keeps_every_promise(minimal: bool, tmp_path: Path) -> None:
    shutil.copytree(HERE / "aura_messages", tmp_path / "aura_messages", ignore=shutil.ignore_patterns("__pycache__"))
    environ = os.environ | ({"AURA_MINIMAL": "1"} if minimal else {})
    assert broken_promises(tmp_path, "aura.conformance", (), "messages", environ) == {}


def test_at_least_110_of_124_kinds_are_told_and_29_of_32_with_a_minimal_description() -> None:
    assert (len(KINDS), len({kind.name for kind in KINDS})) == (124, 124)
    assert sum(not kind.escapes for kind in KINDS) >= 110
    assert all(kind.escapes or (kind.caught_by and kind.edits) for kind in KINDS)
    assert len(MINIMAL) == 32
    assert sum(bool(kind.minimal_escapes) for kind in MINIMAL) <= 3
