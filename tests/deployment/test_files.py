"""Each file of deploy/ is used by a test: by its name, or as a resource of a kustomization that a test renders."""

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
TESTS = Path(__file__).parent


def test_each_file_is_used_by_a_test() -> None:
    tests = [path.read_text(encoding="utf-8") for path in TESTS.glob("test_*.py") if path != Path(__file__)]
    tests += [(TESTS / "conftest.py").read_text(encoding="utf-8"), (ROOT / "Dockerfile").read_text(encoding="utf-8")]
    unused = []
    for path in (path for path in DEPLOY.rglob("*") if path.is_file()):
        kustomization = path.parent / "kustomization.yaml"
        rendered = yaml.safe_load(kustomization.read_text(encoding="utf-8")) if kustomization.exists() else {}
        parts = [*rendered.get("resources", [])]
        parts += [file for each in rendered.get("configMapGenerator", []) for file in each["files"]]
        if path != kustomization and path.name not in parts and not any(path.name in text for text in tests):
            unused.append(path.relative_to(DEPLOY).as_posix())
    assert unused == []
