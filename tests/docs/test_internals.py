"""docs/internals.md is true: every file and every name in it exists, and it leaves out no package."""

import ast
import re
from pathlib import Path

import pytest
from doc_pages import DOCS

import aura_core

ROOT = DOCS.parent
PAGES = [DOCS / "internals.md", DOCS / "design.md", ROOT / "CONTRIBUTING.md"]
TOP = {path.name for path in ROOT.iterdir()}
PLACE = re.compile(r"`((?:[\w.-]+/)+[\w.-]*|[\w.-]+\.(?:md|toml|js|ts))(?:::([\w.]+))?`")


def _places() -> list[tuple[str, str]]:
    """Paths that begin at the top of the repository, each with the name in it, or an empty one."""
    text = "".join(path.read_text(encoding="utf-8") for path in PAGES)
    found = {(path, name or "") for path, name in PLACE.findall(text)}
    return sorted((path, name) for path, name in found if path.split("/")[0] in TOP)


def _names(body: list[ast.stmt]) -> set[str]:
    """What these statements define: functions, classes with what is in them, and assigned names."""
    found = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {node.name, *(f"{node.name}.{name}" for name in _names(node.body) | _attributes(node))}
        else:
            found |= {
                each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
            }
    return found


def _attributes(node: ast.ClassDef) -> set[str]:
    """What its methods assign to `self`."""
    stored = (each for each in ast.walk(node) if isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Store))
    return {each.attr for each in stored if isinstance(each.value, ast.Name) and each.value.id == "self"}


@pytest.mark.parametrize(("path", "name"), _places())
def test_the_place_exists(path: str, name: str) -> None:
    file = ROOT / path
    assert file.exists()
    if name:
        assert name in _names(ast.parse(file.read_text(encoding="utf-8")).body)


def test_there_are_places() -> None:
    assert sum(1 for _, name in _places() if name) > 60


def test_the_picture_has_every_package() -> None:
    picture = re.findall(r"^```text\n(.*?)^```$", PAGES[0].read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)[0]
    packages = {path.parent.name for path in Path(aura_core.__file__).parent.glob("*/__init__.py")}
    assert [name for name in sorted(packages) if f"{name}/" not in picture] == []
