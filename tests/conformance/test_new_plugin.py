"""`aura new-plugin` creates a distribution that can be built, installed, tested, checked and used."""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from aura_core.cli.new_plugin import files
from aura_core.testing import SSE, AuraServer, Reply, Upstream
from aura_core.testing.checks import DOOR_PROMISES, PROMISES

FakePlugin = Callable[..., None]
ROOT = Path(__file__).parents[2]
FILES = {
    ".github/workflows/test.yml",
    "README.md",
    "aura_demo/__init__.py",
    "aura_demo/conformance.py",
    "pyproject.toml",
    "tests/conftest.py",
    "tests/test_demo.py",
}


def new_plugin(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "aura_core", "new-plugin", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_it_writes_a_whole_distribution_under_the_new_name(tmp_path: Path) -> None:
    done = new_plugin("demo", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "aura-demo"
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert written == FILES
    assert not any("acme" in (folder / name).read_text(encoding="utf-8").lower() for name in FILES)
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == "aura-demo"
    assert project["entry-points"] == {
        "aura": {"demo": "aura_demo"},
        "aura.conformance": {"demo": "aura_demo.conformance:conformance"},
    }


def test_it_writes_a_door_that_keeps_every_promise_and_passes_its_own_tests(tmp_path: Path) -> None:
    done = new_plugin("--door", "demo", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "aura-demo"
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert written == FILES
    assert not any("acme" in (folder / name).read_text(encoding="utf-8").lower() for name in FILES)
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = folder / "aura_demo-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = project["entry-points"].items()
    (info / "entry_points.txt").write_text("".join(f"[{group}]\ndemo = {found['demo']}\n" for group, found in groups))
    environ = os.environ | {"PYTHONPATH": str(folder)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    tested = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stdout[-3000:]
    assert f"{len(DOOR_PROMISES) + 1} passed" in tested.stdout
    proved = subprocess.run(
        [sys.executable, "-m", "aura_core", "test-plugin", "demo"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"demo: {len(DOOR_PROMISES)} promises kept, 0 broken, 0 skipped" in proved.stdout, proved.stdout


def test_a_name_of_two_words_has_its_three_spellings() -> None:
    made = files("my_server")
    assert "class MyServerSettings" in made["aura_my_server/__init__.py"]
    assert "MY_SERVER_API_KEY" in made["aura_my_server/__init__.py"]
    assert 'name = "aura-my-server"' in made["pyproject.toml"]
    compile(made["aura_my_server/__init__.py"], "it", "exec")


@pytest.mark.parametrize(
    "address",
    [
        "localhost:8000",
        "",
        "http://",
        "http://127.0.0.1:80x",
        "http://h:0",
        "http://me:pw@h",
        "http://h/?a=1",
        "http://a b",
    ],
)
def test_an_invalid_address_is_reported_at_once(address: str, tmp_path: Path, fake_plugin: FakePlugin) -> None:
    fake_plugin("demo", files("demo")["aura_demo/__init__.py"])
    toml = f'[providers.demo]\nbase_url = "{address}"\n'
    with AuraServer(tmp_path, {"it.md": "---\nprovider: demo\nmodel: m\n---\n"}, toml) as aura:
        problem = aura.post("it").json()
    assert problem["code"] == "provider_misconfigured"
    assert "base_url: it must be http://" in problem["detail"]


def test_a_request_on_a_closed_idle_connection_is_retried(tmp_path: Path, fake_plugin: FakePlugin) -> None:
    fake_plugin("demo", files("demo")["aura_demo/__init__.py"])
    ok = Reply([SSE.body({"text": "Hello", "finish": "stop"})])
    with Upstream() as upstream:
        upstream.queue(ok, Reply(status=0), ok)
        toml = f'[providers.demo]\nbase_url = "{upstream.url}"\n'
        with AuraServer(tmp_path, {"it.md": "---\nprovider: demo\nmodel: m\n---\n"}, toml) as aura:
            assert [aura.ask("it")[-1].name for _ in range(2)] == ["done", "done"]


def test_an_answer_that_nests_too_deep_is_a_bad_response(tmp_path: Path, fake_plugin: FakePlugin) -> None:
    fake_plugin("demo", files("demo")["aura_demo/__init__.py"])
    with Upstream(Reply([b'data: {"deep":%b}\n\n' % (b"[" * 100_000)])) as upstream:
        toml = f'[providers.demo]\nbase_url = "{upstream.url}"\n'
        with AuraServer(tmp_path, {"it.md": "---\nprovider: demo\nmodel: m\n---\n"}, toml) as aura:
            assert aura.ask("it")[0].data["code"] == "bad_response"


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "aura-demo").mkdir()
    (tmp_path / "aura-demo/README.md").write_text("mine")
    done = new_plugin("demo", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "aura: aura-demo/README.md exists already; name another folder with --directory\n"
    assert [path.name for path in (tmp_path / "aura-demo").iterdir()] == ["README.md"]
    assert new_plugin("demo", "--directory", "other/place", cwd=tmp_path).returncode == 0
    assert (tmp_path / "other/place/pyproject.toml").is_file()


@pytest.mark.parametrize(
    "name", ["Demo", "my-server", "a_", "9lives", "a b", "ä", "", "../x", "class", "core", "server", "echo", "ollama"]
)
def test_an_invalid_plugin_name_is_refused(name: str, tmp_path: Path) -> None:
    done = new_plugin(name, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"aura: {name!r} is ")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", [[], ["--door"]], ids=["provider", "door"])
def test_what_is_written_is_in_our_style_and_typed(kind: list[str], tmp_path: Path) -> None:
    new_plugin("demo", *kind, cwd=tmp_path)
    folder, bin_ = tmp_path / "aura-demo", Path(sys.executable).parent
    subprocess.run([bin_ / "ruff", "format", "--check", "--line-length", "120", "."], cwd=folder, check=True)
    rules = ["--select", "A,B,E,F,I,N,RUF,S,UP,W", "--ignore", "RUF001,RUF012", "--per-file-ignores", "tests/*:S"]
    subprocess.run([bin_ / "ruff", "check", "--isolated", "--line-length", "120", *rules, "."], cwd=folder, check=True)
    subprocess.run(
        [bin_ / "mypy", "--strict", "--cache-dir", tmp_path / "cache", "aura_demo", "tests"], cwd=folder, check=True
    )


@pytest.mark.slow
def test_from_built_wheels_in_a_fresh_environment_everything_is_green(tmp_path: Path) -> None:
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("needs uv")
    environ = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH", "UV_PROJECT_ENVIRONMENT")}

    def run(*command: str | Path, cwd: Path = tmp_path) -> str:
        done = subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    constraints = ROOT / "constraints.txt"
    bin_ = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    wheels = tmp_path / "wheels"
    run(uv, "build", "--quiet", "--wheel", "--package", "aura-server", "--out-dir", wheels, cwd=ROOT)
    run(uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "venv")
    pip = [uv, "pip", "install", "--quiet", "--python", bin_ / "python", "--constraint", constraints]
    (core,) = wheels.glob("aura_server-*.whl")
    run(*pip, f"aura-server[testing] @ {core.as_uri()}")

    run(bin_ / "aura", "new-plugin", "demo")
    assert all((tmp_path / "aura-demo" / name).is_file() for name in FILES), "the wheel lacks a part of the template"
    run(uv, "build", "--quiet", "--wheel", "--out-dir", wheels, cwd=tmp_path / "aura-demo")
    (demo,) = wheels.glob("aura_demo-*.whl")
    run(*pip, core, demo)
    shown = run(bin_ / "python", "-c", "import aura_core, aura_demo; print(aura_core.__file__, aura_demo.__file__)")
    assert all(Path(file).is_relative_to(tmp_path / "venv") for file in shown.split())

    shutil.rmtree(tmp_path / "aura-demo/aura_demo")  # the tests must use what is installed
    tested = run(bin_ / "python", "-m", "pytest", "-q", cwd=tmp_path / "aura-demo").splitlines()[-1]
    assert f"{len(PROMISES) + 2} passed" in tested, "each promise, and the two tests of the template"
    assert "demo: 1 promise kept, 0 broken, 0 skipped" in run(bin_ / "aura", "test-plugin", "demo", "--only", "text")
    assert "nothing is lost" in run(bin_ / "aura", "test-plugin", "--explain", "text"), "the wheel explains itself"

    answer = SSE.body({"text": "Hello"}, {"text": " from demo", "finish": "stop"})
    readme = (tmp_path / "aura-demo/README.md").read_text(encoding="utf-8")
    toml = readme.partition("```toml\n")[2].partition("```")[0]
    assert "http://127.0.0.1:8000" in toml
    with Upstream(Reply([answer])) as upstream:
        (tmp_path / "aura.toml").write_text(toml.replace("http://127.0.0.1:8000", upstream.url))
        assert run(bin_ / "aura", "chat", "assistant", "Hello").strip() == "Hello from demo"
        live = run(bin_ / "aura", "test-plugin", "demo", "--live")
    assert "demo: 3 promises kept, 0 broken, 1 skipped" in live  # it reports no counts
