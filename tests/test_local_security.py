"""Published weaknesses of programs that serve on localhost or have keys, by name; the rest is in SECURITY.md.

Elsewhere: a redirect that receives the key (CVE-2018-18074, CWE-601), unchecked certificates (CWE-295) in
faults/test_upstream_faults.py; Slowloris (CVE-2007-6750), answers that mix (CWE-444) in faults/test_client_faults.py;
markup in a model's answer (CWE-79) in web/.
"""

import base64
import gzip
import hashlib
import hmac
import io
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from aura_core.config import settings
from aura_core.errors import ConfigError
from aura_core.telemetry.log_lines import JsonFormatter, TextFormatter
from aura_core.telemetry.redact import hide, message
from aura_core.testing import AuraServer, Reply, Upstream

TOKEN = "correct horse battery staple"
KEY = "sk-very-secret-0123456789"
STREAM = "/api/agents/ok/chat/stream"
OLLAMA = "---\nprovider: {}\nmodel: m\n---\n"
CARELESS = """
import msgspec
from aura_core import ProviderError, hookimpl

class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key_env: str = "CARELESS_KEY"

@hookimpl
def provider_settings():
    return Settings

@hookimpl
async def stream_chat(request, settings):
    import os
    raise ProviderError(f"key {os.environ[settings.key_env]} is not good")
    yield
"""
END = b'{"message":{"content":"."},"done":true,"done_reason":"stop"}\n'


@pytest.fixture(scope="module")
def aura(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuraServer]:
    toml = '[server]\nallowed_origins = ["https://friend.example"]\nmax_body = 2048'
    folder = tmp_path_factory.mktemp("aura")
    (folder / "secret.md").write_text("---\nname: secret\n---\n")
    with AuraServer(folder, {"ok.md": "---\nprovider: echo\n---\n"}, toml) as server:
        yield server


def _post(aura: AuraServer, path: str = STREAM, content: bytes = b'{"prompt": "hi"}', **headers: str) -> httpx.Response:
    given = {"content-type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
    return httpx.post(aura.url + path, content=content, headers=given, trust_env=False)


def _check(response: httpx.Response, status: int, code: str) -> None:
    assert (response.status_code, response.json()["code"]) == (status, code), response.text
    assert "access-control-allow-origin" not in response.headers


# What a web page can do


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "2130706433",
        "0.0.0.0:5300",  # "0.0.0.0 day": browsers allow pages to connect to it
        "[::]:5300",
        "",
    ],
)
def test_dns_rebinding_ends_at_the_host_check(aura: AuraServer, host: str) -> None:
    """CVE-2024-28224 (Ollama), CWE-350."""
    _check(_post(aura, host=host), 421, "misdirected_host")
    assert httpx.get(f"{aura.url}/health", headers={"host": host}, trust_env=False).status_code == 200


def test_with_a_token_any_name_will_do_unless_names_are_listed(tmp_path: Path) -> None:
    """A client in a container calls this machine `host.docker.internal`; a page that rebinds a name has no token."""
    environ = os.environ | {"AURA_TOKEN": TOKEN}
    bearer = {"authorization": f"Bearer {TOKEN}"}
    agents = {"ok.md": "---\nprovider: echo\n---\n"}
    for name in ("any", "listed"):
        (tmp_path / name).mkdir()
    with AuraServer(tmp_path / "any", agents, environ=environ) as aura:
        assert _post(aura, host="host.docker.internal:5300", **bearer).status_code == 200
        _check(_post(aura, host="host.docker.internal:5300"), 401, "unauthorized")
        _check(_post(aura, host="localhost@evil.example", **bearer), 421, "misdirected_host")
    with AuraServer(tmp_path / "listed", agents, '[server]\nallowed_hosts = ["aura.example"]', environ=environ) as aura:
        assert _post(aura, host="aura.example", **bearer).status_code == 200
        _check(_post(aura, host="host.docker.internal:5300", **bearer), 421, "misdirected_host")


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "http://127.0.0.1:1", "https://friend.example.evil", "https://friend.example@evil"],
)
def test_a_foreign_page_is_refused(aura: AuraServer, origin: str) -> None:
    """CWE-352 (cross-site request forgery), CWE-942 (permissive CORS)."""
    _check(_post(aura, origin=origin), 403, "forbidden_origin")
    preflight = {"origin": origin, "access-control-request-method": "POST"}
    _check(httpx.options(aura.url + STREAM, headers=preflight, trust_env=False), 403, "forbidden_origin")


