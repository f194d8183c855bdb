"""Agent files: their contents, the errors in them with their lines, and how changes are picked up."""

import asyncio
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import httpx
import pytest

from aura_core.config import settings
from aura_core.config.agents import AgentStore, parse
from aura_core.errors import ConfigError
from aura_core.runtime import Runtime
from aura_core.server.reload import watch
from aura_core.testing import AuraServer

FULL = """---
name: Code Assistant
description: "Answers questions."
provider: echo
model: m:7b
temperature: 1
max_tokens: 20
options: {text: hi}
tags: [chat]
---

You are kind.
"""


def test_a_full_file() -> None:
    agent = parse("a", FULL, Path("a.md"))
    written = agent.front_matter
    assert (written.name, written.model, written.temperature, written.max_tokens) == (
        "Code Assistant",
        "m:7b",
        1.0,
        20,
    )
    assert (written.options, written.tags, agent.prompt) == ({"text": "hi"}, ["chat"], "You are kind.")


@pytest.mark.parametrize("text", ["Just a prompt.", "---\n---\nJust a prompt.", "---\nmodel:\n---\n"])
def test_no_key_is_required(text: str) -> None:
    assert parse("a", text, Path("a.md")).front_matter.provider is None


DEEP = "[" * 1200
NUMBER = "a number must be written as in JSON, such as 100 or 0.5; put it in quotes if it is a text"
ERRORS = {
    "---\nname: x\ntemprature: 1\n---\n": "a.md:3: unknown key 'temprature'; did you mean 'temperature'?",
    "---\nTemperature: 1\n---\n": "a.md:2: unknown key 'Temperature'; did you mean 'temperature'?",
    "---\nname: a\ntemperature: hot\n---\n": "a.md:3: temperature: expected a number or nothing, got a string",
    "---\ntemperature: 3\n---\n": "a.md:2: temperature: expected a number <= 2.0",
    "---\nmax_tokens: 0\n---\n": "a.md:2: max_tokens: expected a whole number >= 1",
    "---\nmodel: 7\n---\n": "a.md:2: model: expected a string or nothing, got a whole number",
    "---\ntags: chat\n---\n": "a.md:2: tags: expected a list, got a string",
    "---\ntags: [1]\n---\n": "a.md:2: tags[0]: expected a string, got a whole number",
    "---\nname: a\nname: b\n---\n": "a.md:3: 'name' stands twice; it is on line 2 too",
    "---\nname: a\ndescription: one: two\n---\n": "a.md:3: a value that holds ': ' must stand in quotes",
    "---\noptions:\n\tx: 1\n---\n": "a.md:3: a tab is not allowed here; indent with spaces",
    "---\n- a\n---\n": "a.md:2: the front matter must be 'key: value' lines",
    "---\nname: a\nmodel: b\x07\n---\n": "a.md:3: the character U+0007 is not allowed here",
    "---\nmodel: 0b_\n---\n": f"a.md:2: {NUMBER}",
    "---\nname: a\noptions: {x: [!!bool maybe]}\n---\n": (
        "a.md:3: a value that cannot be read as true or false; put it in quotes if it is a text"
    ),
    "---\nmodel: !!int ''\n---\n": f"a.md:2: {NUMBER}",
    f"---\nmax_tokens: {'9' * 5000}\n---\n": "a.md:2: a number is too large; put it in quotes if it is a text",
    f"---\ntemperature: 1{':0' * 200}.0\n---\n": f"a.md:2: {NUMBER}",
    "---\nname: a\n!!float '': b\n---\n": f"a.md:3: {NUMBER}",
    '---\nname: "\\UFFFFFFFF"\n---\n': "a.md:2: the front matter cannot be read: an escape stands for no character",
    f"---\noptions: {DEEP}\n---\n": "a.md:2: the front matter cannot be read: it is nested too deeply",
    "---\noptions: &a {x: *a}\n---\n": "a.md:2: an alias is not allowed here; write its value again",
    "---\nname: !!timestamp x\n---\n": (
        "a.md:2: could not determine a constructor for the tag 'tag:yaml.org,2002:timestamp'"
    ),
    "\n---\nname: a\n---\n": "a.md:2: the line '---' that opens the front matter must be the first",
    " ---\nname: a\n---\n": "a.md:1: the line that opens the front matter must be '---' alone, not ' ---'",
    "---\nname: a\n": "a.md:1: the front matter is not closed; end it with a line '---'",
}


