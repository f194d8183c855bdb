"""A fallback in an agent file: errors with their lines, inherited values, and where it is shown."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from aura_process import Process

from aura_core.config.agents import Agent, parse
from aura_core.config.fallback import FallbackEntry
from aura_core.errors import ConfigError
from aura_core.testing import AuraServer

TOML = '[providers.first]\nplugin = "echo"\n\n[providers.second]\nplugin = "echo"\n'
AGENT = """\
---
provider: first
temperature: 0.5
max_tokens: 99
options: {text: one}
fallback:
  - provider: second
    model: m
    temperature: 0.1
  - {provider: echo, options: {text: three}}
---
"""


def _parse(text: str) -> Agent:
    return parse("it", text, Path("agents/it.md"))


def test_entries_inherit_temperature_and_max_tokens_and_nothing_else() -> None:
    assert _parse(AGENT).front_matter.fallback == [
        FallbackEntry("second", "m", 0.1, 99, {}),
        FallbackEntry("echo", None, 0.5, 99, {"text": "three"}),
    ]


BAD: dict[str, tuple[str, str]] = {
    "no list": ("fallback: openai", "agents/it.md:5: fallback: expected a list, such as [{provider: NAME}]"),
    "a name alone": (
        "fallback:\n  - openai",
        "agents/it.md:6: fallback[0]: expected a provider and what it is asked, such as {provider: NAME}",
    ),
    "no provider": ("fallback:\n  - {model: m}", "agents/it.md:6: fallback[0]: 'provider' is missing"),
    "an empty provider": ("fallback: [{provider: ''}]", "agents/it.md:5: fallback[0]: provider: it must not be empty"),
    "a near miss": (
        "fallback:\n  - {provider: a}\n  - {provider: b, modle: m}",
        "agents/it.md:7: fallback[1]: unknown key 'modle'; did you mean 'model'?",
    ),
    "its own provider": (
        "fallback:\n  - {provider: a}\n  - {provider: own}",
        "agents/it.md:7: fallback[1]: 'own' is the agent's own provider; name another, or another model",
    ),
    "its own provider and model": (
        "fallback: [{provider: own, model: mine}]",
        "agents/it.md:5: fallback[0]: 'own' is the agent's own provider; name another, or another model",
    ),
    "the same twice": (
        "fallback:\n  - {provider: a, model: m}\n  - {provider: b}\n  - {provider: a, model: m}",
        "agents/it.md:8: fallback[2]: 'a' is listed twice; name another, or another model",
    ),
    "too many": (
        "fallback:\n" + "".join(f"  - {{provider: p{n}}}\n" for n in range(9)),
        "agents/it.md:5: fallback: 9 providers are listed, and at most 8 may be",
    ),
    "a wrong temperature": (
        "fallback:\n  - {provider: a, temperature: 3}",
        "agents/it.md:6: fallback[0]: temperature: expected a number <= 2.0",
    ),
    "a time below 0": ("first_token_timeout: -1", "agents/it.md:5: first_token_timeout: expected a number >= 0.0"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_told_with_file_and_line(name: str) -> None:
    text, message = BAD[name]
    with pytest.raises(ConfigError) as caught:
        _parse(f"---\nname: It\nprovider: own\nmodel: mine\n{text}\n---\n")
    assert str(caught.value) == message


def test_another_model_of_the_same_provider_is_another_candidate() -> None:
    text = "---\nprovider: own\nmodel: small\nfallback: [{provider: own, model: large}]\n---\n"
    assert _parse(text).front_matter.fallback == [FallbackEntry("own", "large")]


def _aura(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "aura_core", *arguments, "--config", "aura.toml", "--agents", "agents"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "it.md").write_text(AGENT)
    (tmp_path / "aura.toml").write_text(TOML)
    return tmp_path


def test_an_unknown_provider_is_an_error_with_file_and_line(folder: Path) -> None:
    (folder / "agents" / "it.md").write_text(AGENT.replace("provider: echo", "provider: ehco"))
    listed = _aura(folder, "agents")
    assert listed.returncode == 1
    assert "agents/it.md:10: fallback[1]: provider 'ehco' is not installed; did you mean 'echo'?" in listed.stderr


def test_options_of_an_entry_are_checked_against_its_plugin(folder: Path) -> None:
    (folder / "agents" / "it.md").write_text(AGENT.replace("{text: three}", "{txet: three}"))
    listed = _aura(folder, "agents")
    assert listed.returncode == 1
    assert "agents/it.md:10: fallback[1]: options: unknown key 'txet'; did you mean 'text'?" in listed.stderr


def test_the_lists_show_who_is_asked_next(folder: Path) -> None:
    listed = _aura(folder, "agents")
    assert listed.returncode == 0
    assert "second, echo" in listed.stdout
    [agent] = json.loads(_aura(folder, "agents", "--json").stdout)["agents"]
    assert (agent["fallback"], agent["error"]) == (["second", "echo"], None)


def test_doctor_asks_each_candidate_alone(folder: Path) -> None:
    agent = AGENT.replace("{text: three}", "{fail_after: 0, code: auth}")
    (folder / "agents" / "it.md").write_text(agent)
    done = _aura(folder, "doctor")
    assert done.returncode == 1
    lines = [line for line in done.stdout.splitlines() if " it (" in line]
    assert ["first token after" in line for line in lines] == [True, True, False], done.stdout
    assert "ok it (first): " in lines[0]
    assert "ok it (second m, fallback): " in lines[1]
    assert "XX it (echo, fallback): " in lines[2]
    assert lines[2].endswith("(auth)")


def test_the_provider_that_was_chosen_is_not_asked_twice(tmp_path: Path) -> None:
    agent = "---\noptions: {fail_after: 0, code: auth}\nfallback: [{provider: echo}]\n---\n"
    with AuraServer(tmp_path, {"it.md": agent}, '[defaults]\nprovider = "echo"\n') as aura:
        last = aura.ask("it")[-1]
        assert last.data["message"] == "The agent's options request this failure."


def test_a_broken_entry_costs_the_other_candidates_nothing(tmp_path: Path) -> None:
    agent = "---\nprovider: echo\nfallback:\n  - {provider: ehco}\n  - {provider: echo, model: large}\n---\n"
    with AuraServer(tmp_path, {"it.md": agent}) as aura:
        assert aura.ask("it", "Hello")[-1].name == "done"
        shown = httpx.get(f"{aura.url}/api/agents/it", trust_env=False).json()
    assert shown["error"].endswith("fallback[0]: provider 'ehco' is not installed; did you mean 'echo'?")


def test_a_provider_without_another_one_behind_it_has_the_servers_time(tmp_path: Path) -> None:
    """Its only entry is the provider that was chosen, and so is not asked twice."""
    agent = "---\noptions: {delay: 1}\nfallback: [{provider: echo}]\n---\n"
    toml = '[server]\nfallback_after = 0.3\n[defaults]\nprovider = "echo"\n'
    with AuraServer(tmp_path, {"it.md": agent}, toml) as aura:
        assert aura.ask("it", "Hello")[-1].name == "done"


def test_an_edit_takes_effect_while_the_server_runs(tmp_path: Path) -> None:
    failing = "---\nprovider: first\noptions: {fail_after: 0, code: auth}\n"
    with AuraServer(tmp_path, {"it.md": f"{failing}---\n"}, TOML) as aura:
        assert aura.ask("it")[-1].name == "error"
        (tmp_path / "agents" / "it.md").write_text(f"{failing}fallback: [{{provider: second}}]\n---\n")
        _until(lambda: aura.ask("it")[-1].name == "done")
        [listed] = httpx.get(f"{aura.url}/api/agents", trust_env=False).json()["agents"]
        assert listed["fallback"] == ["second"]
        (tmp_path / "agents" / "it.md").write_text(f"{failing}fallback: [{{provider: first}}]\n---\n")
        _until(lambda: aura.runtime.agents.entries["it"].error is not None)
        assert aura.ask("it")[-1].name == "done", "the last valid version stays"


def test_the_demo_has_an_agent_that_falls_back(tmp_path: Path) -> None:
    process = Process(tmp_path, "--demo")
    try:
        agents = httpx.get(f"{process.url}/api/agents", trust_env=False, timeout=60).json()["agents"]
        assert [(agent["id"], agent["fallback"]) for agent in agents if agent["fallback"]] == [
            ("falls-back", ["backup"])
        ]
        assert [agent["error"] for agent in agents if agent["error"]] == []
        answer = httpx.post(
            f"{process.url}/api/agents/falls-back/chat/stream", json={"prompt": "Hello"}, trust_env=False, timeout=60
        ).text
        assert answer.startswith(": ok\n\n: asking backup\n\nevent: token\n")
    finally:
        process.popen.kill()
        process.exit()


def test_what_init_writes_has_an_agent_with_a_fallback(tmp_path: Path) -> None:
    init = subprocess.run([sys.executable, "-m", "aura_core", "init", "."], cwd=tmp_path, check=True, timeout=60)
    assert init.returncode == 0
    agents = json.loads(_aura(tmp_path, "agents", "--json").stdout)["agents"]
    assert [(each["id"], each["fallback"], each["error"]) for each in agents if each["fallback"]] == [
        ("steady", ["echo"], None)
    ]


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
