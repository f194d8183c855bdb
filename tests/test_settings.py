"""Settings as users write them: valid, empty and misspelt ones, and a secret in the wrong place."""

from pathlib import Path

import httpx
import pytest

from aura_core.config import settings
from aura_core.errors import ConfigError
from aura_core.plugins.infos import provider_infos
from aura_core.runtime import Runtime
from aura_core.testing import AuraServer

SECRETS = ["sk-proj-realsecret0123", "0123456789abcdef0123456789abcdef", "gsk_abcdefghij0123456789abcdefghij", "a b"]


def _load(tmp_path: Path, toml: str = "", **environ: str) -> settings.Settings:
    file = tmp_path / "aura.toml"
    file.write_text(toml, encoding="utf-8")
    return settings.load({}, environ, file)


def _error(tmp_path: Path, toml: str = "", **environ: str) -> str:
    with pytest.raises(ConfigError) as raised:
        _load(tmp_path, toml, **environ)
    assert "\n" not in str(raised.value)
    return str(raised.value).removeprefix(f"{tmp_path}/")


# The agents' folder


def test_a_tilde_in_the_agents_folder_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert _load(tmp_path, "[agents]\ndirectory = '~/mine'").directory == Path("/home/somebody/mine")
    assert _load(tmp_path, "[agents]\ndirectory = 'mine'").directory == tmp_path / "mine"


@pytest.mark.parametrize("directory", ["", "a\\u0000b"])
def test_an_impossible_agents_folder_is_refused(directory: str, tmp_path: Path) -> None:
    assert _error(tmp_path, f'[agents]\ndirectory = "{directory}"').startswith("aura.toml:2: directory: ")


def test_a_named_agents_folder_that_cannot_be_read_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("nowhere", "file"):
        (warning,) = Runtime(_load(tmp_path, f"[agents]\ndirectory = '{name}'"), {}).warnings
        assert warning.startswith(f"{tmp_path}/aura.toml:2: {tmp_path}/{name}: ")


def test_an_agents_folder_that_nobody_named_need_not_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Runtime(_load(tmp_path), {}).warnings == []
    (tmp_path / "agents").touch()
    (warning,) = Runtime(_load(tmp_path), {}).warnings
    assert warning.startswith(f"{tmp_path}/agents: ")


def test_a_current_folder_that_was_deleted_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (gone := tmp_path / "gone").mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ConfigError, match="the current folder"):
        settings.load({}, {})


# Variables


def test_an_empty_variable_counts_as_unset(tmp_path: Path) -> None:
    empty = {"AURA_SERVER__PORT": "", "AURA_PROVIDERS__OLLAMA__BASE_URL": "", "AURA_SEVER__PORT": "", "AURA_PORT": ""}
    loaded = _load(tmp_path, "[server]\nport = 7\n[providers.ollama]\nbase_url = 'http://a'", **empty)
    assert (loaded.server.port, loaded.origins["server.port"]) == (7, f"{tmp_path}/aura.toml:2")
    assert loaded.tables["ollama"]["base_url"].value == "http://a"
    assert loaded.warnings == []
    assert _load(tmp_path, "[server]\ntoken_env = 'X'", AURA_SERVER__TOKEN_ENV='""').server.token_env == ""


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("AURA_SERVER_PORT", "; did you mean 'AURA_SERVER__PORT'?"),
        ("AURA_PORT", "; did you mean 'AURA_SERVER__PORT'?"),
        ("AURA_IDLE_TIMEOUT", "; did you mean 'AURA_SERVER__IDLE_TIMEOUT'?"),
        ("AURA_TOKENS", "; did you mean 'AURA_TOKEN'?"),
        ("AURA_LOG_LEVEL", "; did you mean 'AURA_LOG__LEVEL'?"),
        ("AURA_X1Y2Z3Q4", ""),
    ],
)
def test_a_variable_that_is_not_a_setting_is_a_warning(variable: str, hint: str, tmp_path: Path) -> None:
    assert _load(tmp_path, **{variable: "1"}).warnings == [f"{variable} is not a setting{hint}"]


