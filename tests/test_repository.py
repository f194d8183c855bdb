"""What must never be committed, and what must stay consistent."""

import re
import subprocess
import tomllib
from itertools import chain
from pathlib import Path

import pytest

from aura_core._version import __version__

ROOT = Path(__file__).parents[1]


def _tracked() -> list[Path]:
    git = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if git.returncode:
        pytest.skip("needs a git checkout")
    return [ROOT / name for name in git.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def test_no_address_of_a_registry_and_no_path_of_a_machine() -> None:
    hosts = "|".join(["pypi" + r"\.org", "python" + "hosted", r"registry\." + "npmjs", r"deb\." + "debian"])
    forbidden = re.compile(rf"({hosts})|(^|[^A-Za-z0-9_.])/(work|root)/".encode())
    for path in _tracked():
        content = path.read_bytes()
        if b"\0" not in content:
            found = forbidden.search(content)
            assert found is None, f"{path}: {found[0]!r}" if found else ""


def test_the_old_name_of_the_core_is_used_only_where_we_warn_of_it() -> None:
    """The core's former name; the distribution of that name on the public index belongs to a third party."""
    name = re.compile(b"aura" + rb"-core", re.IGNORECASE)
    found = {path.relative_to(ROOT).as_posix() for path in _tracked() if name.search(path.read_bytes())}
    old = {"tests/conformance/test_scaffold_0_1.py", "tests/conformance/scaffold_0_1/pyproject.toml"}
    kit = {"aura_core/testing/harness.py", "docs/plugins.md"}  # it holds plugins for 0.1 to what 0.1 asked
    assert found == {"CHANGELOG.md", "SECURITY.md"} | old | kit


def test_no_text_recommends_installing_a_name_that_we_have_not_published() -> None:
    """None of our distributions is on an index: a third party's package of that name would be installed."""
    advice = re.compile(r"""\binstall\b.*(?<!-e)[\s"']aura[-_][\w{](?!.* @ )""")
    assert advice.search("it is not installed; pip install aura-{plugin}")
    assert advice.search('install it with: pip install "aura-azure[entra]"')
    for path in _tracked():
        if path.suffix in (".py", ".md", ".ts", ".js", ".json", ".yml", ".toml") and ROOT / "tests" not in path.parents:
            found = [line for line in path.read_text(encoding="utf-8").splitlines() if advice.search(line)]
            assert found == [], path


def test_no_build_product_is_committed() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in _tracked()}
    assert not [n for n in names if re.search(r"(^|/)(uv\.lock|node_modules|dist|__pycache__|\.venv)(/|$)|\.vsix$", n)]


def test_uv_and_pip_get_the_same_constraints() -> None:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pins = [line for line in text.splitlines() if line and not line.startswith("#")]
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert pyproject["tool"]["uv"]["constraint-dependencies"] == pins


def test_the_core_and_its_plugins_have_one_version_and_fit_together() -> None:
    minor = int(__version__.split(".")[1])
    fits = f">=0.{minor},<0.{minor + 1}"
    projects = [
        tomllib.loads(path.read_text(encoding="utf-8"))["project"] for path in ROOT.glob("plugins/*/pyproject.toml")
    ]
    assert {project["version"] for project in projects} == {__version__}
    others = [ROOT / "aura_core/template", ROOT / "aura_core/template_door", *ROOT.glob("docs/examples/*")]
    projects += [tomllib.loads((each / "pyproject.toml").read_text(encoding="utf-8"))["project"] for each in others]
    for project in projects:
        wanted = [*project["dependencies"], *chain(*project.get("optional-dependencies", {}).values())]
        ours = [text for text in wanted if text.startswith("aura-")]
        assert ours
        assert all(re.sub(r"^aura-[a-z-]+(\[[a-z]+\])?", "", text) == fits for text in ours), ours


def test_ci_calls_the_readme_s_own_command_and_asks_once() -> None:
    run = (ROOT / ".ci/run").read_text(encoding="utf-8")
    (wanted,) = re.findall(r"^command=\$\(grep -m 1 '(.+)' README\.md\)$", run, re.MULTILINE)
    command = re.search(f"^.*{wanted}.*$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert command is not None
    assert command[0] == "pip install uv && uv run --all-groups pytest -n auto --dist loadfile"
    assert 'part "$command"\n' in run
    for path in (ROOT / ".ci/run", ROOT / "extension/vitest.e2e.config.mts", ROOT / "pyproject.toml"):
        assert not re.search(r"last-failed|\bretry\b|reruns|flaky", path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize("file", sorted(ROOT.glob("aura_core/**/*.py")), ids=lambda p: p.name)
def test_a_module_opens_with_a_sentence(file: Path) -> None:
    first = file.read_text(encoding="utf-8").split("\n", 1)[0]
    assert re.match(r'r?"""\S.*', first), file


def test_the_core_names_no_provider_but_its_own() -> None:
    for path in ROOT.glob("aura_core/**/*.py"):
        text = path.read_text(encoding="utf-8").lower()
        for name in ("ollama", "openai", "azure", "anthropic"):
            # Messages about missing providers and the examples of `aura init` name no package.
            code = re.sub(r'(?s)""".*?"""|#[^\n]*', "", text)
            assert name not in code or path.name == "init.py", f"{path} names {name}"
