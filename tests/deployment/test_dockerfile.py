"""The Dockerfile, as far as it can be tested without Docker: its commands are run by hand, its rules are read."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from free_port import free_port

from aura_core.config import settings
from aura_core.testing import AuraServer

ROOT = Path(__file__).parents[2]


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, continuation lines joined and comments left out."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = text.replace("\\\n", "").splitlines()
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines if line.strip()]


def argument(name: str) -> str:
    """The argument of the last instruction of this name."""
    return [rest for instruction, rest in instructions() if instruction == name][-1]


def is_ready(process: int, folder: Path) -> bool:
    """What the health check says of a server that is not the first process of a container."""
    command = json.loads(argument("HEALTHCHECK").partition("CMD ")[2])
    assert command[0] == "python"
    environ = os.environ | {"AURA_TRUST": str(folder)}
    done = subprocess.run([sys.executable, *command[1:], str(process)], cwd=folder, env=environ, check=False)
    assert done.returncode in (0, 1)
    return done.returncode == 0


def test_the_image_runs_unprivileged_and_receives_the_signal_that_drains() -> None:
    names = [name for name, _ in instructions()]
    assert int(argument("USER")) > 0, "a number, which Kubernetes can compare with root's"
    assert "USER" in names[len(names) - names[::-1].index("FROM") :]
    assert argument("STOPSIGNAL") == "SIGTERM"
    # The exec form: a shell would not pass the signal on.
    assert [*json.loads(argument("ENTRYPOINT")), *json.loads(argument("CMD"))] == ["aura", "serve"]


def test_the_image_trusts_the_folder_that_is_mounted_into_it_and_needs_no_home(tmp_path: Path) -> None:
    """docs/deployment.md's command: a folder of another user, and a user without a home folder."""
    variables = dict(word.split("=", 1) for word in argument("ENV").split())
    workdir = argument("WORKDIR")
    assert variables["AURA_TRUST"] == workdir
    assert f"/my-aura:{workdir}:ro" in (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "it.md").write_text("hello")
    (tmp_path / "aura.toml").write_text("[server]\nallowed_hosts = ['aura.example.com']\n")
    paths = [tmp_path / "aura.toml", tmp_path / "agents" / "it.md"]
    if os.geteuid() == 0:  # whose files belong to no other user
        for path in paths:
            os.chown(path, 12345, -1)
    owner = paths[0].stat().st_uid
    environ = {**os.environ, **variables, "AURA_TRUST": str(tmp_path), "AURA_TOKEN": "t", "HOME": "/nonexistent"}
    environ = {name: value for name, value in environ.items() if name not in ("PATH", "XDG_CONFIG_HOME")}
    script = f"import os; os.geteuid = lambda: {owner + 1}; from aura_core.cli import main; main()"
    command = [sys.executable, "-c", script, "doctor", "--offline", "--json"]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    checks = json.loads(done.stdout)["checks"]
    assert [check for check in checks if check["status"] == "failed"] == []
    details = [check["detail"] for check in checks]
    assert '["aura.example.com"] (aura.toml:2)' in details
    told = f"it belongs to another user (uid {owner}); whoever can change it decides where prompts and keys go"
    assert f"aura.toml: {told}" in details, "it is read, with a warning"


def test_the_image_contains_only_what_it_copies() -> None:
    copied = [
        name for instruction, rest in instructions() if instruction == "COPY" for name in rest.split()[:-1]
        if not rest.startswith("--from")
    ]  # fmt: skip
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignored[1] == "*"
    assert sorted(line[1:] for line in ignored if line.startswith("!")) == sorted(copied)
    assert all((ROOT / name).exists() for name in copied)