def test_a_null_origin_is_foreign(aura: AuraServer) -> None:
    """CWE-346: sandboxed frames, data: and file: pages send it."""
    _check(_post(aura, origin="null"), 403, "forbidden_origin")


@pytest.mark.parametrize(
    "declared", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "application/jsonp"]
)
def test_a_cross_origin_post_without_preflight_is_refused(aura: AuraServer, declared: str) -> None:
    """CWE-352: these types make a "simple request", which a browser sends without asking."""
    _check(_post(aura, content_type=declared), 415, "unsupported_media_type")
    assert _post(aura, content_type="Application/JSON; charset=utf-8").status_code == 200


def test_a_compressed_body_is_refused_by_name(aura: AuraServer) -> None:
    refused = _post(aura, content=gzip.compress(b'{"prompt": "hi"}'), content_encoding="gzip")
    _check(refused, 415, "unsupported_media_type")
    assert "Content-Encoding" in refused.json()["detail"]
    assert _post(aura, content_encoding="identity").status_code == 200


# What a client can send


@pytest.mark.parametrize("size", [70_000, 1_000_000])
def test_a_header_has_a_limit(aura: AuraServer, size: int) -> None:
    """CWE-770: allocation without limits; 64 KiB in all."""
    for length, statuses in ((size, (431, None)), (60_000, (200,))):
        connection = HTTPConnection("127.0.0.1", aura.port, timeout=10)
        try:
            connection.request("GET", "/health", headers={"x": "a" * length})
            status: int | None = connection.getresponse().status
        except (ConnectionError, TimeoutError):  # refused before it was completely sent
            status = None
        finally:
            connection.close()
        assert status in statuses


def test_a_body_has_a_limit(aura: AuraServer) -> None:
    """CWE-770, also where no length is declared."""
    _check(_post(aura, content=b'{"prompt": "' + b"a" * 3000 + b'"}'), 413, "payload_too_large")

    def pieces() -> Iterator[bytes]:
        for _ in range(10):
            yield b"a" * 1000

    response = httpx.post(
        aura.url + STREAM, content=pieces(), headers={"content-type": "application/json"}, trust_env=False
    )
    _check(response, 413, "payload_too_large")


@pytest.mark.parametrize("body", [b"[" * 2000, b'{"prompt": ' + b"[" * 1000 + b"]" * 900, b'{"a":' * 400 + b"1" * 40])
def test_deep_json_does_not_crash(aura: AuraServer, body: bytes) -> None:
    """CWE-674: uncontrolled recursion (as in CVE-2025-52999 and CVE-2024-8376)."""
    _check(_post(aura, content=body), 400, "invalid_request")


@pytest.mark.parametrize(
    "agent",
    [
        "..",
        "%2e%2e%2fsecret",
        "..%2fsecret",
        "%2fetc%2fpasswd",
        "a%00b",
        "a%0d%0ab",
        "%1b[31m",
        "x" * 20_000,
        "%ff",
        "ok.",
    ],
)
def test_an_agent_id_is_never_a_path(aura: AuraServer, agent: str) -> None:
    """CWE-22: path traversal."""
    for response in (
        _post(aura, f"/api/agents/{agent}/chat/stream"),
        httpx.get(f"{aura.url}/api/agents/{agent}", trust_env=False),
    ):
        assert response.status_code == 404
        assert "secret" not in response.text
        assert "\x1b" not in response.text
        assert "xxx" not in response.text


def test_a_static_file_is_never_a_path(aura: AuraServer) -> None:
    """CWE-22."""
    for path in (
        "/web/../server/guard.py",
        "/web/%2e%2e/server/guard.py",
        "/web/..%2fserver%2fguard.py",
        "/web//etc/passwd",
    ):
        connection = HTTPConnection("127.0.0.1", aura.port, timeout=10)
        connection.request("GET", path)
        assert connection.getresponse().status == 404
        connection.close()


