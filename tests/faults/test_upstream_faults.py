"""Faults of a provider's server, and what the client sees; nothing leaks in any case.

A row: the upstream's behaviour → the text that the client gets, and then `done` with `stop`, or `error` with a code.
"""

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aura_core.testing import AuraServer, Reply, SseEvent, Upstream

Checked = Callable[..., list[SseEvent]]

HELLO = b'{"message":{"content":"hello"}}\n'
END = b'{"message":{"content":"!"},"done":true,"done_reason":"stop","prompt_eval_count":3,"eval_count":2}\n'
OK = Reply([HELLO, END])
WHOLE = "hello!"
HTML = b"<!doctype html><html><body><script>alert(1)</script>Sign in</body></html>"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"


def _status(status: int, body: bytes = b'{"error":"no \\u001b[31m <b>way</b>"}', **headers: str) -> Reply:
    return Reply([body] if body else [], status, {k.replace("_", "-"): v for k, v in headers.items()})


# what the upstream does: (how, text, the finish reason or the code)
FAULTS: dict[str, tuple[Reply, str, str]] = {
    "400": (_status(400), "", "bad_request"),
    "401": (_status(401), "", "auth"),
    "402": (_status(402), "", "quota_exceeded"),
    "403": (_status(403, HTML), "", "auth"),
    "404 of another server": (_status(404, HTML), "", "bad_request"),
    "404 of a missing model": (_status(404, b'{"error":"model \'m\' not found"}'), "", "model_not_found"),
    "408 on a used connection": (_status(408), WHOLE, "stop"),  # it is stale, and replaced
    "413": (_status(413, HTML), "", "bad_request"),
    "429": (_status(429, retry_after="7"), "", "rate_limited"),
    "429 with nonsense": (_status(429, retry_after="NaN"), "", "rate_limited"),
    "500": (_status(500), "", "unavailable"),
    "500 with HTML": (_status(500, HTML), "", "unavailable"),
    "500 that is cut": (Reply([b'{"err'], 500, ending="cut"), "", "unavailable"),
    "502": (_status(502, HTML), "", "unavailable"),
    "503": (_status(503, b""), "", "unavailable"),
    "504": (_status(504), "", "unavailable"),
    "529": (_status(529), "", "unavailable"),
    "HTML": (Reply([HTML]), "", "bad_response"),
    "HTML line by line": (Reply([line + b"\n" for line in HTML.split(b">")]), "", "bad_response"),
    "JSON of another kind": (Reply([b"[1,2]\n"]), "", "bad_response"),
    "500 of a model that does not load": (_status(500, b'{"error":"unable to load model: x"}'), "", "llm_error"),
    "522": (_status(522, HTML), "", "unavailable"),
    "a number for a text": (Reply([b'{"message":{"content":5}}\n']), "5", "interrupted"),
    "empty": (Reply(), "", "bad_response"),
    "blank lines": (Reply([b"\n\n \n", HELLO, b"\n\n", END, b"\n"]), WHOLE, "stop"),
    "a slow first byte": (Reply([HELLO, END], head_delay=0.1), WHOLE, "stop"),
    "slow pieces": (Reply([HELLO[:9], 0.05, HELLO[9:], 0.05, END]), WHOLE, "stop"),
    "cut before anything": (Reply(ending="cut"), "", "interrupted"),
    "cut": (Reply([HELLO], ending="cut"), "hello", "interrupted"),
    "cut in a line": (Reply([HELLO, END[:30]], ending="cut"), "hello", "interrupted"),
    "an end without a finish": (Reply([HELLO]), "hello", "interrupted"),
    "reset before anything": (Reply(ending="reset"), "", "interrupted"),
    "reset": (Reply([HELLO, 0.5], ending="reset"), "hello", "interrupted"),
    "reset after the finish": (Reply([HELLO, END, 0.5], ending="reset"), WHOLE, "stop"),
    "cut after the finish": (Reply([HELLO, END], ending="cut"), WHOLE, "stop"),
    "nonsense after the finish": (Reply([HELLO, END, HTML, b"\n"]), WHOLE, "stop"),
    "an error after the finish": (Reply([HELLO, END, b'{"error":"late"}\n']), WHOLE, "stop"),
    "tokens after the finish": (Reply([HELLO, END, HELLO, HELLO]), WHOLE, "stop"),
    "an error in the stream": (Reply([HELLO, b'{"error":"boom"}\n']), "hello", "llm_error"),
    "malformed": (Reply([HELLO, b'{"message":{"content":"a"\n']), "hello", "bad_response"),
    "invalid UTF-8": (Reply([HELLO, b'{"message":{"content":"\xff"}}\n']), "hello", "bad_response"),
    "a lone surrogate": (
        Reply([HELLO, b'{"message":{"content":"\\ud83d"}}\n', END]),
        f"hello\ufffd{WHOLE[5:]}",
        "stop",
    ),
    "a giant line": (Reply([HELLO, *[b"x" * 2**20] * 9]), "hello", "bad_response"),
    "a body without a length": (Reply([HELLO, END], chunked=False), WHOLE, "stop"),
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(OK) as server:
        yield server


@pytest.fixture(scope="module")
def aura(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuraServer]:
    with _serve(tmp_path_factory.mktemp("aura"), {"up": upstream.url}) as server:
        yield server


def _serve(folder: Path, urls: dict[str, str], server: str = "retries = 0", table: str = "") -> AuraServer:
    """Aura with an agent for each address; the agent of `up` is also called `ok`."""
    agents = {f"{name}.md": f"---\nprovider: {name}\nmodel: m\n---\n" for name in urls}
    toml = f"[server]\n{server}\n" + "".join(
        f'[providers.{name}]\nplugin = "ollama"\nbase_url = "{url}"\n{table}\n' for name, url in urls.items()
    )
    return AuraServer(folder, {"ok.md": agents.get("up.md", "---\nprovider: echo\n---\n")} | agents, toml)


def _check(events: list[SseEvent], text: str, last: str) -> None:
    assert "".join(event.data["content"] for event in events if event.name == "token") == text
    if last == "stop":
        assert (events[-1].name, events[-1].data) == ("done", {"totalTokens": 5, "finishReason": "stop"})
        return
    assert events[-1].name == "error"
    assert events[-1].data["code"] in last.split(" or ")
    message: str = events[-1].data["message"]
    assert message
    assert not any(bad in message for bad in ("<", "\x1b", "Traceback", "\n"))


@pytest.mark.parametrize("fault", FAULTS)
def test_an_upstream_that_answers_with(fault: str, upstream: Upstream, aura: AuraServer, asked: Checked) -> None:
    reply, text, last = FAULTS[fault]
    upstream.queue(OK, reply)
    _check(asked(aura, "up"), text, last)


def test_a_rate_limit_has_a_retry_after(upstream: Upstream, aura: AuraServer) -> None:
    upstream.queue(_status(429, retry_after="7"))
    assert aura.ask("up")[-1].data["retryAfter"] == 7


SILENCES: dict[str, tuple[Reply, str]] = {
    "before the head": (Reply(head_delay=60), ""),
    "before the first token": (Reply(ending="stall"), ""),
    "in a line": (Reply([HELLO[:9]], ending="stall"), ""),
    "after a token": (Reply([HELLO], ending="stall"), "hello"),
    "in the body of an error": (Reply([b'{"err'], 500, ending="stall"), ""),
    "never, but endlessly": (Reply([b"\n"], repeat=True), ""),
}


@pytest.mark.parametrize("when", SILENCES)
def test_an_upstream_that_falls_silent(when: str, upstream: Upstream, tmp_path: Path, asked: Checked) -> None:
    reply, text = SILENCES[when]
    upstream.queue(OK, reply)
    hangups = len(upstream.hangups)
    limits = "retries = 0\nfirst_token_timeout = 2\nidle_timeout = 2"
    with _serve(tmp_path, {"up": upstream.url}, limits) as aura:
        _check(asked(aura, "up"), text, "timeout")
        upstream.wait_hangup(hangups + 1)


def test_silence_after_the_finish_reason_is_not_a_failure(
    upstream: Upstream, aura: AuraServer, asked: Checked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aura_core.answer.asking.FINISH_GRACE", 0.2)
    upstream.queue(OK, Reply([HELLO, END], ending="stall"))
    _check(asked(aura, "up"), WHOLE, "stop")


def test_an_endless_answer_ends_at_the_total_limit(upstream: Upstream, tmp_path: Path, asked: Checked) -> None:
    upstream.queue(OK, Reply([HELLO * 100], repeat=True))
    with _serve(tmp_path, {"up": upstream.url}, "retries = 0\ntotal_timeout = 2") as aura:
        events = asked(aura, "up")
    assert events[-1].data["code"] == "timeout"
    assert {event.data["content"] for event in events[:-1]} == {"hello"}


def test_a_burst_of_50_megabytes_arrives_whole(upstream: Upstream, aura: AuraServer, asked: Checked) -> None:
    lines = [b'{"message":{"content":"%08d%b"}}\n' % (n, b"x" * 1016) for n in range(50 * 1024)]
    parts = [b"".join(lines[n : n + 512]) for n in range(0, len(lines), 512)]
    upstream.queue(OK, Reply([*parts, END]))
    events = asked(aura, "up")
    assert [event.data["content"][:8] for event in events[:-2]] == [f"{n:08d}" for n in range(50 * 1024)]
    assert all(len(event.data["content"]) == 1024 for event in events[:-2])
    assert events[-1].name == "done"


def test_a_redirect_is_never_followed(upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CWE-601 and CVE-2018-18074 (a key that is sent along a redirect to a foreign host)."""
    monkeypatch.setenv("SOME_KEY", "sk-very-secret")
    with Upstream(OK) as elsewhere:
        for status in (301, 302, 303, 307, 308):
            upstream.queue(Reply([], status, {"location": f"{elsewhere.url}/api/chat"}))
        with _serve(tmp_path, {"up": upstream.url}, table='api_key_env = "SOME_KEY"') as aura:
            answers = [aura.ask("up") for _ in range(5)]
        assert [[(e.name, e.data["code"]) for e in events] for events in answers] == [[("error", "bad_response")]] * 5
        assert "sk-very-secret" not in str(answers)
        assert elsewhere.connections == 0
    assert upstream.requests[-1].headers["authorization"] == "Bearer sk-very-secret"


def _request(connection: socket.socket) -> bytes:
    got = b""
    while b"\r\n\r\n" not in got or not got.endswith(b"}"):
        chunk = connection.recv(65536)
        if not chunk:
            break
        got += chunk
    return got


LATER = b"<later>"  # a pause between two writes

# bytes below HTTP: (what is sent, text, the finish reason or the code)
BYTES: dict[str, tuple[bytes, str, str]] = {
    "nothing at all": (b"", "", "unavailable"),
    "another protocol": (b"SSH-2.0-OpenSSH_9.9\r\n", "", "bad_response"),
    "half a head": (HEAD, "", "unavailable"),
    "a giant header": (HEAD + b"X: " + b"a" * 200_000 + b"\r\n\r\n", "", "bad_response"),
    # aiohttp 3.14 closes the connection without notifying the reader: the idle limit ends the answer.
    "a broken chunk": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(HELLO), HELLO) + LATER + b"zz\r\n",
        "hello",
        "interrupted or timeout",
    ),
    "less than its length": (HEAD + b"Content-Length: 999\r\n\r\n" + HELLO, "hello", "interrupted"),
    "less than its length, but finished": (HEAD + b"Content-Length: 999\r\n\r\n" + HELLO + END, WHOLE, "stop"),
    "compressed, unasked": (HEAD + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x00nonsense", "", "bad_response"),
    "bytes after its end": (
        HEAD + b"Content-Length: %d\r\n\r\n" % len(HELLO + END) + HELLO + END + b"HTTP/1.1 200 smuggled\r\n\r\n",
        WHOLE,
        "stop",
    ),
}


@pytest.mark.parametrize("what", BYTES)
def test_an_upstream_that_says(what: str, tmp_path: Path, asked: Checked, raw_server: Callable[[Any], Any]) -> None:
    said, text, last = BYTES[what]

    def talk(connection: socket.socket, _number: int) -> None:
        _request(connection)
        for part in said.split(LATER):
            connection.sendall(part)
            time.sleep(0.1)

    with _serve(tmp_path, {"bad": raw_server(talk).url}, "retries = 0\nidle_timeout = 2") as aura:
        _check(asked(aura, "bad"), text, last)


def test_a_stale_pooled_connection_costs_no_retry(tmp_path: Path, raw_server: Callable[[Any], Any]) -> None:
    """A server that closes an idle connection at the moment of the next request."""
    answer = HEAD + b"Content-Length: %d\r\n\r\n" % len(HELLO + END) + HELLO + END

    def talk(connection: socket.socket, number: int) -> None:
        _request(connection)
        connection.sendall(answer)
        if number == 1:
            _request(connection)  # and never an answer

    server = raw_server(talk)
    with _serve(tmp_path, {"bad": server.url}, "retries = 0") as aura:
        _check(aura.ask("bad"), WHOLE, "stop")
        _check(aura.ask("bad"), WHOLE, "stop")
    assert server.connections == 2


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate."""
    path = tmp_path_factory.mktemp("tls") / "own.pem"
    subprocess.run(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=127.0.0.1 "
        f"-keyout {path} -out {path.with_suffix('.crt')}".split(),
        check=True,
        capture_output=True,
    )
    return path


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
    return port


def test_a_refused_connection(tmp_path: Path, asked: Checked) -> None:
    with _serve(tmp_path, {"bad": f"http://127.0.0.1:{_closed_port()}"}) as aura:
        _check(asked(aura, "bad"), "", "unavailable")


def test_an_unknown_host_name(tmp_path: Path, asked: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host == "nowhere.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with _serve(tmp_path, {"bad": "http://nowhere.invalid:1"}) as aura:
        _check(asked(aura, "bad"), "", "unavailable")


def test_a_server_that_does_not_accept(tmp_path: Path, asked: Checked) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(8)]  # fill the backlog, so that no further connection is accepted
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(address)
        try:
            url = f"http://127.0.0.1:{address[1]}"
            with _serve(tmp_path, {"bad": url}, table="connect_timeout = 0.3") as aura:
                events = asked(aura, "bad")
        finally:
            for sock in waiting:
                sock.close()
    _check(events, "", "timeout")
    assert "connect_timeout" in events[-1].data["message"]


def test_no_tls_where_tls_is_expected(tmp_path: Path, asked: Checked, raw_server: Callable[[Any], Any]) -> None:
    def talk(connection: socket.socket, _number: int) -> None:
        connection.recv(1)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with _serve(tmp_path, {"bad": raw_server(talk).url.replace("http:", "https:")}) as aura:
        _check(asked(aura, "bad"), "", "unavailable")


def test_a_self_signed_certificate(
    certificate: Path, tmp_path: Path, asked: Checked, raw_server: Callable[[Any], Any]
) -> None:
    """CWE-295: the certificate is checked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.with_suffix(".crt"), certificate)
    asked_for = threading.Event()

    def talk(connection: socket.socket, _number: int) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            if _request(secure):
                asked_for.set()

    url = raw_server(talk).url.replace("http:", "https:")
    with _serve(tmp_path, {"bad": url}) as aura:
        _check(asked(aura, "bad"), "", "unavailable")
    assert not asked_for.is_set()
