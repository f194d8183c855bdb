"""Secrets of providers: read from the variable or the file that the settings name, and never shown."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import anthropic  # noqa: F401  # takes longer on a busy machine than a client may take to open
import msgspec
import pytest

from aura_core import ProviderError, secret
from aura_core.config import settings
from aura_core.runtime import Runtime
from aura_core.testing import AuraServer, Reply, Upstream

KEY = "sk-proj-AbCdEfGh1234567890-wxyz"
OK = Reply([b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'])
AGENT = "---\nprovider: {}\nmodel: m\n---\n"
FakePlugin = Callable[..., None]


class Names(msgspec.Struct):
    """Settings of a plugin that names two secrets."""

    api_key_env: str = ""
    api_key_file: str = ""
    login_env: str = ""


def test_the_file_goes_before_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "key"
    file.write_text(f"\ufeff  {KEY}\r\n\n", encoding="utf-8")
    monkeypatch.setenv("MY_KEY", " other \n")
    assert secret(Names("MY_KEY", str(file)), "api_key") == KEY
    assert secret(Names("MY_KEY"), "api_key") == "other"
    assert secret(Names(login_env="MY_KEY"), "login") == "other", "a setting without a sibling"


@pytest.mark.parametrize("names", [Names(), Names("NOT_SET")])
def test_a_secret_that_is_not_set_is_empty_unless_it_is_required(names: Names) -> None:
    assert secret(names, "api_key") == ""
    with pytest.raises(ProviderError) as missing:
        secret(names, "api_key", required=True)
    assert missing.value.code == "auth"
    assert ("NOT_SET holds no API key" if names.api_key_env else "No API key is configured") in missing.value.message


@pytest.mark.parametrize("kind", ["missing", "empty", "folder", "bytes", "control", "pipe"])
def test_a_file_that_holds_no_secret_is_told_by_its_setting(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "own-folder-name"
    if kind == "folder":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    elif kind != "missing":
        file.write_bytes(
            {"empty": b" \n", "bytes": b"\xff\xfe", "control": KEY.encode() + b"\x00" + KEY.encode()}[kind]
        )
    with pytest.raises(ProviderError) as wrong:
        secret(Names(api_key_file=str(file)), "api_key")
    assert wrong.value.code == "auth"
    assert "api_key_file" in wrong.value.message
    assert KEY not in wrong.value.message
    assert "own-folder-name" not in wrong.value.message, "a client of the server reads this"


@pytest.mark.parametrize("key", ["abc\ndef", "b\u00e4r"])
def test_a_variable_that_no_header_can_carry_is_told_without_its_value(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", key)
    with pytest.raises(ProviderError) as wrong:
        secret(Names("MY_KEY"), "api_key")
    assert "MY_KEY" in wrong.value.message
    assert key not in wrong.value.message


@pytest.mark.parametrize("plugin", ["openai", "ollama", "azure", "anthropic"])
def test_every_own_plugin_reads_its_key_from_a_file(
    plugin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("OPENAI_API_KEY", "OLLAMA_API_KEY", "AZURE_OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(variable, "sk-the-other-key-000")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/key").write_text(f"{KEY}\n")
    with Upstream(OK) as upstream:
        place = "endpoint" if plugin == "azure" else "base_url"
        toml = f'[providers.{plugin}]\n{place} = "{upstream.url}"\napi_key_file = "secrets/key"\n'
        with AuraServer(tmp_path, {"it.md": AGENT.format(plugin)}, toml) as aura:
            aura.ask("it")
    headers = upstream.requests[0].headers
    assert f"Bearer {KEY}" == headers["authorization"]


def test_a_relative_file_belongs_to_the_folder_of_the_settings_that_name_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "elsewhere/key").write_text("sk-of-the-current-folder")
    file = tmp_path / "aura.toml"
    file.write_text('[providers.openai]\napi_key_file = "key"\n[providers.ollama]\napi_key_file = "~/key"\n')
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    runtime = Runtime(settings.load({}, {}, file), {})
    assert runtime.providers.instances["openai"].settings.api_key_file == str(tmp_path / "key")
    assert runtime.providers.instances["ollama"].settings.api_key_file == str(tmp_path / "home/key")
    assert KEY in runtime.secrets
    environ = {"AURA_PROVIDERS__OPENAI__API_KEY_FILE": "key"}
    runtime = Runtime(settings.load({}, environ, None), environ)
    assert secret(runtime.providers.instances["openai"].settings, "api_key") == "sk-of-the-current-folder"


def test_a_secret_that_is_written_after_the_start_is_hidden_once_it_is_used(tmp_path: Path) -> None:
    file = tmp_path / "aura.toml"
    file.write_text('[providers.openai]\napi_key_file = "key"\n')

    async def run() -> str:
        runtime = Runtime(settings.load({}, {}, file), {})
        (tmp_path / "key").write_text(KEY)
        await runtime.providers.instances["openai"].client()
        try:
            return runtime.redact(f"the key {KEY} is wrong")
        finally:
            await runtime.close()

    assert asyncio.run(run()) == "the key *** is wrong"


def test_a_secret_has_a_length(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k" * 9000)
    with pytest.raises(ProviderError, match="more than 8192 characters"):
        secret(Names(api_key_file=str(tmp_path / "key")), "api_key")


CARELESS = """
import msgspec
from aura_core import ProviderError, hookimpl, secret

class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    api_key_env: str = ""
    api_key_file: str = ""

@hookimpl
def provider_settings():
    return Settings

@hookimpl
async def stream_chat(request, settings):
    key = secret(settings, "api_key")
    raise ProviderError({message})
    yield
"""


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ('f"the server says: bad key {key}."', "the server says: bad key ***."),
        ('f"the server says: bad key {key[:14]}*****{key[-4:]} is unknown"', "the server says: bad key *** is unknown"),
        ('f"bad key ...{key[-12:]}"', "bad key ***"),
        ('"the model sk-proj is not there"', "the model sk-proj is not there"),
    ],
)
def test_no_careless_plugin_shows_a_key_from_a_file_nor_a_part_of_it(
    message: str, shown: str, tmp_path: Path, fake_plugin: FakePlugin
) -> None:
    fake_plugin("careless", CARELESS.format(message=message))
    (tmp_path / "key").write_text(KEY)
    toml = '[providers.careless]\napi_key_file = "key"\n'
    with AuraServer(tmp_path, {"it.md": AGENT.format("careless")}, toml) as aura:
        (event,) = aura.ask("it")
    assert event.data["message"] == shown


def test_an_untrusted_folder_names_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "aura.toml").write_text('[providers.openai]\napi_key_file = "/etc/hostname"\n')
    runtime = Runtime(settings.load({}, {}), {})
    assert "api_key_file" in str(runtime.refusals[0])
    assert runtime.providers.instances["openai"].settings is None