@pytest.mark.parametrize("text", ERRORS)
def test_errors_name_file_line_and_remedy(text: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse("a", text, Path("a.md"))
    assert str(error.value) == ERRORS[text]


def test_keys_of_other_tools_are_noted_and_ignored() -> None:
    agent = parse("a", "---\nmode: ask\ntools: [x]\nhandoffs: []\n---\n", Path("a.md"))
    assert agent.notes[0] == "a.md:2: 'mode' is not Aura's and is ignored"
    assert len(agent.notes) == 3


def test_words_that_yaml_1_1_takes_for_booleans_are_words() -> None:
    assert parse("a", "---\nname: on\ndescription: no\n---\n", Path("a.md")).front_matter.name == "on"


def test_windows_files(tmp_path: Path) -> None:
    (tmp_path / "w.md").write_bytes(b"\xef\xbb\xbf---\r\nprovider: echo\r\n---\r\nline one\r\nline two\r\n")
    agent = AgentStore(tmp_path).entries["w"].agent
    assert agent is not None
    assert (agent.front_matter.provider, agent.prompt) == ("echo", "line one\nline two")


def test_which_files_are_read(tmp_path: Path) -> None:
    for name in ("a.md", "B.agent.md", "README.md", "AGENTS.md", "_draft.md", ".hidden.md", "note.txt"):
        (tmp_path / name).write_text("x")
    (tmp_path / "folder.md").mkdir()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "c.md").write_text("x")
    store = AgentStore(tmp_path)
    assert sorted(store.entries) == ["a", "b"]
    assert store.get("b") is store.get("B")


def test_bad_files_break_only_themselves(tmp_path: Path) -> None:
    (tmp_path / "good.md").write_text("x")
    (tmp_path / "bad name.md").write_text("x")
    (tmp_path / "latin.md").write_bytes(b"\xe9")
    (tmp_path / "Twin.md").write_text("x")
    (tmp_path / "twin.agent.md").write_text("x")
    entries = AgentStore(tmp_path).entries
    assert entries["good"].error is None
    assert "must begin with a letter" in (entries["bad name"].error or "")
    assert "not UTF-8" in (entries["latin"].error or "")
    assert "are all the agent" in (entries["twin"].error or "")
    assert entries["twin"].agent is None


def test_a_fault_in_reading_a_file_breaks_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def read(text: str, path: Path, known: Collection[str]) -> tuple[dict[str, object], dict[str, int]]:
        if "broken" in text:
            raise AttributeError("a fault of ours")
        return {}, {}

    monkeypatch.setattr("aura_core.config.agents.yaml_mapping", read)
    (tmp_path / "good.md").write_text("---\n---\nhi")
    (tmp_path / "bad.md").write_text("---\nbroken: 1\n---\nhi")
    entries = AgentStore(tmp_path).entries
    assert (entries["good"].error, entries["bad"].agent) == (None, None)
    assert entries["bad"].error == f"{tmp_path}/bad.md: cannot be read (AttributeError); the log says more"
    assert "a fault of ours" in caplog.text


@pytest.mark.parametrize("text", ["", " \n\n", "\ufeff"])
def test_an_emptied_file_keeps_its_last_valid_version(text: str, tmp_path: Path) -> None:
    file = tmp_path / "a.md"
    file.write_text("Be kind.")
    store = AgentStore(tmp_path)
    file.write_text(text, encoding="utf-8")  # as an editor does before it writes, or when the disk is full
    assert store.reload() == [f"a: {file}: the file is empty (the last good version stays)"]
    agent = store.entries["a"].agent
    assert agent is not None
    assert agent.prompt == "Be kind."
    assert AgentStore(tmp_path).entries["a"].agent is None


def test_without_a_file_there_is_an_assistant(tmp_path: Path) -> None:
    assert list(AgentStore(tmp_path / "missing").entries) == ["assistant"]


def test_each_change_is_logged_in_one_line(tmp_path: Path) -> None:
    store = AgentStore(tmp_path)
    file = tmp_path / "chat.md"
    file.write_text("---\ntemperature: 0.7\n---\nBe kind.")
    assert store.reload() == ["assistant: removed", "chat: added"]
    file.write_text("---\ntemperature: 0.2\n---\nBe kind.")
    assert store.reload() == ["chat: temperature 0.7 → 0.2"]
    file.write_text("---\ntemperature: 0.2\n---\nBe brief.")
    assert store.reload() == ["chat: prompt changed"]
    file.write_text("---\ntemprature: 0.2\n---\nBe brief.")
    assert store.reload() == [
        f"chat: {file}:2: unknown key 'temprature'; did you mean 'temperature'? (the last good version stays)"
    ]
    agent = store.entries["chat"].agent
    assert agent is not None
    assert agent.prompt == "Be brief."
    assert store.reload() == []
    file.write_text("---\ntemperature: 0.2\n---\nBe brief.")
    assert store.reload() == ["chat: good again"]
    file.rename(tmp_path / "talk.md")
    assert store.reload() == ["chat: removed", "talk: added"]


