"""The kit detects in a plugin over an official SDK, aura-anthropic, the mistakes that it detects in a small one."""

import shutil
from pathlib import Path

import aura_anthropic
import pytest
from anthropic_mutants import MUTANTS
from mutants import Mutant, broken_promises, edited

pytestmark = [pytest.mark.slow, pytest.mark.mutants]


def examine(folder: Path, mutant: Mutant | None) -> dict[str, str]:
    """What the check for this mistake says of a copy of the plugin, under the name acme; without one, what all say."""
    package = Path(aura_anthropic.__file__).parent
    shutil.copytree(package, folder / "aura_acme", ignore=shutil.ignore_patterns("__pycache__"))
    texts = {path: path.read_text(encoding="utf-8") for path in (folder / "aura_acme").glob("*.py")}
    for old, new in mutant.edits if mutant else ():
        found = [path for path, text in texts.items() if old in text]
        assert len(found) == 1, f"in {[path.name for path in found]}: {old}"
        texts[found[0]] = edited(texts[found[0]], Mutant("", "", [(old, new)]))
    for path, text in texts.items():
        text = text.replace("aura_anthropic", "aura_acme").replace('plugin="anthropic"', 'plugin="acme"')
        path.write_text(text, encoding="utf-8")
    return broken_promises(folder, "aura.conformance", [mutant.caught_by] if mutant else ())


def test_the_copy_without_a_mistake_keeps_every_promise(tmp_path: Path) -> None:
    assert examine(tmp_path, None) == {}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.mistake.replace(" ", "-"))
def test_the_mistake_is_detected_by_its_check(mutant: Mutant, tmp_path: Path) -> None:
    broken = examine(tmp_path, mutant)
    assert set(broken) == {mutant.caught_by}, broken
