"""The types in the comments of the page's modules are correct."""

import subprocess
from pathlib import Path


def test_the_type_checker_finds_nothing(node: str, node_modules: Path) -> None:
    checker = node_modules / "typescript" / "bin" / "tsc"
    result = subprocess.run([node, checker, "-p", node_modules.parent], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
