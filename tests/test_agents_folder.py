"""The folder of the agents: links to nothing, a mount that is lost and comes back, and who answers meanwhile."""

import json
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from aura_core.config import settings
from aura_core.config.agents import AgentStore
from aura_core.errors import ConfigError
from aura_core.runtime import Runtime
from aura_core.testing import AuraServer

ECHO = "---\nprovider: echo\n---\n"
PUT: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (lambda folder: None, "there is no such folder"),
    "an empty mount point": (Path.mkdir, "it is a different folder than before, and empty"),
    "a file": (Path.touch, "it is not a folder"),
    "a link to nothing": (lambda folder: folder.symlink_to("nowhere"), "there is no such folder"),
}
"""What may be left where the folder of the agents was, and what Aura says of it."""


def _vanish(folder: Path, how: str) -> None:
    folder.rename(folder.with_name("away"))
    PUT[how][0](folder)


def _remove(folder: Path) -> None:
    if folder.is_dir() and not folder.is_symlink():
        folder.rmdir()
    else:
        folder.unlink(missing_ok=True)


@pytest.mark.parametrize("how", PUT)
def test_a_folder_that_vanishes_keeps_its_agents(how: str, tmp_path: Path) -> None:
    folder = tmp_path / "agents"
    folder.mkdir()
    for name in ("assistant", "private"):
        (folder / f"{name}.md").write_text(ECHO)
    store = AgentStore(folder)
    before, version = store.entries, store.version
    why = PUT[how][1]
    _vanish(folder, how)
    for _ in range(2):
        assert store.reload() == []
        assert (store.problem, store.entries, store.version) == (f"{folder}: {why}", before, version)
    _remove(folder)
    (away := folder.with_name("away")).rename(folder)
    (folder / "private.md").unlink()
    assert store.reload() == ["private: removed"]
    assert (store.problem, list(store.entries), away.exists()) == (None, ["assistant"], False)


def test_the_built_in_agent_does_not_stand_in_for_deleted_ones(tmp_path: Path) -> None:
    (tmp_path / "assistant.md").write_text(ECHO)
    store = AgentStore(tmp_path)
    (tmp_path / "assistant.md").unlink()
    assert store.reload() == ["assistant: removed"]
    assert store.entries == {}
    (tmp_path / "b.md").write_text(ECHO)
    assert store.reload() == ["b: added"]


def test_a_named_folder_that_is_not_there_at_the_start_is_waited_for(tmp_path: Path) -> None:
    """As a mount that comes up late: nobody else answers in its agents' names."""
    loaded = settings.load({"agents.directory": str(tmp_path / "late")}, {})
    runtime = Runtime(loaded, {"AURA_PLUGINS": "echo"})
    assert runtime.agents.entries == {}
    assert runtime.warnings == [f"--agents: {tmp_path}/late: there is no such folder"]
    (tmp_path / "late").mkdir()
    (tmp_path / "late" / "a.md").write_text(ECHO)
    assert runtime.agents.reload() == ["a: added"]
    assert runtime.warnings == []


def _until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


@pytest.mark.parametrize("how", PUT)
def test_a_running_server_says_so_and_answers_on(how: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "aura.agents")
    folder = tmp_path / "agents"
    why = PUT[how][1]

    def said(level: int) -> list[str]:
        return [r.getMessage() for r in caplog.records if r.name == "aura.agents" and r.levelno == level]

    with AuraServer(tmp_path, {"a.md": ECHO}) as aura:
        _vanish(folder, how)
        _until(lambda: bool(said(logging.WARNING)), "a warning")
        assert [agent["id"] for agent in httpx.get(f"{aura.url}/api/agents", trust_env=False).json()["agents"]] == ["a"]
        assert aura.ask("a", "still here")[0].data["content"] == "still"
        assert aura.runtime.folder_warning == f"--agents: {folder}: {why}"
        _remove(folder)
        folder.with_name("away").rename(folder)
        _until(lambda: aura.runtime.agents.problem is None, "it is back")
        _until(lambda: f"{folder}: can be read now" in said(logging.INFO), "it is told")
    warned = said(logging.WARNING)
    assert warned[0] == f"{folder}: {why}; the agents stay as they were"
    assert set(warned) <= {warned[0], f"{folder}: there is no such folder; the agents stay as they were"}