def test_a_variable_that_a_setting_names_is_not_a_warning(tmp_path: Path) -> None:
    toml = "[server]\ntoken_env = 'AURA_SECRET'\n[providers.ollama]\napi_key_env = 'AURA_OLLAMA_KEY'"
    assert _load(tmp_path, toml, AURA_SECRET="a", AURA_OLLAMA_KEY="b", AURA_TOKEN="c").warnings == []


@pytest.mark.parametrize("secret", SECRETS)
def test_a_key_in_place_of_a_variables_name_is_refused_and_not_repeated(secret: str, tmp_path: Path) -> None:
    says = "_env: expected the name of a variable, not the key itself"
    error = _error(tmp_path, f"[server]\ntoken_env = '{secret}'")
    assert error == f"aura.toml:2: token{says}"
    loaded = _load(tmp_path, f"[providers.ollama]\napi_key_env = '{secret}'")
    made = Runtime(loaded, {})
    assert made.warnings == [f"{tmp_path}/aura.toml:2: api_key{says}"]
    assert secret not in str(provider_infos(made.providers))


@pytest.mark.parametrize("name", ["", "KEY", "MY_LONG_KEY_OF_A_VERY_LONG_NAME", "lower_case9"])
def test_a_variables_name_is_taken(name: str, tmp_path: Path) -> None:
    made = Runtime(_load(tmp_path, f"[server]\ntoken_env = '{name}'\n[providers.ollama]\napi_key_env = '{name}'"), {})
    assert made.warnings == []


# Files


def test_a_users_file_that_cannot_be_reached_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / ("x" * 300)))  # root can read every folder except this one
    loaded = settings.load({}, {})
    assert loaded.files == []
    (warning,) = loaded.warnings
    assert warning.endswith("aura/aura.toml: cannot be read: File name too long")
    with pytest.raises(ConfigError, match="cannot be read: File name too long"):
        settings.load({}, {}, Path("x" * 300) / "aura.toml")


def test_deeply_nested_values_are_one_line(tmp_path: Path) -> None:
    nested = "[" * 5000 + "]" * 5000
    assert "nested too deeply" in _error(tmp_path, f"[server]\nallowed_hosts = {nested}")
    assert "AURA_SERVER__ALLOWED_HOSTS: allowed_hosts" in _error(tmp_path, AURA_SERVER__ALLOWED_HOSTS=nested)


# Hosts, origins and tokens

GOOD_HOSTS = [
    "aura.example.com",
    "Aura.Example.com:443",
    "10.0.0.5",
    "10.0.0.5:5300",
    "[fd00::1]",
    "[fd00::1]:80",
    "x.",
]
BAD_HOSTS = ["", "https://x.example/", "x.example/", "x y", "fd00::1", "x:port", "me@x", "x:"]
BAD_HOSTS += ["*", "*.", "a*.x", "x.*", "*.*.x", "*x", "*/8", "10.0.0.1/8", "10.0.0.0/33"]
GOOD_ORIGINS = [
    "https://x.example",
    "HTTP://x.example:80",
    "http://[::1]:8",
    "vscode-webview://abc",
    "https://x/",
    "null",
]
BAD_ORIGINS = ["", "x.com/", "x.com", "https://x.com/app", "*", "https://*.x.com", "https://", "https://x.com?a", "//x"]


def test_hosts_and_origins_that_can_match_are_taken(tmp_path: Path) -> None:
    with AuraServer(tmp_path, toml=f"[server]\nallowed_hosts = {GOOD_HOSTS}\nallowed_origins = {GOOD_ORIGINS}") as aura:
        for host in GOOD_HOSTS:
            assert httpx.get(f"{aura.url}/api/agents", headers={"host": host}, trust_env=False).status_code == 200
        for origin in GOOD_ORIGINS:
            headers = {"origin": origin.rstrip("/")}
            assert httpx.get(f"{aura.url}/api/agents", headers=headers, trust_env=False).status_code == 200


