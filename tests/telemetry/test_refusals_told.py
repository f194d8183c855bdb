"""Refusals are logged, a few a minute for each code and client, and all of them counted; and from where they came."""

import ipaddress
import json
import logging
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from aura_core.config import settings
from aura_core.errors import ConfigError
from aura_core.limits import REFUSALS_LOGGED, REFUSED_PATH
from aura_core.problems import Problem
from aura_core.server.client_address import ClientAddresses
from aura_core.telemetry.refusals import Refusals
from aura_core.testing import AuraServer

ECHO = "---\nprovider: echo\n---\n"
TOKEN = {"authorization": "Bearer correct-horse-battery"}
JSON = {"content-type": "application/json"}
CHAT = "/api/agents/ok/chat"

# what is refused: (code, status, level, client, how it is sent)
REFUSED: dict[str, tuple[str, int, str, str, dict[str, Any]]] = {
    "a foreign page": ("forbidden_origin", 403, "warning", "", {"headers": TOKEN | {"origin": "http://evil.example"}}),
    "a wrong token": ("unauthorized", 401, "warning", "", {"headers": {"authorization": "Bearer wrong"}}),
    "no such route": ("not_found", 404, "info", "default", {"headers": TOKEN, "path": "/nothing?key=hidden"}),
    "a wrong method": ("method_not_allowed", 405, "info", "default", {"headers": TOKEN, "method": "DELETE"}),
    "no JSON": ("unsupported_media_type", 415, "info", "default", {"headers": TOKEN, "content": b"{}"}),
    "a large body": ("payload_too_large", 413, "info", "default", {"headers": TOKEN | JSON, "content": b"x" * 2000}),
    "a bad body": ("invalid_request", 400, "info", "default", {"headers": TOKEN | JSON, "content": b"{"}),
    "no such agent": (
        "agent_not_found",
        404,
        "info",
        "default",
        {"headers": TOKEN | JSON, "path": "/api/agents/none/chat", "content": b'{"prompt":"hi"}'},
    ),
    "a broken agent": (
        "agent_invalid",
        503,
        "warning",
        "default",
        {"headers": TOKEN | JSON, "path": "/api/agents/bad/chat", "content": b'{"prompt":"hi"}'},
    ),
}


def test_each_refusal_is_logged_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "aura.refusals")
    monkeypatch.setenv("AURA_TOKEN", "correct-horse-battery")
    agents = {"ok.md": ECHO, "bad.md": "---\ntemprature: 1\n---\n"}
    with AuraServer(tmp_path, agents, "[server]\nmax_body = 1024") as aura:
        for code, status, level, client, given in REFUSED.values():
            caplog.clear()
            request = {"method": "POST", "path": CHAT} | given
            url = aura.url + request.pop("path")
            with httpx.Client(trust_env=False, timeout=60) as http:
                answer = http.request(request.pop("method"), url, **request)
            assert answer.status_code == status
            (record,) = caplog.records
            told = record.fields  # type: ignore[attr-defined]
            assert (told.code, told.status, told.client, record.levelname.lower()) == (code, status, client, level)
            assert (told.client_address, told.request_id) == ("127.0.0.1", answer.headers["x-request-id"])
            assert (told.method, told.path) == (answer.request.method, answer.request.url.path)
            assert told.detail == answer.json()["detail"]
        figures = httpx.get(f"{aura.url}/metrics", headers=TOKEN, trust_env=False, timeout=60).text
    counted = re.findall(r'^aura_refusals_total\{client="(.*)",code="(.*)",door="native"\} 1.0$', figures, re.MULTILINE)
    assert set(counted) == {(client, code) for code, _, _, client, _ in REFUSED.values()}


def test_a_failed_answer_is_not_a_refusal(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "aura.refusals")
    no = "---\nprovider: echo\noptions: {fail_after: 0, code: rate_limited}\n---\n"
    with AuraServer(tmp_path, {"no.md": no}, "[server]\nretries = 0") as aura:
        assert aura.post("no", route="chat").status_code == 429
    assert [record.getMessage() for record in caplog.records] == ["stream"]


def test_only_the_first_of_a_flood_get_a_line_and_the_others_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "aura.refusals")
    now = 100.0
    refusals = Refusals(lambda: now)
    seen: list[tuple[str, str, str]] = []
    refusals.observers.append(lambda *what: seen.append(what))
    for number in range(1000):
        refusals.note(Problem("unauthorized", "no"), str(number), client="")
        refusals.note(Problem("client_limit", "no"), str(number), client="alice")
    assert len(seen) == 2000
    assert len(caplog.records) == 2 * REFUSALS_LOGGED, "each code of each client has its own share"
    caplog.clear()
    now += 61
    refusals.tell()
    unsaid = 1000 - REFUSALS_LOGGED
    assert {record.getMessage() for record in caplog.records} == {
        f"refused without a line of their own: {unsaid} (unauthorized, client '')",
        f"refused without a line of their own: {unsaid} (client_limit, client 'alice')",
    }
    caplog.clear()
    refusals.note(Problem("unauthorized", "no"), "1", path="/" + "x" * 100_000)
    (record,) = caplog.records
    assert len(record.fields.path) == REFUSED_PATH  # type: ignore[attr-defined]


