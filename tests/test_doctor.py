"""`aura doctor`: what it checks, what it never shows, and that it prints each result as soon as it is known."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

GOOD = "---\nprovider: echo\n---\n"
KEY = "c0ffee" * 6


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "aura_core", "doctor", *arguments]


def _doctor(folder: Path, *arguments: str, **environ: str) -> tuple[int, dict[str, tuple[str, str]]]:
    """The exit code, and each check's status and detail by name."""
    result = subprocess.run(
        _command("--json", "--offline", *arguments),
        cwd=folder,
        env=os.environ | {"AURA_PLUGINS": "echo,ollama,open", "AURA_TRUST": str(folder)} | environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.stderr == ""
    assert KEY not in result.stdout
    return result.returncode, {c["name"]: (c["status"], c["detail"]) for c in json.loads(result.stdout)["checks"]}


def test_the_folder_that_is_read_is_shown_whole(tmp_path: Path) -> None:
    assert _doctor(tmp_path)[1]["folder"] == (
        "note",
        f"{tmp_path}/agents: there is no such folder; the built-in agent serves",
    )
    named = _doctor(tmp_path, "--agents", "nowhere")[1]["folder"]
    assert named == ("warning", f"--agents: {tmp_path}/nowhere: there is no such folder")
    (tmp_path / "agents").mkdir()
    assert _doctor(tmp_path)[1]["folder"] == (
        "note",
        f"{tmp_path}/agents: no agent files; the built-in agent serves",
    )
    (tmp_path / "agents" / "a.md").write_text(GOOD)
    assert _doctor(tmp_path)[1]["folder"] == ("ok", f"{tmp_path}/agents")


def test_an_open_host_is_one_failed_check(tmp_path: Path) -> None:
    (tmp_path / "aura.toml").write_text("[server]\nhost = '0.0.0.0'\n")
    code, checks = _doctor(tmp_path)
    assert (code, [name for name, (status, _) in checks.items() if status == "failed"]) == (1, ["listening"])
    assert "refusing to listen on 0.0.0.0 without a token" in checks["listening"][1]
    assert _doctor(tmp_path, AURA_TOKEN="t")[0] == 0


def test_no_key_is_shown_wherever_it_was_put(tmp_path: Path, fake_plugin: Callable[..., None]) -> None:
    fake_plugin(
        "open",
        "import msgspec\nfrom aura_core import Token, hookimpl\n"
        "class Settings(msgspec.Struct):\n    api_key: str = ''\n"
        "@hookimpl\ndef provider_settings():\n    return Settings\n"
        "@hookimpl\nasync def stream_chat(request):\n    yield Token('a', finish_reason='stop')\n",
    )
    (tmp_path / "aura.toml").write_text(
        f"[providers.open]\napi_key = '{KEY}'\nclient_secret = '{KEY}'\n[providers.ollama]\napi_key_env = '{KEY}'\n"
    )
    code, checks = _doctor(tmp_path, PYTHONPATH=str(tmp_path / "site" / "aura-open"))
    assert checks["open.api_key"] == ("note", "set, not shown (aura.toml:2)")
    assert checks["ollama"] == (
        "failed",
        "aura.toml:5: api_key_env: expected the name of a variable, not the key itself",
    )
    assert code == 1


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_results_are_printed_at_once_and_kept_after_ctrl_c(
    arguments: tuple[str, ...], tmp_path: Path, fake_plugin: Callable[..., None]
) -> None:
    fake_plugin(
        "slow",
        "import asyncio, sys\nfrom aura_core import Token, hookimpl\n"
        "@hookimpl\nasync def stream_chat(request):\n"
        "    print('it waits', file=sys.stderr, flush=True)\n    await asyncio.sleep(1000)\n    yield Token('a')\n",
    )
    (tmp_path / "agents").mkdir()
    for name, provider in (("a", "echo"), ("b", "slow"), ("c", "echo")):
        (tmp_path / "agents" / f"{name}.md").write_text(f"---\nprovider: {provider}\n---\n")
    env = os.environ | {"AURA_PLUGINS": "slow", "PYTHONPATH": str(tmp_path / "site" / "aura-slow")}
    with subprocess.Popen(
        _command(*arguments), cwd=tmp_path, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            told = "" if arguments else _until(process.stdout, "ok a (echo): first token")
            _until(process.stderr, "it waits")
            process.send_signal(signal.SIGINT)
            rest, error = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (process.returncode, error) == (1, "")
    if arguments:
        assert json.loads(rest)["checks"][-1]["name"] == "a (echo)"
    else:
        assert told.startswith("Aura ")
        assert rest.endswith("Stopped before the end: 0 failed, 0 warnings\n")


def _until(stream: IO[str], text: str) -> str:
    """The output up to a line that contains the text."""
    read = ""
    for line in stream:
        read += line
        if text in line:
            return read
    raise AssertionError(f"{text!r} never came: {read}")


ASKS = """\
from aura_core import Model, ProviderError, Token, hookimpl
@hookimpl
async def stream_chat(request):
    if request.model == "away":
        raise ProviderError("It is away.", "unavailable")
    yield Token(request.model, finish_reason="stop")
@hookimpl
async def check_health():
    raise ProviderError("It is away.", "unavailable")
@hookimpl
async def check_request(request):
    return []
@hookimpl
async def default_model():
    return None
"""


@pytest.mark.parametrize("as_json", [False, True])
def test_each_cause_is_reported_once(as_json: bool, tmp_path: Path, fake_plugin: Callable[..., None]) -> None:
    fake_plugin("asks", ASKS)
    (tmp_path / "aura.toml").write_text("[server]\nretries = 0\n")
    (tmp_path / "agents").mkdir()
    for name, matter in {
        "nobody": "provider: asks",  # names no model
        "nobody-else": "provider: asks",
        "away": "provider: asks\nmodel: away",  # as the health check reports
        "missing": "provider: nowhere",
    }.items():
        (tmp_path / "agents" / f"{name}.md").write_text(f"---\n{matter}\n---\n")
    env = os.environ | {"AURA_PLUGINS": "asks", "PYTHONPATH": str(tmp_path / "site" / "aura-asks")}
    command = _command(*["--json"] * as_json)
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    for cause in ("No model is named", "It is away.", "'nowhere' is not installed"):
        assert done.stdout.count(cause) == 1, (cause, done.stdout)
    assert "the same as for nobody-else (asks) under agents" in done.stdout
    assert "the same as for asks under providers" in done.stdout
    assert "could not check it" not in done.stdout
    if as_json:
        failed = [check["name"] for check in json.loads(done.stdout)["checks"] if check["status"] == "failed"]
        assert failed == ["asks", "away (asks)", "missing", "nobody-else (asks)", "nobody (asks)"]


@pytest.mark.parametrize("number", [1, 2])
def test_a_number_and_its_noun_agree(number: int, tmp_path: Path) -> None:
    environ = {f"AURA_{each}": "x" for each in ("ONE", "TWO")[:number]}  # no setting
    env = os.environ | {"AURA_PLUGINS": "echo"} | environ
    done = subprocess.run(_command("--offline"), cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout.endswith(f"0 failed, {number} {'warning' if number == 1 else 'warnings'}\n")


TELLS = """\
import os
from contextlib import asynccontextmanager
import msgspec
from aura_core import Model, ProviderError, Token, hookimpl

class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    api_key_env: str = "TELLS_KEY"

def tell(where):
    raise ProviderError(f"{where} refuses {os.environ['TELLS_KEY']}", "auth")

@hookimpl
def provider_settings():
    return Settings
@hookimpl
async def stream_chat(request):
    yield Token(request.model, finish_reason="stop")
"""
HOOKS = {
    "check_health": "async def check_health():\n    tell('the health check')",
    "default_model": "async def default_model():\n    tell('the default model')",
    "list_models": "async def default_model():\n    return None\n"
    "@hookimpl\nasync def list_models():\n    raise ProviderError(os.environ['TELLS_KEY'], 'auth')",
    "check_request": "async def check_request(request):\n    return ['the request has ' + os.environ['TELLS_KEY']]",
    "check_request raises": "async def check_request(request):\n    tell('the request')",
    "open_client": "@asynccontextmanager\nasync def open_client(settings):\n    tell('the client')\n    yield\n"
    "@hookimpl\nasync def check_health(client):\n    pass",
}


@pytest.mark.parametrize("hook", HOOKS)
def test_no_key_is_shown_in_the_words_of_a_plugin(hook: str, tmp_path: Path, fake_plugin: Callable[..., None]) -> None:
    fake_plugin("tells", f"{TELLS}\n@hookimpl\n{HOOKS[hook]}\n")
    (tmp_path / "agents").mkdir()
    model = "" if hook in ("default_model", "list_models") else "model: m\n"
    (tmp_path / "agents" / "it.md").write_text(f"---\nprovider: tells\n{model}---\n")
    environ = {"AURA_PLUGINS": "tells", "TELLS_KEY": KEY, "PYTHONPATH": str(tmp_path / "site" / "aura-tells")}
    command = _command("--json")
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert "***" in done.stdout, done.stdout
    assert KEY not in done.stdout + done.stderr
