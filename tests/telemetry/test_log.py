"""The log: in batches that nobody waits for, whole lines, nothing lost at the end, and no secret in it."""

import asyncio
import json
import logging
import os
import queue
import re
import subprocess
import sys
import threading
from datetime import datetime
from pathlib import Path

import httpx
import msgspec
import pytest
from aura_process import serve

from aura_core.limits import LOG_QUEUE
from aura_core.telemetry.log_lines import JsonFormatter, TextFormatter
from aura_core.telemetry.logs import Background, _pieces
from aura_core.telemetry.records import say
from aura_core.testing import AuraServer

ECHO = "---\nprovider: echo\n---\n"
REFUSED = "---\nprovider: echo\noptions: {text: '', fail_after: 0, code: auth}\n---\n"


def _record(text: str, level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord("aura", level, "", 0, text, None, None)


def _written(path: Path, *texts: str, secrets: tuple[str, ...] = ()) -> list[str]:
    with path.open("wb") as file:
        background = Background(JsonFormatter(lambda: list(secrets)), file.fileno())
        for text in texts:
            background.emit(_record(text))
        background.close()
    return [json.loads(line)["message"] for line in path.read_text().splitlines()]


def test_nothing_is_lost_at_the_end_and_the_order_stays(tmp_path: Path) -> None:
    texts = [f"line {number}" for number in range(5000)]
    assert _written(tmp_path / "log", *texts) == texts


def test_a_secret_in_one_line_of_a_batch_is_hidden_and_the_others_stay(tmp_path: Path) -> None:
    assert _written(tmp_path / "log", "before", "key s3cr3t!", "level", secrets=("s3cr3t!", "level")) == [
        "before",
        "key ***",
        "***",
    ], "and the keys of the JSON objects stay, even where a secret is called like one"


def test_a_reader_that_stops_blocks_nobody_and_is_told_what_it_missed() -> None:
    reader, writer = os.pipe()
    background = Background(JsonFormatter(), writer)
    try:
        for number in range(2 * LOG_QUEUE + 5000):  # one batch is being written, and one fills the queue
            background.emit(_record(f"line {number} {'x' * 100}"))
        lost = background.dropped
        assert lost > 0
        lines: list[str] = []
        with os.fdopen(reader, encoding="utf-8") as log:
            thread = threading.Thread(target=lambda: lines.extend(log), daemon=True)
            thread.start()
            background.close()
            background._thread.join(60)  # a busy machine may take longer than the end of a process may
            os.close(writer)
            thread.join(60)
    finally:
        background.close()
    said = [json.loads(line)["message"] for line in lines]
    assert sum(int(text.rpartition(": ")[2]) for text in said if text.startswith("log lines dropped")) == lost
    assert len([text for text in said if text.startswith("line ")]) == 2 * LOG_QUEUE + 5000 - lost


def test_lines_are_written_whole_in_what_a_pipe_takes_at_once() -> None:
    lines = [b"a" * size for size in (10, 4000, 80, 5000, 1, 4095, 3, 4096)]
    pieces = _pieces(lines)
    assert b"".join(pieces) == b"".join(line + b"\n" for line in lines)
    assert all(piece.endswith(b"\n") for piece in pieces)
    assert all(len(piece) <= 4096 or piece.count(b"\n") == 1 for piece in pieces)


def test_a_line_of_text_has_its_microseconds() -> None:
    assert re.match(r"\d\d:\d\d:\d\d\.\d{6} INFO aura: hi$", TextFormatter().format(_record("hi")))


def _ask(url: str, agent: str) -> None:
    httpx.post(f"{url}/api/agents/{agent}/chat", json={"prompt": "hi"}, trust_env=False, timeout=60)


def test_the_flags_choose_level_and_form(tmp_path: Path) -> None:
    agents = {"ok.md": ECHO, "no.md": REFUSED, "broken.md": "---\ntemprature: 1\n---\n"}
    with serve(tmp_path, agents, "--log-level", "warning", "--log-format", "json") as aura:
        for agent in ("ok", "no"):
            _ask(aura.url, agent)
        aura.popen.terminate()
        assert aura.exit() == 0
    lines = [json.loads(line) for line in aura.lines if line.startswith("{")]
    (failed,) = [line for line in lines if line["message"] == "stream"]
    assert (failed["agent"], failed["level"]) == ("no", "warning")
    assert datetime.fromisoformat(failed["time"]).tzinfo is not None
    assert re.search(r"\.\d{6}\+00:00$", failed["time"])
    (broken,) = [line for line in lines if "temprature" in line["message"]]
    assert broken["level"] == "warning", "an agent file that cannot be used is told to whoever reads JSON alone"
    assert not [line for line in lines if line["level"] == "info"]


def test_the_settings_choose_text_and_an_access_log(tmp_path: Path) -> None:
    (tmp_path / "aura.toml").write_text("[log]\nformat = 'text'\naccess = true\n")
    with serve(tmp_path, {"ok.md": ECHO}) as aura:
        _ask(aura.url, "ok")
        httpx.get(f"{aura.url}/health?key=hidden", trust_env=False, timeout=60)
        aura.popen.terminate()
        assert aura.exit() == 0
    said = "".join(aura.lines)
    assert re.search(r"INFO aura: stream request_id=[\w-]+ client=default client_address=127.0.0.1 door=native", said)
    assert re.search(r"INFO aura.access: request .*method=POST path=/api/agents/ok/chat status=200 duration_ms=", said)
    assert re.search(r"INFO aura.access: request .*method=GET path=/health status=200 ", said)
    assert "hidden" not in said


@pytest.mark.parametrize("flag", ["--log-level=loud", "--log-format=xml"])
def test_a_wrong_flag_is_a_usage_error(flag: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "aura_core", "serve", flag], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert flag.partition("=")[2] in done.stderr


class Watch(logging.Handler):
    """Waits for a line of Aura's log."""

    def __init__(self) -> None:
        super().__init__()
        self._lines = queue.SimpleQueue[logging.LogRecord]()

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.put(record)

    def level_of(self, text: str) -> str:
        """The level of the next line that says this."""
        while text not in (line := self._lines.get(timeout=60)).getMessage():
            pass
        return line.levelname


def test_edits_that_cannot_be_used_are_warnings_with_their_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "aura")
    watch = Watch()
    logging.getLogger("aura").addHandler(watch)
    steps = [
        ("aura.toml", "[server]\nprot = 1\n", "aura.toml:2: unknown key 'prot'; did you mean 'port'?", "WARNING"),
        ("aura.toml", "[server\n", "aura.toml:1: ", "WARNING"),
        ("aura.toml", "[providers.echo]\nodd = 1\n", "aura.toml:2: unknown key 'odd'", "WARNING"),
        ("aura.toml", "[server]\nretries = 2\n", "aura.toml changed; restart to apply", "INFO"),
        ("agents/ok.md", "---\ntemprature: 1\n---\n", "ok.md:2: unknown key 'temprature'", "WARNING"),
        ("agents/ok.md", ECHO, "ok: good again", "INFO"),
    ]
    try:
        with AuraServer(tmp_path, {"ok.md": ECHO}) as aura:
            for file, text, says, level in steps:
                (tmp_path / file).write_text(text)
                assert watch.level_of(says) == level, says
            (tmp_path / "agents").rename(tmp_path / "elsewhere")
            assert watch.level_of("there is no such folder; the agents stay as they were") == "WARNING"
            assert aura.ask("ok")[-1].name == "done"
    finally:
        logging.getLogger("aura").removeHandler(watch)


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class _Fields(msgspec.Struct):
    number: int