@pytest.mark.parametrize("agent", ["%E2%84%AAilo", "o%E2%84%AA", "\u212ailo"])
def test_an_agent_id_has_one_spelling(agent: str, tmp_path: Path) -> None:
    """CWE-178 and CWE-176: in Unicode, the Kelvin sign is a k in lower case."""
    agents = {"kilo.md": "---\nprovider: echo\n---\n", "ok.md": "---\nprovider: echo\n---\n"}
    with AuraServer(tmp_path, agents) as aura:
        assert httpx.get(f"{aura.url}/api/agents/{agent}", trust_env=False).status_code == 404
        _check(_post(aura, f"/api/agents/{agent}/chat"), 404, "agent_not_found")
        assert httpx.get(f"{aura.url}/api/agents/KILO", trust_env=False).json()["id"] == "kilo"


def test_a_file_with_a_similar_name_does_not_affect_an_agent(tmp_path: Path) -> None:
    agents = {"kilo.md": "---\nprovider: echo\n---\n", "\u212ailo.md": "---\nprovider: echo\n---\n"}
    with AuraServer(tmp_path, agents) as aura:
        listed = httpx.get(f"{aura.url}/api/agents", trust_env=False).json()["agents"]
        assert aura.ask("kilo")[-1].name == "done"
    assert {agent["id"]: bool(agent["error"]) for agent in listed} == {"kilo": False, "\u212ailo": True}


def test_no_response_is_cached_or_sniffed(aura: AuraServer) -> None:
    """CWE-525 (a cache that stores protected responses) and CWE-430 (JSON that a browser renders as a page)."""
    gets = ["/api/agents", "/api/agents/ok", "/api/agents/none", "/api/providers", "/health", "/health/ready"]
    gets += ["/metrics", "/schema/openapi.json", "/nothing", "/api/agents/ok/chat"]
    answers = [httpx.get(aura.url + path, trust_env=False) for path in gets]
    answers += [_post(aura), _post(aura, "/api/agents/ok/chat"), _post(aura, content=b"{"), _post(aura, host="evil")]
    answers.append(httpx.get(aura.url, headers={"x": "a" * 70_000}, trust_env=False))
    assert {answer.status_code for answer in answers} == {200, 400, 404, 405, 421, 431}
    for answer in answers:
        assert answer.headers.get_list("x-content-type-options") == ["nosniff"], answer.request.url
        kept = (
            "no-store, no-transform" if answer.headers["content-type"].startswith("text/event-stream") else "no-store"
        )
        assert answer.headers.get_list("cache-control") == [kept], answer.request.url
    page = httpx.get(aura.url, trust_env=False)
    assert page.headers.get_list("cache-control") == ["no-cache"]
    assert page.headers.get_list("x-content-type-options") == ["nosniff"]


def test_an_agent_file_runs_no_code(tmp_path: Path) -> None:
    """CWE-502: YAML that makes objects."""
    made = tmp_path / "made"
    text = f"---\nname: !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path [{made}]]\n---\n"
    with AuraServer(tmp_path, {"bad.md": text}) as aura:
        assert aura.post("bad").json()["code"] == "agent_invalid"
    assert not made.exists()


# The token


def test_a_token_guards_all_but_health_and_the_page(tmp_path: Path) -> None:
    """CWE-306 (missing authentication), CWE-598 (a token in a URL is not accepted)."""
    with AuraServer(tmp_path, environ=os.environ | {"AURA_TOKEN": TOKEN}) as aura:
        for path in (
            "/api/agents",
            "/api/agents?token=correct+horse+battery+staple",
            "/api/providers",
            "/schema/openapi.json",
            "/metrics",
            "//api/agents",
            "/web/../api/agents",
        ):
            refused = httpx.get(aura.url + path, trust_env=False)
            _check(refused, 401, "unauthorized")
            assert refused.headers["www-authenticate"] == "Bearer"
            assert TOKEN not in refused.text
        for wrong in ("", "Bearer", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}"):
            given = httpx.get(f"{aura.url}/api/agents", headers={"authorization": wrong}, trust_env=False)
            _check(given, 401, "unauthorized")
        assert httpx.get(f"{aura.url}/health", trust_env=False).status_code == 200
        good = httpx.get(f"{aura.url}/api/agents", headers={"authorization": f"bearer {TOKEN}"}, trust_env=False)
        assert good.status_code == 200