def _doctor(folder: Path, **environ: str) -> list[tuple[str, str, str]]:
    done = subprocess.run(
        [sys.executable, "-m", "aura_core", "doctor", "--offline", "--json"],
        cwd=folder,
        env=os.environ | {"AURA_PLUGINS": "echo", "AURA_TRUST": str(folder)} | environ,
        capture_output=True,
        text=True,
        check=False,
    )
    checks = json.loads(done.stdout)["checks"]
    return [(check["name"], check["status"], check["detail"]) for check in checks if check["section"] == "agents"]


def test_aura_doctor_warns_of_a_folder_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "agents").symlink_to("nowhere")
    assert _doctor(tmp_path)[0] == ("folder", "warning", f"{tmp_path}/agents: there is no such folder")
    variable = {"AURA_AGENTS__DIRECTORY": str(tmp_path / "gone")}
    gone = f"AURA_AGENTS__DIRECTORY: {tmp_path}/gone: there is no such folder"
    assert _doctor(tmp_path, **variable) == [("folder", "warning", gone)]


# Links


def test_a_dangling_link_is_listed_with_its_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b.md").write_text(ECHO)
    (tmp_path / "a.md").symlink_to("nowhere.md")
    (tmp_path / ".#b.md").symlink_to("me@host.1:2")  # an editor's lock
    store = AgentStore(tmp_path)
    assert sorted(store.entries) == ["a", "b"]
    assert store.entries["a"].error == "a.md: is a link to a file that is not there"
    (tmp_path / "nowhere.md").write_text(ECHO)
    assert "a: good again" in store.reload()
    shutil.move(tmp_path / "nowhere.md", tmp_path / "elsewhere")
    assert (
        store.reload()
        == [
            "nowhere: removed",
            "a: a.md: is a link to a file that is not there (the last good version stays)",
        ][::-1]
    )
    assert store.entries["a"].agent is not None


def test_paths_in_a_linked_settings_file_belong_to_the_folder_of_the_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("dotfiles", "project", "home/aura"):
        (tmp_path / name).mkdir(parents=True)
    target = tmp_path / "dotfiles" / "aura.toml"
    target.write_text("[agents]\ndirectory = 'mine'\n")
    for name in ("project", "home/aura"):
        (tmp_path / name / "aura.toml").symlink_to(target)
    monkeypatch.chdir(tmp_path / "project")
    trusted = {"AURA_TRUST": str(tmp_path / "project")}
    assert settings.load({}, trusted).directory == tmp_path / "project" / "mine"
    assert settings.load({}, {}, tmp_path / "home/aura/aura.toml").directory == tmp_path / "home/aura/mine"
    assert settings.load({}, {}, Path("../project/aura.toml")).directory.resolve() == tmp_path / "project" / "mine"
    assert settings.load({}, {"AURA_CONFIG": str(target)}).directory == tmp_path / "dotfiles" / "mine"
    (tmp_path / "project" / "aura.toml").unlink()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    if sys.platform == "linux":
        assert settings.load({}, {}).directory == tmp_path / "home/aura/mine"


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda file: file.symlink_to("nowhere"), "is a link to a file that is not there"),
        (lambda file: file.mkdir(), "is a folder"),
        (lambda file: file.symlink_to("/dev/null"), "is not a regular file"),
    ],
)
def test_a_settings_file_that_cannot_be_read_is_not_passed_over(
    make: Callable[[Path], object], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it agents would be answered by a provider that nobody chose for them."""
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "aura.toml")
    with pytest.raises(ConfigError) as error:
        settings.load({}, {"AURA_TRUST": str(tmp_path)})
    assert str(error.value) == f"aura.toml: {why}"


def test_a_chat_without_agents_says_why(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "aura_core", "chat", "anna", "Hello", "--agents", str(tmp_path / "gone")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    why = f"--agents: {tmp_path}/gone: there is no such folder"
    assert (done.returncode, done.stderr) == (1, f"aura: there is no agent 'anna'; {why}\n")
