"""No foreign text takes more than linear time in any of our regular expressions (CWE-1333)."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hostile_texts import CUT, PATTERNS
from slow_patterns import Pattern, findings, python_patterns, script_patterns

ROOT = Path(__file__).parents[2]
CPU = 120
"""Seconds of a processor for all of it, which takes 20, however busy the machine is; a quadratic one takes an hour."""
WALL = 1800
FEED = f"""
import sys
if sys.platform != "win32":
    import resource
    resource.setrlimit(resource.RLIMIT_CPU, ({CPU}, {CPU}))
import hostile_texts, test_patterns
hostile_texts.feed(test_patterns.PYTHON)
"""


def _sources(*patterns: str) -> dict[str, Path]:
    paths = sorted({path for pattern in patterns for path in ROOT.glob(pattern)})
    return {path.relative_to(ROOT).as_posix(): path for path in paths}


PYTHON = list(python_patterns(_sources("aura_core/**/*.py", "plugins/*/aura_*/**/*.py")))
SCRIPTS = [
    pattern
    for name, path in _sources("aura_core/web/**/*.js", "extension/src/**/*.ts").items()
    for pattern in script_patterns(path, name)
]

# Patterns that `findings` reports although they are linear, with the reason.
LINEAR = {
    r"\s*+\S++|\s++$": "white space that no word follows is the text's end, and the second branch takes it",
    r"^(?:(`{3,})([^`]*)|(~{3,})(.*))$": "markdown.js gives it one line, in which `.*` takes all",
}


def test_the_patterns_are_found() -> None:
    assert len(PYTHON) > 30
    assert len(SCRIPTS) > 30
    assert any(pattern.place.startswith("aura_core/web/inline.js") for pattern in SCRIPTS)
    assert any(
        "pattern=" in line and NO_NUL in {p.text for p in PYTHON} for line in _lines("aura_core/config/settings.py")
    )


NO_NUL = r"^[^\x00]*$"


def _lines(name: str) -> list[str]:
    return (ROOT / name).read_text(encoding="utf-8").splitlines()


def test_each_pattern_is_listed_with_its_worst_text_or_with_whose_text_it_reads() -> None:
    """Add a new one to `PATTERNS` in hostile_texts.py: with the text that suits it worst, or `Ours` and the reason."""
    found = {pattern.text for pattern in PYTHON}
    assert sorted(found - PATTERNS.keys() - CUT.keys()) == []
    assert sorted((PATTERNS.keys() | CUT.keys()) - found) == [], "these are gone"


@pytest.mark.parametrize("pattern", [*PYTHON, *SCRIPTS], ids=lambda pattern: f"{pattern.place} {pattern.text[:40]}")
def test_no_pattern_has_open_ended_repeats_in_or_beside_one_another(pattern: Pattern) -> None:
    if pattern.text not in LINEAR and pattern.text not in CUT:
        assert findings(pattern) == [], pattern.text


@pytest.mark.parametrize(
    ("text", "how"),
    [
        (r"(a+)+$", "match"),
        (r"(?:a*b?)*c", "match"),
        (r"\s*=?\s*;", "match"),
        (r"\w*\d*!", "match"),
        (r"\s+$", "search"),
        (r"\S*://\S*", "search"),
        (r" *$", "search"),
        (r"x[^`.]*[^`]*`$", "search"),
        (r"<!--.*-->", "search"),
        (r"[a-z]*", "fullmatch"),
        (r"a{0,1000}a{0,1000}b", "match"),
        (r"(?:x|a*)a*!", "match"),
        (r"(?=a*a*b)a", "match"),
    ],
)
def test_a_slow_pattern_is_named(text: str, how: str) -> None:
    assert bool(findings(Pattern("", text, 0, how))) is (text != "[a-z]*")


@pytest.mark.parametrize(
    ("text", "how"),
    [
        (r"\S+", "search"),
        (r"<[^>]*>?", "search"),
        (r"`[^`]*`", "search"),
        (r"^ *$", "search"),
        (r"(?:\\.|[^\\])*!", "match"),
        (r"(?:,[a-z]*)*;", "match"),
        (r"[a-z]*=[a-z]*;", "match"),
        (r"a*+a*b", "match"),
        (r"a{0,9}a*b", "match"),
    ],
)
def test_a_linear_pattern_is_not_named(text: str, how: str) -> None:
    assert findings(Pattern("", text, 0, how)) == []


def test_a_pattern_of_a_script_is_told_from_a_division(tmp_path: Path) -> None:
    source = tmp_path / "a.ts"
    source.write_text(
        "const a = b / c / d; // /no/\nf(`${x / y}/no/${/in/.test(`/no/`)}`, '/no/');\nreturn /a[/\\]]b/gi;"
    )
    assert [(p.place, p.text) for p in script_patterns(source, "a.ts")] == [("a.ts:2", "in"), ("a.ts:3", r"a[/\]]b")]


def test_a_megabyte_of_hostile_text_is_read_at_once(tmp_path: Path) -> None:
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parent), "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, "-c", FEED], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=WALL
    )
    last = (done.stdout.splitlines() or ["nothing"])[-1]
    assert last == "all were fed", f"this takes too long, or fails: {last}\n{done.stderr[-2000:]}"


def test_no_pattern_is_made_of_foreign_text() -> None:
    """A pattern that is built at run time cannot be listed; it would need `re.escape`."""
    made = [name for name in _sources("aura_core/**/*.py", "plugins/*/aura_*/**/*.py") if _makes(name)]
    assert made == []


def _makes(name: str) -> bool:
    return re.search(r"\bre\.escape\(|\bRegExp\(", "\n".join(_lines(name))) is not None
