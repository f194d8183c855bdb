"""Clients by name: whose token it is, what each of them may see, and that hidden agents do not exist for them."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from aura_core.config import settings
from aura_core.errors import ConfigError
from aura_core.limits import REFUSALS_INTERVAL, REFUSALS_LOGGED
from aura_core.testing import AuraServer

ECHO = "---\nprovider: echo\n---\n"
TOKENS = {"AURA_TOKEN": "of the server", "ALICE": "alice's", "ALICE_NEXT": "alice's next", "BOB": "b" * 300}
TOML = """
[clients.alice]
token_env = ["ALICE", "ALICE_NEXT"]
agents = ["review-*", "SHARED"]

[clients.bob]
token_env = "BOB"
agents = []
operator = true
"""
AGENTS = {"review-code.md": ECHO, "review-text.md": ECHO, "shared.md": ECHO, "secret.md": ECHO}


@pytest.fixture(scope="module")
def aura(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuraServer]:
    with AuraServer(tmp_path_factory.mktemp("aura"), AGENTS, TOML, os.environ | TOKENS) as server:
        yield server


def _get(aura: AuraServer, path: str, token: str = "ALICE", **headers: str) -> httpx.Response:
    headers |= {"authorization": f"Bearer {TOKENS[token]}"}
    return httpx.get(aura.url + path, headers=headers, trust_env=False, timeout=60)


def _post(aura: AuraServer, path: str, body: Any, token: str = "ALICE") -> httpx.Response:
    headers = {"authorization": f"Bearer {TOKENS[token]}"}
    return httpx.post(aura.url + path, json=body, headers=headers, trust_env=False, timeout=60)


# Whose token it is


def test_every_token_of_a_client_is_valid_and_its_name_is_in_the_record(aura: AuraServer) -> None:
    records = list[Any]()
    aura.runtime.observers.append(lambda record, _ended: records.append(record))
    for token in TOKENS:
        answered = _post(aura, "/api/agents/shared/chat", {"prompt": "hi"}, token)
        assert answered.status_code == (404 if token == "BOB" else 200)
    aura.tell()
    assert [record.client for record in records] == ["default", "alice", "alice"]
    assert httpx.get(f"{aura.url}/api/agents", trust_env=False).status_code == 401


def test_a_thousand_wrong_tokens_are_all_refused(aura: AuraServer, caplog: pytest.LogCaptureFixture) -> None:
    """Without a word about which part was wrong: of a known client, of none, or of another form. A few lines of the log
    tell of all of them."""
    aura.runtime.refused.tell(now=True)
    caplog.clear()
    began = time.monotonic()
    almost = [f"Bearer {token}{end}" for token in TOKENS.values() for end in ("x", "\xe4")]
    almost += [f"Bearer {token[:-1]}" for token in TOKENS.values()]
    almost += [
        f"Basic {TOKENS['ALICE']}",
        f"Bearer {TOKENS['ALICE']} {TOKENS['BOB']}",
        "Bearer",
        "",
        "Bearer " + "x" * 9999,
    ]
    bodies = Counter[str]()

    def ask(number: int) -> int:
        with httpx.Client(trust_env=False, timeout=60) as http:
            for each in range(number, 1000, 10):
                given = almost[each % len(almost)].encode("latin-1")
                refused = http.get(f"{aura.url}/api/agents", headers={b"authorization": given, b"x-request-id": b"1"})
                assert refused.status_code == 401
                assert refused.headers["www-authenticate"] == "Bearer"
                bodies[refused.text] += 1
        return number

    with ThreadPoolExecutor(10) as pool:
        assert len(list(pool.map(ask, range(10)))) == 10
    assert list(bodies.values()) == [1000], "each is told the same"
    aura.runtime.refused.tell(now=True)
    lines = [record for record in caplog.records if record.name == "aura.refusals"]
    alone = [record for record in lines if record.msg == "refused"]
    intervals = 2 + (time.monotonic() - began) // REFUSALS_INTERVAL
    assert len(alone) <= intervals * REFUSALS_LOGGED
    assert len(lines) - len(alone) <= intervals
    counted = [record.args[0] for record in lines if record.msg != "refused" and record.args]
    assert len(alone) + sum(counted) == 1000
    assert not any(token in caplog.text for token in TOKENS.values())


# What a client may see


def test_a_client_sees_its_agents_in_every_list(aura: AuraServer) -> None:
    mine = ["review-code", "review-text", "shared"]
    assert [agent["id"] for agent in _get(aura, "/api/agents").json()["agents"]] == mine
    assert [model["id"] for model in _get(aura, "/v1/models").json()["data"]] == mine
    assert _get(aura, "/api/agents", "BOB").json() == {"agents": []}
    assert len(_get(aura, "/api/agents", "AURA_TOKEN").json()["agents"]) == 4
    assert [agent["id"] for agent in _get(aura, "/api/agents").json()["agents"]] == mine, "also from the cache"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/agents/{}", None),
        ("/v1/models/{}", None),
        ("/api/agents/{}/chat", {"prompt": "hi"}),
        ("/api/agents/{}/chat/stream", {"prompt": "hi"}),
        ("/v1/chat/completions", {"model": "{}", "messages": [{"role": "user", "content": "hi"}]}),
        ("/v1/chat/completions", {"model": "{}", "stream": True, "messages": [{"role": "user", "content": "hi"}]}),
        ("/v1/responses", {"model": "{}", "input": "hi"}),
    ],
)
def test_a_hidden_agent_is_like_one_that_does_not_exist(path: str, body: Any, aura: AuraServer) -> None:
    def ask(agent: str) -> tuple[int, str, dict[str, str]]:
        url = aura.url + path.format(agent)
        headers = {"authorization": f"Bearer {TOKENS['ALICE']}", "x-request-id": "1"}
        content = None if body is None else {k: agent if v == "{}" else v for k, v in body.items()}
        method = "GET" if body is None else "POST"
        reply = httpx.request(method, url, json=content, headers=headers, trust_env=False, timeout=60)
        return reply.status_code, reply.text, {k: v for k, v in reply.headers.items() if k != "date"}

    hidden, missing, seen = ask("secret"), ask("nobody"), ask("shared")
    assert hidden == missing
    assert (hidden[0], seen[0]) == (404, 200)
    assert ask("SECRET") == ask("NOBODY") == missing
    assert ask("secret.agent")[0] == 404


def test_who_is_no_operator_finds_neither_metrics_nor_providers(aura: AuraServer) -> None:
    for path in ("/metrics", "/api/providers"):
        refused, unknown = (_get(aura, each, x_request_id="1") for each in (path, "/nothing"))
        assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
        assert refused.json()["detail"] == unknown.json()["detail"]
        assert _get(aura, path, "BOB").status_code == 200
        assert _get(aura, path, "AURA_TOKEN").status_code == 200


def test_without_any_token_everybody_is_an_operator(tmp_path: Path) -> None:
    with AuraServer(tmp_path, AGENTS) as aura:
        for path in ("/metrics", "/api/providers"):
            assert httpx.get(aura.url + path, trust_env=False).status_code == 200


# What is wrong with a table

SAID = "set it where Aura is started"
UNSET = f"the variable A is not set; {SAID}"


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("[clients.default]\ntoken_env = 'A'", ":2: the client 'default' is whoever has the token of [server]; choose"),
        (
            "[clients.'a b']\ntoken_env = 'A'",
            ":2: the name of a client is of the form [a-z0-9][a-z0-9_.@-]*, not 'a b'",
        ),
        ("[clients.Alice]\ntoken_env = 'A'", ":2: the name of a client is of the form"),
        ("[clients.a]\nmax_streams = 2", ":2: the client 'a' has neither token_env nor token_file; nobody could be it"),
        ("[clients.a]\ntoken_env = []", ":2: the client 'a' has neither token_env nor token_file"),
        ("[clients.a]", "[clients.a]: the client 'a' has neither"),
        ("clients = 3", ":1: clients must be a table"),
        ("[clients]\na = 3", ":2: a must be a table: [clients.a]"),
        ("[clients.a]\ntoken_env = 'A'\nagent = ['*']", ":3: unknown key 'agent'; did you mean 'agents'?"),
        (
            "[clients.a]\ntoken_env = 'A'\nagents = ['a/b']",
            ":3: agents: 'a/b' is not an agent's id, nor",
        ),
        ("[clients.a]\ntoken_env = 'A'\nagents = ['[a-z]*']", ":3: agents: '[a-z]*' is not"),
        ("[clients.a]\ntoken_env = 'A'\nmax_streams = -1", ":3: max_streams: expected a whole number >= 0"),
        ("[clients.a]\ntoken_env = 3", ":2: token_env: expected a string or a list"),
        ("[clients.a]\ntoken_env = ['A', 'sk-abcdefghij0123456789']", ":2: token_env: expected the name of a variable"),
        ("[client.a]\ntoken_env = 'A'", "unknown key 'client'; did you mean 'clients'?"),
        ("[clients.a]\ntoken_env = 'T\u00d6KEN'", ":2: token_env: expected the name of a variable"),
    ],
)
def test_a_wrong_table_is_told_with_its_line(toml: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "aura.toml"
    file.write_text(toml, encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        settings.load({}, {"A": "token"}, file)
    assert message in str(error.value)
    assert "0123456789" not in str(error.value)


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        (
            "[clients.a]\ntoken_env = 'A'",
            f":2: token_env: the client 'a' has no token: {UNSET}",
        ),
        ("[clients.a]\ntoken_env = ['A', 'ALSO']", f"the variable A is not set; {SAID}; the variable ALSO is not set"),
        ("[clients.a]\ntoken_file = 'none'", "none cannot be read: No such file or directory"),
        ("[clients.a]\ntoken_file = 'empty'", "empty is empty"),
        ("[clients.a]\ntoken_file = 'lines'", "lines holds characters that no header can carry"),
        (
            "[server]\ntoken_env = 'A'",
            f":2: token_env: the client 'default' has no token: {UNSET}",
        ),
        ("[server]\ntoken_env = 'AURA_TOKEN'", "the variable AURA_TOKEN is not set"),
        ("[server]\ntoken_file = 'empty'", ":2: token_file: the client 'default' has no token:"),
        (
            "[clients.a]\ntoken_env = 'ONE'\n[clients.b]\ntoken_env = 'SAME'",
            ":4: token_env: the clients 'a' and 'b' have the same token; give each its own",
        ),
    ],
)
def test_a_client_without_a_token_of_its_own_stops_the_start(toml: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "lines").write_text("one-token-0815\nanother-one-4711\n")
    (tmp_path / "aura.toml").write_text(f"{toml}\n")
    environ = os.environ | {"ONE": "same", "SAME": "same", "AURA_PLUGINS": "echo"}
    command = [sys.executable, "-m", "aura_core"]
    loaded = settings.load({}, {"ONE": "same", "SAME": "same"}, tmp_path / "aura.toml")
    assert message in str(loaded.unguarded)
    assert loaded.clients.of(b"Bearer anything") is None, "it is closed"
    if "lines" in toml or "SAME" in toml:  # the whole way, for one of each kind
        done = subprocess.run(
            [*command, "serve", "--port", "0", "--config", "aura.toml"],
            cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (1, "")
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
        assert "0815" not in done.stderr


def test_one_token_of_several_is_enough_and_the_doctor_names_the_others(tmp_path: Path) -> None:
    (tmp_path / "aura.toml").write_text(
        "[server]\nallowed_hosts = ['aura.example.com']\n"
        "[clients.a]\ntoken_env = ['A', 'LATER']\ntoken_file = ['here', 'gone']\nmax_streams = 2\nagents = ['x*']\n"
        "[providers.openai]\napi_key_env = 'NOT_THERE'\n"
    )
    (tmp_path / "here").write_text("another token\n")
    loaded = settings.load({}, {"A": "token"}, tmp_path / "aura.toml")
    assert (loaded.unguarded, loaded.warnings) == (None, [])
    assert sorted(loaded.clients.secrets) == ["another token", "token"]
    checks = _doctor(tmp_path, A="token")
    assert ("a", "ok", "agents x*; 2 answers at once") in checks
    assert ("a", "warning", f"the variable LATER is not set; {SAID}") in checks
    assert any(
        status == "warning" and "gone cannot be read" in detail for name, status, detail in checks if name == "a"
    )
    assert ("client a", "warning", "'x*' is the name of no agent here") in checks
    assert ("openai: variable NOT_THERE", "warning", "named, but not set") in checks


def test_the_doctor_warns_of_a_public_name_without_any_token(tmp_path: Path) -> None:
    (tmp_path / "aura.toml").write_text(
        "[server]\nallowed_hosts = ['localhost', '[::1]:5300', '127.0.0.1:80', '*.example.com']\n"
    )
    (warning,) = [detail for _, status, detail in _doctor(tmp_path) if status == "warning"]
    assert warning.startswith("aura.toml:2: allowed_hosts: *.example.com is not this machine alone")
    assert "no token is required" in warning


def _doctor(folder: Path, **environ: str) -> list[tuple[str, str, str]]:
    command = [sys.executable, "-m", "aura_core", "doctor", "--offline", "--json", "--config", "aura.toml"]
    done = subprocess.run(command, cwd=folder, env=os.environ | environ, capture_output=True, text=True, timeout=120)
    return [(check["name"], check["status"], check["detail"]) for check in json.loads(done.stdout)["checks"]]
