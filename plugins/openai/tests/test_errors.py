"""Every way to fail becomes its code, with a remedy and without a key, a page or an address."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from aura_core.testing import AuraServer, Reply, Upstream

KEY = "sk-proj-AbCdEfGh1234567890-wxyz"
AGENT = "---\nprovider: openai\nmodel: gpt-9\n---\n"
MODERATED = b'{"error":{"code":403,"message":"No.","metadata":{"reasons":["z"],"flagged_input":"..."}}}'
TOO_LARGE = (
    "'max_tokens' or 'max_completion_tokens' is too large: 9000. This model's maximum context length is 4096 tokens"
)
HTML = b"<html><head><title>Gateway</title></head><body><a href='https://login.example'>Sign in</a></body></html>"


@pytest.fixture(scope="module")
def aura(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuraServer]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", KEY)
        toml = f'[server]\nretries = 0\n[providers.openai]\nbase_url = "{upstream.url}/v1"\n'
        environ = {"OPENAI_API_KEY": KEY}
        with AuraServer(tmp_path_factory.mktemp("aura"), {"it.md": AGENT}, toml, environ) as aura:
            yield aura


def error(message: str = "", code: Any = None, type_: Any = None, param: Any = None) -> bytes:
    return json.dumps({"error": {"message": message, "type": type_, "param": param, "code": code}}).encode()


@pytest.mark.parametrize(
    ("status", "body", "code", "words"),
    [
        (301, b"", "bad_response", "redirects"),
        (307, HTML, "bad_response", "redirects"),
        (400, error("Unsupported parameter", "unsupported_parameter", param="max_tokens"), "bad_request", "_parameter"),
        (400, error("Unknown parameter: 'stream_options'."), "bad_request", "include_usage = false"),
        (400, error("x is not a valid model ID", 400), "model_not_found", "gpt-9"),
        (400, error("API key not valid. Please pass a valid API key."), "auth", "OPENAI_API_KEY"),
        (400, error("too long", 400, "exceed_context_size_error"), "context_length", "gpt-9"),
        (400, error("the request exceeds the available context size"), "context_length", "gpt-9"),
        (400, b'{"object":"error","message":"wrong","type":"BadRequestError","code":400}', "bad_request", "wrong"),
        (400, b'{"error":%b}' % (b"[" * 60_000), "bad_request", "status 400"),
        (400, b'{"detail":"no such thing"}', "bad_request", "no such thing"),
        (400, b"null", "bad_request", "status 400"),
        (400, b'{"error":null}', "bad_request", "status 400"),
        (400, b'{"error":[1]}', "bad_request", "status 400"),
        (400, b'{"error":{"message":7,"code":{},"type":[]}}', "bad_request", "status 400"),
        (400, error("The content was refused", "content_policy_violation"), "content_filtered", ""),
        (401, error(f"Incorrect API key provided: {KEY}."), "auth", "OPENAI_API_KEY"),
        (401, error("Incorrect API key provided: sk-pr***********wxyz."), "auth", "OPENAI_API_KEY"),
        (401, HTML, "auth", "OPENAI_API_KEY"),
        (403, error("Country not supported", "unsupported_country_region_territory"), "auth", ""),
        (403, error("no access", "model_not_found"), "model_not_found", "gpt-9"),
        (402, error("Insufficient credits", 402), "quota_exceeded", "credit"),
        (403, error('x/y requires moderation. Your input was flagged for "z".', 403), "content_filtered", ""),
        (403, MODERATED, "content_filtered", ""),
        (403, error("Your account was flagged.", "account_deactivated"), "auth", "OPENAI_API_KEY"),
        (400, error(TOO_LARGE, 400, "BadRequestError", "max_tokens"), "context_length", "lower max_tokens"),
        (404, error("No endpoints found for x/y:free.", 404), "model_not_found", "gpt-9"),
        (404, error("No endpoints found that support tool use.", 404), "bad_request", "refused the request: No end"),
        (404, error("The model `x` does not exist.", 404, "NotFoundError"), "model_not_found", "gpt-9"),
        (404, error("model 'x' not found", None, "not_found_error"), "model_not_found", "gpt-9"),
        (404, HTML, "bad_request", "base_url"),
        (404, b'{"detail":"Not Found"}', "bad_request", "base_url"),
        (405, b"", "bad_request", "base_url"),
        (408, b"", "timeout", ""),
        (409, b"", "bad_request", ""),
        (413, HTML, "bad_request", "status 413"),
        (422, b'{"detail":[{"loc":["body"],"msg":"field required"}]}', "bad_request", "field required"),
        (429, error("Current quota exceeded", "insufficient_quota", "insufficient_quota"), "quota_exceeded", ""),
        (429, error("No credit", "credit_balance_exhausted"), "quota_exceeded", ""),
        (429, error("Limit 30000 tokens, maximum context length 8192", "rate_limit_exceeded"), "rate_limited", ""),
        (429, HTML, "rate_limited", ""),
        (500, error("got an unexpected keyword argument 'foo'"), "llm_error", "keyword argument 'foo'"),
        (503, error("skipped because the queue is full"), "unavailable", "skipped because the queue"),
        (500, error("boom"), "unavailable", "boom"),
        (500, HTML, "unavailable", "status 500"),
        (501, b"", "llm_error", ""),
        (502, HTML, "unavailable", "502"),
        (503, error("Loading model", 503, "unavailable_error"), "unavailable", "Loading model"),
        (504, b"", "unavailable", ""),
        (529, b"", "unavailable", ""),
        (500, error("x", "server_is_overloaded"), "unavailable", ""),
        (200, error("no way", "²"), "llm_error", "no way"),
        (200, error("no way", "4" * 5000), "llm_error", "no way"),
        (200, b'data: {"object":"error","message":"half \\ud83d"}\n\n', "llm_error", "half"),
        (200, b'{"error":"Unexpected endpoint or method. (POST /chat/completions)"}', "bad_request", "base_url"),
        (204, b"", "bad_response", ""),
    ],
)  # fmt: skip
def test_a_status_is_its_code(
    status: int, body: bytes, code: str, words: str, upstream: Upstream, aura: AuraServer
) -> None:
    headers = {"location": "https://elsewhere.example/"} if 300 <= status < 400 else {}
    reply = Reply([body], status, headers, chunked=status != 204)
    upstream.queue(*[reply] * (2 if status == 408 else 1))  # on a connection that was used before 408 is asked again
    (event,) = aura.ask("it")
    upstream.clear()
    assert event.data["code"] == code
    message = event.data["message"]
    assert words in message
    for secret in ("sk-pr", "wxyz", "<", "login", "://login", "elsewhere"):
        assert secret not in message


@pytest.mark.parametrize(
    "text",
    [
        f"Proxy failed with key {KEY}",
        "AuthenticationError: sk-proj-AbCd****wxyz is wrong",
        "AuthenticationError: ****wxyz is wrong",
        "wrong key: sk-other-9876543210wxyz",
        "AbCdEfGh1234567890-wxyz",
        "Authorization: Bearer abcdef-wxyz",
        "Authorization: Bearer abcdefghijklmnopqrwxyz",
        "the key 1wxyz is wrong",
        "the key **wxyz is wrong",
        "visit https://login.example/?code=wxyz",
    ],
)
@pytest.mark.parametrize("status", [400, 500, 503, 200])
def test_no_part_of_a_key_and_no_address_is_passed_on(
    text: str, status: int, upstream: Upstream, aura: AuraServer
) -> None:
    upstream.queue(Reply([error(text)], status))
    response = aura.post("it")
    for secret in ("wxyz", "AbCd", "login.example", "sk-"):
        assert secret not in response.text
    upstream.queue(Reply([error(text)], status))
    problem = aura.post("it", route="chat")
    assert problem.status_code >= 400
    assert "wxyz" not in problem.text


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "2", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e9"}, None),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"}, 0.0),
        ({"retry-after": "Sun, 06 Nov 2039 08:49:37 GMT"}, None),
        ({}, None),
    ],
)
def test_retry_after_in_all_its_forms(
    headers: dict[str, str], expected: float | None, upstream: Upstream, aura: AuraServer
) -> None:
    upstream.queue(Reply([error("wait", "rate_limit_exceeded")], 429, headers))
    assert aura.ask("it")[0].data.get("retryAfter") == expected


def test_retry_after_as_a_date_is_seconds(upstream: Upstream, aura: AuraServer) -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    upstream.queue(Reply([b""], 429, {"retry-after": when}))
    assert 50 < aura.ask("it")[0].data["retryAfter"] <= 60


def test_a_redirect_is_not_followed_and_takes_no_key_along(upstream: Upstream, aura: AuraServer) -> None:
    with Upstream() as other:
        for status in (301, 302, 307, 308):
            upstream.queue(Reply([], status, {"location": f"{other.url}/v1/chat/completions"}))
            assert aura.ask("it")[0].data["code"] == "bad_response"
        assert other.connections == 0


def test_an_error_body_without_end_is_cut(
    upstream: Upstream, aura: AuraServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aura_core.streams.body.ERROR_BODY_TIME", 600)  # it is the size that ends it
    upstream.queue(Reply([b"x" * 65536], 500, repeat=True))
    assert aura.ask("it")[0].data["code"] == "unavailable"


def test_an_error_body_that_is_cut_off_still_has_its_status(upstream: Upstream, aura: AuraServer) -> None:
    upstream.queue(Reply([b'{"error"'], 429, {"retry-after": "3"}, ending="reset"))
    assert aura.ask("it")[0].data["code"] in ("rate_limited", "unavailable")
    upstream.queue(Reply([b'{"error"'], 429, {"retry-after": "3"}, ending="cut"))
    assert aura.ask("it")[0].data == {
        "message": f"The server at {upstream.url}/v1 limits the rate of requests.",
        "code": "rate_limited",
        "retryAfter": 3.0,
    }


def test_an_error_body_that_is_not_in_the_coding_it_names_still_has_its_status(
    upstream: Upstream, aura: AuraServer
) -> None:
    upstream.queue(Reply([error("no credit", "insufficient_quota")], 429, {"content-encoding": "gzip"}))
    assert aura.ask("it")[0].data["code"] == "quota_exceeded"


def test_a_connection_dropped_before_the_head_is_unavailable(upstream: Upstream, aura: AuraServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        toml = f'[server]\nretries = 0\n[providers.openai]\nbase_url = "http://127.0.0.1:{port}/v1"\n'
        with AuraServer(aura.folder, {"it.md": AGENT}, toml) as other:

            def drop() -> None:
                connection, _ = listener.accept()
                connection.recv(65536)
                connection.close()

            thread = threading.Thread(target=drop)
            thread.start()
            assert other.ask("it")[0].data["code"] == "unavailable"
            thread.join()


def test_what_is_no_http_is_a_bad_response(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def say() -> None:
            client, _ = listening.accept()
            with client:
                client.recv(65536)
                client.sendall(b"220 mail.example ESMTP\r\n")
                client.shutdown(socket.SHUT_WR)
                while client.recv(65536):  # a close with bytes unread would be a reset
                    pass

        thread = threading.Thread(target=say)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        toml = f'[server]\nretries = 0\n[providers.mail]\nplugin = "openai"\nbase_url = "{url}"\n'
        with AuraServer(tmp_path, {"m.md": "---\nprovider: mail\nmodel: m\n---\n"}, toml) as aura:
            (answer,) = aura.ask("m")
        thread.join()
    assert (answer.name, answer.data["code"]) == ("error", "bad_response")


def test_a_refused_connection_is_unavailable_and_a_silent_one_a_timeout(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        refused = free.getsockname()[1]
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        silent = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(8)]  # the backlog is full: the next SYN gets no answer
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", silent))
        toml = "[server]\nretries = 0\n"
        for name, port in (("refused", refused), ("silent", silent)):
            toml += f'[providers.{name}]\nplugin = "openai"\nbase_url = "http://127.0.0.1:{port}"\n'
            toml += "connect_timeout = 0.3\n" if name == "silent" else ""
        toml += '[providers.nowhere]\nplugin = "openai"\nbase_url = "http://aura-test.invalid/v1"\n'
        agents = {f"{name}.md": f"---\nprovider: {name}\nmodel: m\n---\n" for name in ("refused", "silent", "nowhere")}
        with AuraServer(tmp_path, agents, toml) as aura:
            answers = {name: aura.ask(name)[0].data for name in ("refused", "silent", "nowhere")}
        for sock in waiting:
            sock.close()
    assert answers["refused"]["code"] == "unavailable"
    assert "is it running" in answers["refused"]["message"]
    assert answers["silent"]["code"] == "timeout"
    assert "connect_timeout" in answers["silent"]["message"]
    assert answers["nowhere"]["code"] == "unavailable"


@pytest.mark.parametrize("said", ["key" + "." * 60_000, "://" * 20_000, "sk" + "-" * 60_000, "key " * 15_000])
def test_a_long_error_holds_nobody_up(said: str, upstream: Upstream, aura: AuraServer) -> None:
    """Each of these took a careless expression half a minute, and with it every other stream."""
    upstream.queue(Reply([error(said)], 500))
    began = time.monotonic()
    assert aura.ask("it")[0].data["code"] == "unavailable"
    assert time.monotonic() - began < 10