@pytest.mark.parametrize(
    ("entry", "served", "refused"),
    [
        (
            "*.Example.com",
            ["a.example.com", "A.B.EXAMPLE.COM:5300", "a.example.com:1"],
            [
                "example.com",
                "aexample.com",
                "a.example.com.evil.net",
                "example.com:80",
                "a.example.org",
                "x@a.example.com",
            ],
        ),
        ("*.example.com:8443", ["a.example.com:8443"], ["a.example.com", "a.example.com:8444"]),
        (
            "10.1.0.0/16",
            ["10.1.2.3", "10.1.255.255:5300"],
            ["10.2.0.1", "010.1.2.3", "10.1.2.3.example.com"],
        ),
        ("fd00::/8", ["[fd00::1]", "[FD12::9]:5300"], ["[fe80::1]", "10.1.2.3", "[fd00::1"]),
        ("10.0.0.7/32", ["10.0.0.7"], ["10.0.0.8"]),
    ],
)
def test_wildcards_and_networks_of_hosts(entry: str, served: list[str], refused: list[str], tmp_path: Path) -> None:
    with AuraServer(tmp_path, toml=f"[server]\nallowed_hosts = ['{entry}']") as aura:
        for host, status in [*((host, 200) for host in ["localhost", *served]), *((host, 421) for host in refused)]:
            given = httpx.get(f"{aura.url}/api/agents", headers={"host": host}, trust_env=False)
            assert given.status_code == status, host


@pytest.mark.parametrize(
    ("key", "value"), [*(("hosts", h) for h in BAD_HOSTS), *(("origins", origin) for origin in BAD_ORIGINS)]
)
def test_hosts_and_origins_that_never_match_are_refused(key: str, value: str, tmp_path: Path) -> None:
    good = "x" if key == "hosts" else "http://x"
    error = _error(tmp_path, f"[server]\nallowed_{key} = ['{good}', {value!r}]")
    assert error.startswith(f"aura.toml:2: allowed_{key}: {value!r} is ")


# Where Aura may listen


def test_an_open_host_stops_only_what_listens(tmp_path: Path) -> None:
    loaded = _load(tmp_path, "[server]\nhost = '0.0.0.0'")
    assert loaded.unguarded is not None
    assert loaded.unguarded.startswith(f"{tmp_path}/aura.toml:2: refusing to listen on 0.0.0.0 without a token")
    assert _load(tmp_path, "[server]\nhost = '0.0.0.0'", AURA_TOKEN="t").unguarded is None
    assert _load(tmp_path).unguarded is None


def test_a_list_where_a_variable_is_named_breaks_its_provider_only(tmp_path: Path) -> None:
    file = tmp_path / "aura.toml"
    file.write_text("[providers.echo]\napi_key_env = ['AURA_X']\n")
    assert settings.load({}, {"AURA_X": "1"}, file).warnings == ["AURA_X is not a setting"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("heartbeat = 60", "heartbeat: expected a number <= 30.0"),
        ("heartbeat = 0", "heartbeat: expected a number > 0.0"),
        ("keep_alive = 0", "keep_alive: expected a number > 0.0"),
        ("idle_timeout = nan", "idle_timeout: expected a finite number"),
        ("total_timeout = +inf", "total_timeout: expected a finite number"),
    ],
)
def test_a_time_that_cannot_hold_is_refused(tmp_path: Path, line: str, why: str) -> None:
    """Page and extension close a connection after 45 s of silence; `nan` is neither above nor below a limit."""
    file = tmp_path / "aura.toml"
    file.write_text(f"[server]\n{line}\n")
    with pytest.raises(ConfigError) as caught:
        settings.load({}, {}, file)
    assert str(caught.value) == f"{file}:2: {why}"