def test_a_mounted_file_goes_before_the_image_s_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are settings of the user's own folder, not variables, which would go before the file."""
    variables = dict(word.split("=", 1) for word in argument("ENV").split())
    assert [name for name in variables if name.startswith("AURA_")] == ["AURA_TRUST"]
    ((source, target),) = [rest.split() for name, rest in instructions() if name == "COPY" and "defaults" in rest]
    assert target == f"{variables['XDG_CONFIG_HOME']}/aura/aura.toml"
    own = tmp_path / "config" / "aura"
    own.mkdir(parents=True)
    shutil.copyfile(ROOT / source, own / "aura.toml")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    environ = {"AURA_TRUST": str(tmp_path), "AURA_TOKEN": "t"}
    loaded = settings.load({}, environ)
    assert (loaded.server.host, loaded.server.port, loaded.unguarded) == ("::", 5300, None)
    (tmp_path / "aura.toml").write_text("[server]\nhost = '127.0.0.1'\nport = 5400\n")
    loaded = settings.load({}, environ)
    assert (loaded.server.host, loaded.server.port) == ("127.0.0.1", 5400)


@pytest.mark.parametrize("by", ["flag", "variable", "file", "socket"])
def test_the_health_check_follows_the_port(by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = str(free_port())
    arguments = {"flag": ["--host", "::", "--port", port], "socket": ["--uds", "it"]}.get(by, [])
    if by == "variable":
        monkeypatch.setenv("AURA_SERVER__PORT", port)
    elif by == "file":
        (tmp_path / "aura.toml").write_text(f"[server]\nport = {port}\n")
    environ = os.environ | {"AURA_TRUST": str(tmp_path), "AURA_TOKEN": "t", "AURA_PLUGINS": ""}
    command = [sys.executable, "-m", "aura_core", "serve", *arguments]
    with subprocess.Popen(command, cwd=tmp_path, env=environ, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            while "Ctrl-C stops." not in (line := process.stderr.readline()):
                assert line
            assert is_ready(process.pid, tmp_path)
        finally:
            process.kill()
        process.communicate()
        assert not is_ready(process.pid, tmp_path)


def test_the_health_check_fails_while_the_server_drains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with AuraServer(tmp_path) as aura:
        monkeypatch.setenv("AURA_SERVER__PORT", str(aura.port))
        assert is_ready(os.getpid(), tmp_path)
        aura.runtime.draining = True
        assert not is_ready(os.getpid(), tmp_path)


@pytest.mark.slow
def test_the_build_makes_an_aura_with_every_provider(tmp_path: Path) -> None:
    """The first stage's RUN lines, in a folder with the files that it copies."""
    source = tmp_path / "src"
    source.mkdir()
    second_stage = [n for n, (name, _) in enumerate(instructions()) if name == "FROM"][1]
    ran = 0
    for name, rest in instructions()[:second_stage]:
        if name == "COPY":
            *origins, target = rest.split()
            for origin in origins:
                _copy(ROOT / origin, source / origin if target == "./" else source / target)
        elif name == "RUN":
            script = rest.replace("/wheels", f"{tmp_path}/wheels").replace("/opt/", f"{tmp_path}/")
            subprocess.run(["bash", "-ec", script], cwd=source, check=True, timeout=600)
            ran += 1
    assert ran == 3
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    aura = tmp_path / "aura" / "bin" / "aura"
    listed = subprocess.run(
        [aura, "plugins", "--json"], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True
    )
    plugins = json.loads(listed.stdout)["plugins"]
    assert {plugin["name"]: plugin["status"] for plugin in plugins} == dict.fromkeys(
        ["anthropic", "azure", "echo", "ollama", "openai", "openai_api"], "ok"
    )
    python = aura.with_name("python")
    subprocess.run(
        [python, "-c", "import prometheus_client, azure.identity.aio, opentelemetry.sdk"], env=environ, check=True
    )
    sbom = json.loads((tmp_path / "aura" / "sbom.cdx.json").read_text(encoding="utf-8"))
    parts = {part["name"]: part["version"] for part in sbom["components"]}
    installed = subprocess.run(
        [python, "-m", "pip", "list", "--format=json"], capture_output=True, env=environ, check=True
    )
    assert {part["name"]: part["version"] for part in json.loads(installed.stdout)} == parts
    assert {"aura-server", "aura-ollama", "litestar", "uvicorn"} <= set(parts)


def _copy(origin: Path, target: Path) -> None:
    if origin.is_dir():
        shutil.copytree(origin, target, ignore=shutil.ignore_patterns("__pycache__", "tests", "node_modules"))
    else:
        shutil.copyfile(origin, target)