def test_the_token_is_compared_in_constant_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CWE-208: the response time reveals nothing about the tokens: digests of one length, of all clients."""
    real, compared = hmac.compare_digest, []
    toml = "[clients.alice]\ntoken_env = 'ALICE'\n[clients.bob]\ntoken_env = ['BOB', 'BOB_NEXT']\n"
    environ = {"AURA_TOKEN": TOKEN, "ALICE": "a" * 300, "BOB": "b", "BOB_NEXT": "the next token of bob"}

    def spy(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return real(a, b)

    monkeypatch.setattr("aura_core.clients.hmac.compare_digest", spy)
    with AuraServer(tmp_path, toml=toml, environ=os.environ | environ) as aura:
        for sent in ("guess", TOKEN, "b"):
            compared.clear()
            given = httpx.get(f"{aura.url}/api/agents", headers={"authorization": f"Bearer {sent}"}, trust_env=False)
            assert given.status_code == (401 if sent == "guess" else 200)
            digests = [hashlib.sha256(token.encode()).digest() for token in environ.values()]
            assert compared == [(hashlib.sha256(sent.encode()).digest(), digest) for digest in digests]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "localhost.example", "example.com"])
def test_nobody_listens_beyond_loopback_without_a_token(host: str, tmp_path: Path) -> None:
    """CWE-1327 (binding to an unrestricted address), as on the servers exposed to CVE-2024-37032."""
    empty = tmp_path / "aura.toml"
    empty.touch()
    assert "AURA_TOKEN" in str(settings.load({"server.host": host}, {}, empty).unguarded)
    assert settings.load({"server.host": host}, {"AURA_TOKEN": TOKEN}, empty).unguarded is None


def test_an_empty_host_which_means_every_address_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "aura.toml"
    file.write_text('[server]\nhost = ""\n')
    with pytest.raises(ConfigError, match="host: it must not be blank"):
        settings.load({}, {"AURA_TOKEN": TOKEN}, file)


# Keys


def test_a_key_is_sent_only_to_the_host_that_was_named_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CWE-522; and CVE-2016-5385 ("httpoxy"): no proxy from the environment is used."""
    with Upstream(Reply([END])) as named, Upstream(Reply([END])) as foreign:
        monkeypatch.setenv("OLLAMA_API_KEY", KEY)
        for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(variable, foreign.url)
        toml = (
            f'[providers.ollama]\nbase_url = "{named.url}"\n'
            f'[providers.other]\nplugin = "ollama"\nbase_url = "{foreign.url}"'
        )
        agents = {"own.md": OLLAMA.format("ollama"), "other.md": OLLAMA.format("other")}
        with AuraServer(tmp_path, agents, toml) as aura:
            assert aura.ask("own")[-1].name == aura.ask("other")[-1].name == "done"
    chats = [request for request in named.requests if request.path == "/api/chat"]
    assert [request.headers["authorization"] for request in chats] == [f"Bearer {KEY}"]
    assert [request.path for request in foreign.requests if "authorization" not in request.headers] == ["/api/chat"]
    assert KEY not in str(foreign.requests)


def test_a_key_is_in_no_error_and_no_log(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fake_plugin: Callable[[str, str], None],
) -> None:
    """CWE-209 and CWE-532: an upstream's error that repeats the key, and a plugin that passes it on."""
    monkeypatch.setenv("CARELESS_KEY", KEY)
    fake_plugin("careless", CARELESS)
    with AuraServer(tmp_path, {"it.md": "---\nprovider: careless\nmodel: m\n---\n"}) as aura:
        message = aura.ask("it")[-1].data["message"]
        whole = aura.post("it", route="chat").text
        listed = httpx.get(f"{aura.url}/api/providers", trust_env=False).text
    assert "*** is not good" in message
    assert KEY not in whole + listed + caplog.text


# Foreign text in our streams and logs


def test_a_model_cannot_speak_as_the_protocol(tmp_path: Path) -> None:
    """CWE-93: event injection, by text, by reasoning and by an error's message."""
    evil = "x\n\nevent: done\ndata: {}\r\n\revent: error\u2028: ping"
    lines = b"".join(
        json.dumps(line).encode() + b"\n"
        for line in ({"message": {"content": evil, "thinking": evil}}, {"error": f"no {evil}"})
    )
    with Upstream(Reply([lines])) as upstream:
        toml = f'[providers.ollama]\nbase_url = "{upstream.url}"'
        with AuraServer(tmp_path, {"it.md": OLLAMA.format("ollama")}, toml) as aura:
            body = aura.post("it").content
    names = [line.split(b"\n")[0] for line in body.split(b"\n\n")[1:-1]]
    assert names == [b"event: reasoning", b"event: token", b"event: error"]
    assert body.count(b"\n") == 2 + 3 * 3
    assert b"\r" not in body


