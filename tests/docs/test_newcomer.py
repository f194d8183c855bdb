"""A newcomer's session with docs/getting-started.md: from a checkout and an empty environment to a second provider."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from doc_pages import DOCS, blocks
from doc_session import Session, compare

from aura_core.testing import Upstream

ROOT = DOCS.parent
FOREIGN = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "UV_PROJECT_ENVIRONMENT", "UV_PYTHON")


@pytest.mark.slow
def test_a_newcomer_gets_from_install_to_a_second_provider(tmp_path: Path, ollama: Upstream) -> None:
    found = blocks(DOCS / "getting-started.md")
    environ = _environment() | {"OLLAMA_HOST": ollama.url}
    with Session(_checkout(tmp_path), environ) as session:
        for block in found:
            session.follow(block)
        aura = shutil.which("aura", path=session.environ["PATH"])
        assert aura is not None
        assert Path(aura).is_relative_to(tmp_path), "the session used another Aura than the one that it installed"
    assert any(request.path == "/api/chat" for request in ollama.requests)


@pytest.mark.slow
def test_the_readme_s_commands_lead_to_a_streamed_answer(tmp_path: Path) -> None:
    serve, ask, answer, script, run_it = blocks(ROOT / "README.md")[:5]
    subprocess.run(["python3", "-m", "venv", tmp_path / "venv"], env=_environment(), check=True)
    environ = _environment() | {"OLLAMA_HOST": "127.0.0.1:1"}  # no server listens there
    environ["PATH"] = f"{tmp_path / 'venv' / 'bin'}{os.pathsep}{environ['PATH']}"
    with Session(_checkout(tmp_path), environ) as session:
        session.follow(serve)
        compare(answer.text, session.run(ask), ask.place)
        assert len([line for line in script.text.splitlines() if line]) == 5
        session.follow(script)
        compare("Hello world", session.run(run_it), run_it.place)
        commands = {path.name for path in (session.folder / ".venv").glob("[Bb]in/*")}
        tools = {"mypy", "playwright", "pytest", "ruff", "schemathesis", "just"}
        assert "aura" in commands
        assert not commands & tools, "serving needs no developer's tools"


@pytest.mark.skipif(os.name == "nt", reason="its links need rights on Windows")
def test_uv_takes_the_python_that_is_active_before_one_of_its_own(tmp_path: Path) -> None:
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("needs uv")
    base = Path(sys.base_prefix)
    environ = _environment() | {"UV_PYTHON_INSTALL_DIR": str(tmp_path)}
    environ["PATH"] = f"{base / 'bin'}{os.pathsep}{environ['PATH']}"
    list_them = [uv, "python", "list", "--only-installed", "--output-format", "json"]
    listed = json.loads(subprocess.run(list_them, env=environ, capture_output=True, check=True).stdout)
    (own := tmp_path / next(python["key"] for python in listed if python["path"].startswith(f"{base}/"))).mkdir()
    for folder in ("bin", "lib", "include"):
        (own / folder).symlink_to(base / folder)

    def taken(**more: str) -> Path:
        find = [uv, "python", "find"]
        found = subprocess.run(find, cwd=checkout, env=environ | more, capture_output=True, text=True, check=True)
        return Path(found.stdout.strip())

    checkout = _checkout(tmp_path / "work")
    assert taken(UV_PYTHON_PREFERENCE="managed").is_relative_to(own), "uv sees no Python of its own here"
    assert taken().is_relative_to(base)


def test_the_session_installs_serves_edits_breaks_and_adds() -> None:
    """What the session must contain, so that it is not shortened by accident."""
    found = blocks(DOCS / "getting-started.md")
    marks = {mark for block in found for mark in block.marks}
    assert {"install", "broken", "fails"} <= marks
    texts = [block.text for block in found if block.file]
    assert sum("provider: echo" in text for text in texts) >= 3
    assert any("provider: ollama" in text for text in texts)
    assert sum(block.language == "log" for block in found) >= 4


def _environment() -> dict[str, str]:
    """The variables of a user without Aura and without a development environment."""
    environ = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    folders = environ["PATH"].split(os.pathsep)
    environ["PATH"] = os.pathsep.join(folder for folder in folders if not (Path(folder) / "aura").exists())
    return environ


def _checkout(tmp_path: Path) -> Path:
    """The current files of the repository, without build products and ignored files."""
    target = tmp_path / "aura"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        if (ROOT / name).is_file() and not name.startswith(("tests/", "extension/")):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)
    return target
