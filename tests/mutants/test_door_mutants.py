"""Every faulty door is detected by the check for its mistake, and by no other."""

from pathlib import Path

import pytest
from door_mutants import DOOR_MUTANTS
from mutants import Mutant, broken_promises, edited, sample

from aura_core.cli.new_plugin import DOOR_TEMPLATE, files

pytestmark = pytest.mark.slow

MODULE = "aura_acme/__init__.py"


def examine(folder: Path, mutant: Mutant | None) -> dict[str, str]:
    """The promises that the door breaks with this mistake."""
    for path, text in files("acme", DOOR_TEMPLATE).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(edited(text, mutant) if path == MODULE else text, encoding="utf-8")
    return broken_promises(folder, "aura.conformance.doors")


def test_the_door_without_a_mistake_keeps_every_promise(tmp_path: Path) -> None:
    assert examine(tmp_path, None) == {}


@pytest.mark.parametrize("mutant", sample(DOOR_MUTANTS, 5, [mutant.mistake for mutant in DOOR_MUTANTS]))
def test_the_mistake_is_detected_only_by_its_check(mutant: Mutant, tmp_path: Path) -> None:
    broken = examine(tmp_path, mutant)
    assert set(broken) == {mutant.caught_by}, broken