async def _say(log: logging.Logger, number: int) -> logging.LogRecord:
    """Write a line with fields. Returns a record as logging makes it."""
    say(log, logging.INFO, "said", _Fields(number))
    return logging.LogRecord(log.name, logging.INFO, "", 0, "said", None, None)


def test_a_line_with_fields_has_all_that_a_formatter_may_ask_for() -> None:
    log, kept = logging.Logger("aura.test"), _Kept()
    log.addHandler(kept)
    expected = [asyncio.run(_say(log, number)) for number in range(2)]
    thread = threading.Thread(target=lambda: expected.append(asyncio.run(_say(log, 2))), name="another")
    thread.start()
    thread.join()
    assert [record.threadName for record in kept.records] == ["MainThread", "MainThread", "another"]
    for number, (record, like) in enumerate(zip(kept.records, expected, strict=True)):
        assert record.fields == _Fields(number)  # type: ignore[attr-defined]
        assert list(vars(record)) == [*vars(like), "fields"]
        changing = {"created", "msecs", "relativeCreated", "taskName", "fields"}
        assert {key: value for key, value in vars(record).items() if key not in changing} == {
            key: value for key, value in vars(like).items() if key not in changing
        }
        assert record.relativeCreated - like.relativeCreated == pytest.approx((record.created - like.created) * 1000)
        assert record.msecs == int(record.created % 1 * 1000)
    assert kept.records[0].created <= kept.records[1].created <= expected[1].created


def test_a_line_below_the_level_is_not_written() -> None:
    log, kept = logging.Logger("aura.test", logging.WARNING), _Kept()
    log.addHandler(kept)
    say(log, logging.INFO, "said", _Fields(1))
    assert kept.records == []
