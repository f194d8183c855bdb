"""With every fault of a provider's server the log alone says what was wrong with which server: this test reads no
answer."""

import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from faults.test_upstream_faults import BYTES, FAULTS, HELLO, LATER, OK, SILENCES, _closed_port, _request, _serve

from aura_core.telemetry.log_lines import JsonFormatter
from aura_core.testing import AuraServer, Reply, Upstream
from aura_core.testing.upstream import Ending

Line = dict[str, Any]


class _Log(logging.Handler):
    """The log as it is written, line by line."""

    def __init__(self) -> None:
        super().__init__()
        self._formatter = JsonFormatter()
        self._lines: list[str] = []
        self._answered = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self._formatter.format(record))
        if record.getMessage() == "stream":
            self._answered.set()

    def stream(self) -> Line:
        """The line of the only answer since the last call; it comes a moment after the answer."""
        assert self._answered.wait(30), "no line"
        self._answered.clear()
        lines, self._lines = [json.loads(line) for line in self._lines], []
        (line,) = [line for line in lines if line["message"] == "stream"]
        assert not [other for other in lines if other["level"] == "error"], "none of these is a fault of ours"
        return dict(line)


@contextmanager
def _logged() -> Iterator[_Log]:
    log, logger = _Log(), logging.getLogger("aura")
    before = logger.level
    logger.addHandler(log)
    logger.setLevel(logging.INFO)
    try:
        yield log
    finally:
        logger.removeHandler(log)
        logger.setLevel(before)


# What the log says besides the status of the server's answer, which a test adds: a pattern.
WHY = {
    "400": "no .*way",
    "401": "refused access: no .*way",
    "402": "no credit.*no .*way",
    "403": "refused access",
    "404 of another server": "knows no such address",
    "404 of a missing model": "model 'm' not found",
    "413": "refused the request",
    "429": "limits the rate of requests: no .*way",
    "429 with nonsense": "limits the rate of requests: no .*way",
    "500": "failed: no .*way",
    "500 with HTML": "failed",
    "500 that is cut": "failed",
    "502": "cannot be reached by the gateway",
    "503": "is overloaded",
    "504": "cannot be reached by the gateway.*no .*way",
    "529": "is overloaded: no .*way",
    "HTML": "does not answer in Ollama's protocol",
    "HTML line by line": "does not answer in Ollama's protocol",
    "JSON of another kind": "does not answer in Ollama's protocol.*Expected `object`, got `array`",
    "500 of a model that does not load": "unable to load model: x",
    "522": "cannot be reached by the gateway",
    "a number for a text": "ended without saying that it finished",
    "empty": "ended its answer without saying anything",
    "cut before anything": "broke in the middle.*Not enough data",
    "cut": "broke in the middle.*Not enough data",
    "cut in a line": "broke in the middle.*Not enough data",
    "an end without a finish": "ended without saying that it finished",
    "reset before anything": "broke in the middle.*(Not enough data|ConnectionResetError)",
    "reset": "broke in the middle.*(Not enough data|ConnectionResetError)",
    "an error in the stream": "failed: boom",
    "malformed": "sent something else.*truncated",
    "invalid UTF-8": "sent something else.*can't decode byte 0xff",
    "a giant line": "a line that is longer than 8 MiB",
    # silences
    "before the head": "No token arrived within 0.5 s .server.first_token_timeout",
    "before the first token": "No token arrived within 0.5 s .server.first_token_timeout",
    "in a line": "No token arrived within 0.5 s .server.first_token_timeout",
    "after a token": "said nothing more for 0.5 s .server.idle_timeout",
    "in the body of an error": "No token arrived within 0.5 s .server.first_token_timeout",
    "never, but endlessly": "No token arrived within 0.5 s .server.first_token_timeout",
    # below HTTP
    "nothing at all": "does not answer.*ServerDisconnectedError",
    "another protocol": "is not Ollama.*SSH-2.0-OpenSSH_9.9",
    "half a head": "does not answer.*ServerDisconnectedError",
    "a giant header": "is not Ollama.*LineTooLong",
    "a broken chunk": "broke in the middle|said nothing more",
    "less than its length": "broke in the middle.*Not enough data",
    "compressed, unasked": "does not answer in Ollama's protocol",
    # no HTTP at all
    "a dead port": "does not answer.*ConnectionRefusedError",
    "a name without an address": "does not answer.*gaierror",
    "no TLS": "does not answer.*SSL",
}


def _tells(line: Line, fault: str, provider: str, address: str, status: int = 0) -> None:
    """Check a line of a failed answer."""
    assert (line["level"], line["outcome"], line["provider"]) == ("warning", "error", provider), line
    assert line["error"]
    assert line["code"]
    attempt = line["attempts"][-1]
    assert (attempt["provider"], attempt["address"], attempt["code"]) == (provider, address, line["code"])
    said = " ".join(str(attempt.get(key, "")) for key in ("error", "upstream_words", "cause"))
    assert re.search(WHY[fault], said), said
    assert attempt.get("upstream_status", 0) == status