def _until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def test_a_running_server_picks_up_every_kind_of_change(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "aura.agents")
    folder = tmp_path / "agents"
    with AuraServer(tmp_path) as aura:

        def agents() -> dict[str, dict[str, str]]:
            listed = httpx.get(f"{aura.url}/api/agents", trust_env=False).json()["agents"]
            return {agent["id"]: agent for agent in listed}

        assert list(agents()) == ["assistant"]
        (folder / "a.md").write_text("---\nprovider: echo\noptions: {text: one}\n---\n")
        _until(lambda: list(agents()) == ["a"], "created")
        assert aura.ask("a")[0].data["content"] == "one"
        (folder / "a.md").write_text("---\nprovider: echo\noptions: {text: two}\n---\n")
        _until(lambda: aura.ask("a")[0].data["content"] == "two", "edited")
        (folder / "a.md").write_text("---\nprovider: echo\noptions: {text: two\n---\n")
        _until(lambda: agents()["a"]["error"] is not None, "broken")
        assert aura.ask("a")[0].data["content"] == "two", "the last good version stays"
        (folder / "b.md").write_text("---\nnam: x\n---\n")
        _until(lambda: "b" in agents(), "a broken newcomer is listed")
        assert aura.post("b").json()["code"] == "agent_invalid"
        (folder / "b.md").rename(folder / "c.md")
        _until(lambda: "c" in agents() and "b" not in agents(), "renamed")
        shutil.rmtree(folder)
        _until(lambda: aura.runtime.agents.problem is not None, "the directory is gone")
        assert "assistant" not in agents()
        folder.mkdir()
        (folder / "d.md").write_text("---\nprovider: echo\n---\n")
        _until(lambda: list(agents()) == ["d"], "the directory has come back")
        (tmp_path / "aura.toml").write_text("[server]\nport = 1\n")
        _until(lambda: "restart to apply" in caplog.text, "settings")
    assert "a: options changed" in caplog.text


