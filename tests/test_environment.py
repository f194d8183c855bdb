"""Variables: white space around a value does not count, whichever it is, and a token must fit into a header."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from aura_core.config import settings, trust
from aura_core.errors import ConfigError
from aura_core.plugins.loader import allowed_by_environment
from aura_core.runtime import Runtime
from aura_core.testing import AuraServer, Reply, Upstream

SPACES = ["{}\n", "{}\r\n", " {}", "\t{} \n\n", "\u00a0{}\u3000"]


@pytest.mark.parametrize("form", SPACES)
def test_white_space_around_a_setting_does_not_count(form: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[server]\nretries = 3\n")
    environ = {
        "AURA_SERVER__PORT": "5400",
        "AURA_SERVER__TOKEN_ENV": "MY_TOKEN",
        "AURA_SERVER__ALLOWED_HOSTS": '["a.example"]',
        "AURA_PROVIDERS__OPENAI__BASE_URL": "http://127.0.0.1:9/v1",
        "AURA_PROVIDERS__OPENAI__API_KEY_ENV": "MY_KEY",
        "OLLAMA_HOST": "http://127.0.0.1:8",
        "AURA_CONFIG": str(tmp_path / "mine.toml"),
        "AURA_TRUST": str(tmp_path),
        "AURA_PLUGINS": "ollama,openai",
        "MY_TOKEN": "secret",
    }
    environ = {name: form.format(value) for name, value in environ.items()}
    loaded = settings.load({}, environ)
    server = loaded.server
    assert (server.port, server.token_env, server.allowed_hosts, server.retries) == (5400, "MY_TOKEN", ["a.example"], 3)
    assert (loaded.token, loaded.warnings, trust.named(environ)) == ("secret", [], [tmp_path])
    assert allowed_by_environment(environ) == ["ollama", "openai"]
    instances = Runtime(loaded, environ).providers.instances
    assert instances["openai"].settings.base_url == "http://127.0.0.1:9/v1"
    assert instances["openai"].settings.api_key_env == "MY_KEY"
    assert instances["ollama"].settings.base_url == "http://127.0.0.1:8"


@pytest.mark.parametrize("value", ["\n", " ", "\u00a0"])
def test_a_variable_of_white_space_alone_is_as_if_it_were_not_set(value: str, tmp_path: Path) -> None:
    (tmp_path / "aura.toml").write_text("[server]\nport = 7\n")
    environ = {"AURA_SERVER__PORT": value, "AURA_SEVER__PORT": value, "AURA_PORT": value, "OLLAMA_HOST": value}
    loaded = settings.load({}, environ, tmp_path / "aura.toml")
    assert (loaded.server.port, loaded.warnings) == (7, [])
    assert Runtime(loaded, environ).providers.instances["ollama"].settings.base_url == "http://127.0.0.1:11434"


def test_a_key_goes_out_without_the_white_space_around_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", " key-of-mine\r\n")
    with Upstream() as upstream:
        monkeypatch.setenv("OLLAMA_HOST", f"{upstream.url}\n")
        upstream.queue(Reply([b'{"message":{"content":"hi"},"done":true,"done_reason":"stop"}\n']))
        with AuraServer(tmp_path, {"a.md": "---\nprovider: ollama\nmodel: m\n---\n"}) as aura:
            assert aura.ask("a")[0].data["content"] == "hi"
        assert upstream.requests[-1].headers["authorization"] == "Bearer key-of-mine"


# The token

NO_HEADER = ["a\x00b", "a\nb", "a\r\nb", "a\tb", "a\x7f", "t\u00f6ken", "\u200btoken", "\U0001f916", "\udcff"]


@pytest.mark.parametrize("token", NO_HEADER)
def test_a_token_that_no_header_can_carry_is_refused(token: str) -> None:
    with pytest.raises(ConfigError) as error:
        settings.load({}, {"AURA_TOKEN": token})
    assert str(error.value) == (
        "AURA_TOKEN: the token holds characters that no header can carry; set another one, of ASCII"
    )


@pytest.mark.parametrize("token", ["\n", " ", "\t\r\n", "\u00a0"])
def test_a_token_of_white_space_alone_is_refused(token: str, tmp_path: Path) -> None:
    file = tmp_path / "aura.toml"
    file.write_text("[server]\ntoken_env = 'MINE'\n")
    with pytest.raises(ConfigError) as error:
        settings.load({}, {"MINE": token}, file)
    assert str(error.value) == "MINE: the token is only white space; set another one, or unset the variable"


@pytest.mark.parametrize("token", ["\n", "t\u00f6ken"])
def test_aura_serve_does_not_listen_with_such_a_token(token: str, tmp_path: Path) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    command = [sys.executable, "-m", "aura_core", "serve", "--port", str(port)]
    env = os.environ | {"AURA_TOKEN": token, "AURA_PLUGINS": "echo"}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("aura: AURA_TOKEN: the token ")
    assert done.stderr.count("\n") == 1


def test_a_token_with_a_line_break_behind_it_is_the_token(tmp_path: Path) -> None:
    with AuraServer(tmp_path, environ={**os.environ, "AURA_TOKEN": "two words\n"}) as aura:
        url = f"{aura.url}/api/agents"
        assert httpx.get(url, trust_env=False).status_code == 401
        headers = {"authorization": "Bearer two words"}
        assert httpx.get(url, headers=headers, trust_env=False).status_code == 200