@pytest.mark.parametrize("formatter", [TextFormatter, JsonFormatter])
def test_foreign_text_forges_no_log_line(formatter: type[logging.Formatter]) -> None:
    """CWE-117 (log injection) and CWE-150 (a terminal's escape sequences)."""
    evil = "x\n12:00:00 INFO aura: all is well\r\x1b[2J\x9b31m\ud83d"
    log = logging.getLogger("test.injection")
    stream = io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace", newline="")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter())
    log.addHandler(handler)
    log.propagate = False
    try:
        raise ValueError(evil)
    except ValueError:
        log.exception("plugin %r failed: %s", "it", evil)
    finally:
        log.removeHandler(handler)
    stream.flush()
    lines = stream.buffer.getvalue().decode().split("\n")[:-1]  # type: ignore[attr-defined]
    assert not [line for line in lines if line.startswith("12:00:00 INFO aura: all")]
    assert not {"\r", "\x1b", "\x9b"} & set("".join(lines))
    assert "ValueError" in "".join(lines)


@pytest.mark.parametrize("secret", ['a"zebra', "a\\zebra", "a\nzebra", "ä zebra"])
@pytest.mark.parametrize("formatter", [TextFormatter, JsonFormatter])
def test_a_secret_of_any_letters_is_hidden_in_the_log(
    formatter: type[TextFormatter | JsonFormatter], secret: str
) -> None:
    """CWE-532. JSON escapes a quote and a backslash."""
    try:
        raise ValueError(f"Bearer {secret}")
    except ValueError:
        record = logging.LogRecord("aura", logging.ERROR, "", 0, "the key is %s", (secret,), sys.exc_info())
    line = formatter(lambda: [secret]).format(record)
    assert "zebra" not in line
    assert "the key is ***" in line
    assert "ValueError: Bearer ***" in line


ODD_KEY = "sk-very~secret?0123456789>xyz"


@pytest.mark.parametrize("user", ["", "u", "me", "user:", "proxy:a:"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("padding", ["=", ""])
def test_a_key_is_hidden_in_base64_as_well(user: str, encode: Callable[[bytes], bytes], padding: str) -> None:
    """CWE-532, CWE-209: the key in `Basic …`, repeated by a proxy or gateway, in a message and in both logs."""
    for tail in ("", ":", "@proxy", "\n"):
        said = encode(f"{user}{ODD_KEY}{tail}".encode()).decode()
        said = said if padding else said.rstrip("=")
        text = f"401 for Authorization: Basic {said} (no)"
        record = logging.LogRecord("aura", logging.ERROR, "", 0, "%s", (text,), None)
        shown = [message(text, [ODD_KEY]), hide(text, [ODD_KEY])]
        shown += [formatter(lambda: [ODD_KEY]).format(record) for formatter in (TextFormatter, JsonFormatter)]
        for line in shown:
            left = line.partition("Basic ")[2].partition(" (no)")[0]
            before, hidden, after = left.partition("***")
            assert hidden, line
            # The rest surrounds the key: it contains less than one byte of the key on each side.
            assert len(before) <= len(user) * 4 // 3 + 2
            assert len(after) <= len(tail) * 4 // 3 + 4


def test_a_key_is_hidden_in_an_address() -> None:
    """CWE-598."""
    assert message(f"no host at x/?key={quote(ODD_KEY, safe='')}&a", [ODD_KEY]) == "no host at x/?key=***&a"


def test_a_word_that_is_not_a_key_stays() -> None:
    for text in ("The model answers.", "c2stdmVyeX5zZW", "dGVzdA==", "Basic dXNlcjpwYXNz"):
        assert hide(text, [ODD_KEY, "abc", "", TOKEN]) == text


def test_a_client_writes_nothing_into_the_log(aura: AuraServer, caplog: pytest.LogCaptureFixture) -> None:
    """CWE-117: neither the path nor headers nor body of a request."""
    caplog.set_level(logging.DEBUG, "aura")
    _post(aura, "/api/agents/evil%0aforged/chat", b'{"prompt": "evil\\nforged"}', x_request_id="evil", referer="evil")
    _post(aura, STREAM, b'{"prompt": "evil\\nforged"}')
    assert "forged" not in caplog.text