def test_a_client_that_does_not_open_delays_no_edit(
    tmp_path: Path, fake_plugin: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aura_core.plugins.instance.HOOK_TIMEOUT", 1000)
    fake_plugin(
        "stuck",
        "import asyncio\nfrom contextlib import asynccontextmanager\nfrom aura_core import Token, hookimpl\n"
        "@hookimpl\n@asynccontextmanager\nasync def open_client():\n    await asyncio.sleep(1000)\n    yield\n"
        "@hookimpl\nasync def stream_chat(request, client):\n    yield Token('a', finish_reason='stop')\n",
    )
    with AuraServer(tmp_path, {"a.md": "---\nprovider: echo\n---\n"}) as aura:
        for name, provider in (("b", "stuck"), ("c", "stuck"), ("d", "echo")):
            (tmp_path / "agents" / f"{name}.md").write_text(f"---\nprovider: {provider}\n---\n")
            _until(lambda n=name: n in aura.runtime.agents.entries, f"{name} was created")  # type: ignore[misc]


@pytest.mark.parametrize("directory", ["agents", "far/away/agents"])
def test_a_missing_drive_is_waited_for(
    directory: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, where no folder above `Z:\\agents` need exist, not even `Z:\\`."""
    caplog.set_level("INFO", "aura.agents")
    folder = tmp_path / directory
    loaded = settings.load({"agents.directory": str(folder)}, {}, None)
    there = False
    is_dir = Path.is_dir
    monkeypatch.setattr(Path, "is_dir", lambda path: there and is_dir(path))
    monkeypatch.setattr("aura_core.server.reload.RELOAD_TIMEOUT", 50)

    async def main() -> None:
        nonlocal there
        watching = asyncio.create_task(watch(Runtime(loaded, {"AURA_PLUGINS": "echo"})))
        await asyncio.sleep(0.3)
        assert not watching.done()
        folder.mkdir(parents=True)
        (folder / "a.md").write_text("hi")
        there = True
        while "a: added" not in caplog.text:
            await asyncio.sleep(0.02)
        watching.cancel()

    asyncio.run(asyncio.wait_for(main(), 30))


def _watch(loaded: settings.Settings, done: Callable[[], bool]) -> None:
    async def main() -> None:
        watching = asyncio.create_task(watch(Runtime(loaded, {"AURA_PLUGINS": "echo"})))
        while not done():
            await asyncio.sleep(0.02)
        watching.cancel()

    asyncio.run(asyncio.wait_for(main(), 30))


def test_a_change_of_the_settings_is_noticed_without_an_event(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", "aura.agents")
    file = tmp_path / "aura.toml"
    file.write_text("[server]\nport = 1\n")
    loaded = settings.load({"agents.directory": str(tmp_path / "agents")}, {}, file)

    def no_event(*_: object, **__: object) -> Iterator[set[object]]:
        file.write_text("[server]\nport = 2\n")  # between two watches
        yield set()
        yield set()

    monkeypatch.setattr("watchfiles.watch", no_event)
    _watch(loaded, lambda: "restart to apply" in caplog.text)
    assert [record.getMessage() for record in caplog.records] == [f"{file} changed; restart to apply"]


def test_a_failed_watch_restarts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", "aura.agents")
    loaded = settings.load({"agents.directory": str(tmp_path)}, {})
    calls = []

    def broken(*_: object, **__: object) -> Iterator[set[object]]:
        calls.append(1)
        if len(calls) <= 3:
            raise OSError("inotify watch limit reached")
        (tmp_path / "a.md").write_text("hi")
        yield set()

    monkeypatch.setattr("watchfiles.watch", broken)
    monkeypatch.setattr("aura_core.server.reload.RELOAD_PAUSE", 0.01)
    monkeypatch.setattr("aura_core.server.reload.RELOAD_TIMEOUT", 10)
    _watch(loaded, lambda: "a: added" in caplog.text)
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    refused = "file events are not available (inotify watch limit reached), so changes are seen within 0.01 s"
    assert [line for line in said if line[1].startswith("file")] == [
        ("WARNING", refused),
        ("INFO", "file events are available again"),
    ]
    assert ("INFO", "a: added") in said
    assert "Traceback" not in caplog.text


def test_the_watch_ends_with_the_server(tmp_path: Path) -> None:
    others = set(threading.enumerate())
    with AuraServer(tmp_path):
        watching = [each for each in set(threading.enumerate()) - others if each.name == "aura-reload"]
    _until(lambda: not any(each.is_alive() for each in watching), "ended")
    assert len(watching) == 1


def test_the_watch_of_a_server_that_nobody_stopped_lets_the_program_end(tmp_path: Path) -> None:
    code = "import pathlib, sys; from aura_core.testing import AuraServer\n"
    code += "AuraServer(pathlib.Path(sys.argv[1])).__enter__()"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], timeout=30, check=False)
    assert done.returncode == 0


def test_a_folder_behind_a_link_that_is_retargeted(tmp_path: Path) -> None:
    for number in ("1", "2"):
        (tmp_path / number).mkdir()
        (tmp_path / number / "a.md").write_text(f"---\nprovider: echo\noptions: {{text: '{number}'}}\n---\n")
    (tmp_path / "app").mkdir()
    link = tmp_path / "app" / "agents"
    link.symlink_to(tmp_path / "1")
    with AuraServer(tmp_path, flags={"agents.directory": str(link)}) as aura:
        assert aura.ask("a")[0].data["content"] == "1"
        new = link.with_name("new")
        new.symlink_to(tmp_path / "2")
        new.rename(link)
        _until(lambda: aura.ask("a")[0].data["content"] == "2", "the link was set anew")
        (tmp_path / "2" / "a.md").write_text("---\nprovider: echo\noptions: {text: '3'}\n---\n")
        _until(lambda: aura.ask("a")[0].data["content"] == "3", "edited behind it")


def test_a_folder_that_cannot_be_read_keeps_its_agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.md").write_text("hi")
    store = AgentStore(tmp_path)
    with monkeypatch.context() as patched:
        # root, who may run this test, is never refused.
        patched.setattr(os, "scandir", _refused)
        assert store.reload() == []
        line = f"{tmp_path}: cannot be read: Permission denied"
        assert (store.problem, list(store.entries)) == (line, ["a"])
        assert list(AgentStore(tmp_path).entries) == ["assistant"]
    assert store.reload() == []
    assert store.problem is None


def _refused(_: Path) -> None:
    raise PermissionError(13, "Permission denied")


def test_names_and_texts_that_are_not_unicode_are_shown(tmp_path: Path) -> None:
    Path(os.fsdecode(bytes(tmp_path) + b"/bad\xff.md")).write_text("hi")
    (tmp_path / "a.md").write_text('---\nname: "a\\ud83e\\udd16 \\ud83e"\n---\n')
    store = AgentStore(tmp_path)
    assert (store.entries["bad\ufffd"].error or "").startswith(f"{tmp_path}/bad\ufffd.md: the file's name must")
    agent = store.entries["a"].agent
    assert agent is not None
    assert agent.front_matter.name == "a\U0001f916 \ufffd"


def test_three_files_of_one_agent_are_all_named(tmp_path: Path) -> None:
    for name in ("foo.md", "foo.agent.md", "FOO.MD"):
        (tmp_path / name).write_text("hi")
    error = AgentStore(tmp_path).entries["foo"].error
    assert error == "FOO.MD, foo.agent.md, foo.md are all the agent 'foo'; rename all but one"