def test_every_fault_has_its_words() -> None:
    failing = {name for table in (FAULTS, BYTES) for name, (_, _, last) in table.items() if last != "stop"}
    assert set(WHY) - {"a dead port", "a name without an address", "no TLS"} == failing | set(SILENCES)


def test_an_answer_that_fails(tmp_path: Path) -> None:
    with Upstream(OK) as upstream, _serve(tmp_path, {"up": upstream.url}) as aura, _logged() as log:
        for fault, (reply, _, last) in FAULTS.items():
            if last == "stop":
                continue
            upstream.queue(reply)
            aura.ask("up")
            _tells(log.stream(), fault, "up", upstream.url, reply.status if reply.status != 200 else 0)


def test_an_answer_that_stops(tmp_path: Path) -> None:
    limits = "retries = 0\nfirst_token_timeout = 0.5\nidle_timeout = 0.5"
    with Upstream(OK) as upstream, _serve(tmp_path, {"up": upstream.url}, limits) as aura, _logged() as log:
        for fault, (reply, _) in SILENCES.items():
            upstream.queue(reply)
            aura.ask("up")
            _tells(log.stream(), fault, "up", upstream.url)


def test_bytes_that_are_not_http(tmp_path: Path, raw_server: Callable[[Any], Any]) -> None:
    failing = {name: said for name, (said, _, last) in BYTES.items() if last != "stop"}

    def server(said: bytes) -> str:
        def talk(connection: Any, _number: int) -> None:
            _request(connection)
            for part in said.split(LATER):
                connection.sendall(part)
                time.sleep(0.1)

        return str(raw_server(talk).url)

    urls = {f"bad{number}": server(said) for number, said in enumerate(failing.values())}
    with _serve(tmp_path, urls, "retries = 0\nidle_timeout = 2") as aura, _logged() as log:
        for fault, (name, url) in zip(failing, urls.items(), strict=True):
            aura.ask(name)
            _tells(log.stream(), fault, name, url)


def test_servers_that_cannot_be_reached_do_not_look_alike(tmp_path: Path, raw_server: Callable[[Any], Any]) -> None:
    def talk(connection: Any, _number: int) -> None:
        connection.recv(1)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    faults = {
        "dead": ("a dead port", f"http://127.0.0.1:{_closed_port()}"),
        "dns": ("a name without an address", "http://nowhere.invalid:1"),
        "tls": ("no TLS", raw_server(talk).url.replace("http:", "https:")),
    }
    urls = {name: url for name, (_, url) in faults.items()}
    with _serve(tmp_path, urls) as aura, _logged() as log:
        for name, (fault, url) in faults.items():
            aura.ask(name)
            _tells(log.stream(), fault, name, url)


def test_each_attempt_says_why_even_if_the_last_one_answers(tmp_path: Path) -> None:
    dead = f"http://127.0.0.1:{_closed_port()}"
    with Upstream(OK) as upstream:
        agent = "---\nprovider: dead\nmodel: m\nfallback: [{provider: up, model: m}]\n---\n"
        toml = "[server]\nretries = 1\n" + "".join(
            f'[providers.{name}]\nplugin = "ollama"\nbase_url = "{url}"\n'
            for name, url in (("dead", dead), ("up", upstream.url))
        )
        with AuraServer(tmp_path, {"it.md": agent}, toml) as aura, _logged() as log:
            aura.ask("it")
            line = log.stream()
    assert (line["level"], line["outcome"], line["provider"], line["error"]) == ("info", "done", "up", None)
    first, again, last = line["attempts"]
    for attempt in (first, again):
        assert (attempt["provider"], attempt["address"], attempt["code"]) == ("dead", dead, "unavailable")
        assert "ConnectionRefusedError" in attempt["cause"]
    assert (last["provider"], last["address"], last["code"]) == ("up", upstream.url, "stop")
    assert first["after_ms"] <= again["after_ms"] <= last["after_ms"]


BROKEN = {
    "ollama": (HELLO, "application/x-ndjson"),
    "openai": (b'data: {"choices":[{"delta":{"content":"hello"}}]}\n\n', "text/event-stream"),
    "anthropic": (
        b'data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"hello"}}\n\n',
        "text/event-stream",
    ),
}


@pytest.mark.parametrize("plugin", BROKEN)
def test_an_answer_that_breaks_off_tells_what_broke_it(plugin: str, tmp_path: Path) -> None:
    said, kind = BROKEN[plugin]
    breaks: dict[Ending, str] = {"cut": "Not enough data", "broken": "bytes that are not HTTP"}
    with Upstream() as upstream:
        toml = f'[server]\nretries = 0\n[providers.up]\nplugin = "{plugin}"\nbase_url = "{upstream.url}"\n'
        agent = "---\nprovider: up\nmodel: m\n---\n"
        with AuraServer(tmp_path, {"it.md": agent}, toml) as aura, _logged() as log:
            for ending, cause in breaks.items():
                upstream.queue(Reply([said, 0.05], headers={"content-type": kind}, ending=ending))
                aura.ask("it")
                line = log.stream()
                (attempt,) = line["attempts"]
                assert (line["code"], attempt["address"]) == ("interrupted", upstream.url)
                assert "broke in the middle" in attempt["error"]
                assert cause in attempt["cause"], attempt