NEAR, FAR = "10.0.0.1", "203.0.113.9"

# trusted proxies, the connection's address, X-Forwarded-For, the client
FORWARDED: dict[str, tuple[list[str], str | None, str | None, str]] = {
    "nobody is trusted": ([], NEAR, FAR, NEAR),
    "another proxy is trusted": (["10.0.0.2"], NEAR, FAR, NEAR),
    "a trusted proxy": (["10.0.0.1"], NEAR, FAR, FAR),
    "a trusted network": (["10.0.0.0/8"], NEAR, FAR, FAR),
    "a trusted proxy that says nothing": (["10.0.0.0/8"], NEAR, None, NEAR),
    "the client's own words come first": (["10.0.0.0/8"], NEAR, f"1.2.3.4, {FAR}", FAR),
    "two trusted proxies": (["10.0.0.0/8"], NEAR, f"1.2.3.4, {FAR}, 10.0.0.2", FAR),
    "all are trusted": (["0.0.0.0/0"], NEAR, f"{FAR}, 10.0.0.2", FAR),
    "nonsense": (["10.0.0.0/8"], NEAR, "unknown", NEAR),
    "nonsense before a proxy": (["10.0.0.0/8"], NEAR, "<script>, 10.0.0.2", "10.0.0.2"),
    "a port": (["10.0.0.0/8"], NEAR, f"{FAR}:4711", FAR),
    "IPv6 with a port": (["10.0.0.0/8"], NEAR, "[2001:db8::1]:4711", "2001:db8::1"),
    "a proxy as IPv4 in IPv6": (["10.0.0.0/8"], "::ffff:10.0.0.1", FAR, FAR),
    "a Unix socket": (["unix"], None, FAR, FAR),
    "a Unix socket that is not trusted": (["10.0.0.0/8"], None, FAR, ""),
    "a thousand addresses": (["10.0.0.0/8"], NEAR, ", ".join([FAR, *["10.0.0.2"] * 1000]), "10.0.0.2"),
}


@pytest.mark.parametrize("case", FORWARDED)
def test_whose_word_counts_for_a_clients_address(case: str) -> None:
    trusted, peer, header, client = FORWARDED[case]
    addresses = ClientAddresses(settings.proxies(trusted))
    scope: Any = {"client": (peer, 1) if peer else None}
    assert addresses.of(scope, None if header is None else header.encode()) == client


def test_the_log_has_the_address_that_a_trusted_proxy_names(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "aura")
    with AuraServer(tmp_path, {"ok.md": ECHO}, '[server]\ntrusted_proxies = ["127.0.0.0/8"]') as aura:
        for path in (CHAT, "/api/agents/none/chat"):
            url, headers = aura.url + path, {"x-forwarded-for": FAR}
            httpx.post(url, json={"prompt": "hi"}, headers=headers, trust_env=False, timeout=60)
    told = [record.fields for record in caplog.records if hasattr(record, "fields")]
    assert [each.client_address for each in told] == [FAR, FAR]


def test_a_proxy_that_is_not_an_address_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "aura.toml"
    file.write_text('[server]\ntrusted_proxies = ["10.0.0.0/8", "nginx"]\n')
    with pytest.raises(ConfigError) as raised:
        settings.load({}, {}, file)
    assert str(raised.value) == (
        f"{file}:2: trusted_proxies: 'nginx' is not an address or a network such as 10.0.0.0/8, nor 'unix'"
    )
    assert settings.proxies(["unix", "::1"]) == [None, ipaddress.ip_network("::1")]


def test_no_secret_and_no_control_character_of_a_path_reaches_the_log(tmp_path: Path) -> None:
    from aura_core.telemetry.log_lines import JsonFormatter, TextFormatter
    from aura_core.telemetry.refusals import Refusal

    record = logging.LogRecord("aura.refusals", logging.INFO, "", 0, "refused", None, None)
    record.fields = Refusal("1", "", "", "native", "GET", "/s3cr3t!\x1b[2J\u202e", 404, "not_found", "no")
    for line in (formatter(lambda: ["s3cr3t!"]).format(record) for formatter in (JsonFormatter, TextFormatter)):
        assert "s3cr3t!" not in line
        assert not {"\x1b", "\u202e"} & set(line)
    assert json.loads(JsonFormatter().format(record))["path"] == "/s3cr3t!\x1b[2J\u202e"
