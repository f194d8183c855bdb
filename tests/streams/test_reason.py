"""The reader of errors finds the message, the codes and the waiting time in every form that servers use."""

import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from aura_core.streams import Endpoint, Scrub, failure, read_reason, retry_after

DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize(
    ("said", "message", "codes"),
    [
        ({"error": {"message": "m", "code": "c", "type": "t"}}, "m", ["c", "t"]),
        ([{"error": {"message": "m", "code": 400, "status": "INVALID"}}], "m", ["400", "INVALID"]),
        ([[{"error": "m"}]], "m", []),
        ({"error": "m"}, "m", []),
        ({"errors": [{"message": "m", "code": 7003}, {"message": "n"}]}, "m: n", ["7003"]),
        ({"detail": "m"}, "m", []),
        ({"detail": {"error": "m"}}, "m", []),
        ({"detail": {"msg": "m", "type": "t"}}, "m", ["t"]),
        ({"detail": [{"loc": ["body", "x", 0], "msg": "m", "type": "t", "input": "the prompt"}]}, "x.0: m", ["t"]),
        ({"message": {"detail": [{"loc": ["body"], "msg": "m"}]}, "object": "error"}, "m", []),
        ({"message": '{"error":{"message":"m","code":"c"}}'}, "m", ["c"]),
        ({"error": {"message": '{"detail":"m"}', "code": 429}}, "m", ["429"]),
        ({"error": {"message": "outer", "metadata": {"raw": '{"error":{"message":"m"}}'}}}, "outer: m", []),
        ({"error": {"message": "outer", "metadata": {"raw": "m", "provider_name": "p"}}}, "outer: m", []),
        ({"error_type": "T", "error_message": "m"}, "m", ["T"]),
        ({"error_code": 17, "error_msg": "m"}, "m", ["17"]),
        ({"base_resp": {"status_code": 1004, "status_msg": "m"}}, "m", ["base_resp 1004"]),
        ({"title": "m", "status": 402, "detail": "n"}, "n", ["402"]),
        ({"code": "c", "error": "m"}, "m", ["c"]),
        ({"error": True, "message": "m"}, "m", []),
        ({"error": "m", "message": "m"}, "m", []),
        ({"error": {"type": "only_a_type"}}, "", ["only_a_type"]),
        ({"error": {"code": "c", "innererror": {"code": "d"}}}, "", ["c", "d"]),
        ({"error": {"message": "m", "details": [{"links": [{"description": "help"}], "reason": "r"}]}}, "m", ["r"]),
        (b'data: {"error":{"message":"m"}}\n\n', "m", []),
        (b'event: error\ndata: {"message":"m"}\n\n', "m", []),
        (b'{"error":"m"}\n{"error":"n"}\n', "m", []),
        (b"m\nand more\n", "m and more", []),
        (b'"m"', "m", []),
        (b'{"error":{"message":"m \\ud83d"}}', "m \ud83d", []),
        ('BadRequestError: 400 - {"error": {"message": "m", "code": "c"}}', None, ["c"]),
    ],
)
def test_the_reason_is_found(said: Any, message: str | None, codes: list[str]) -> None:
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    reason = read_reason(body)
    assert reason is not None
    assert reason.message == message or (message is None and reason.message)
    assert list(reason.codes) == codes


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"error":null}',
        b'{"error":[1]}',
        b'{"error":{"message":7}}',
        b"<html><body>m</body></html>",
        b"\n <!doctype html>m",
        b"\xff\xfe\x00m",
        b"\x00m",
        DEEP,
        b'{"error":%b}' % DEEP,
        b"x" * 100_000,
        b'{"error":{"message":"<html>m</html>"}}',
    ],
)
def test_a_body_without_a_reason_has_none(body: bytes) -> None:
    assert read_reason(body) is None


def test_json_in_a_string_in_json_ends() -> None:
    said: Any = "m"
    for _ in range(14):
        said = json.dumps({"error": said})
    began = time.thread_time()  # of the processor: a busy machine changes nothing
    read_reason(said.encode())
    assert read_reason([{"error": {"message": f"m{n}"}} for n in range(100_000)]) is not None
    assert time.thread_time() - began < 5


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ({"error": {"message": "x", "details": [{"retryDelay": "38s"}]}}, 38),
        ({"error": {"message": "x", "details": [{"retryDelay": "45.837906927s"}]}}, 45.837906927),
        ({"error": {"message": "x", "details": [{"retryDelay": {"seconds": 5}}]}}, 5),
        ({"error": {"message": "x", "retry_after": 7}}, 7),
        ({"error": {"message": "x", "metadata": {"retry_after_seconds": 2.5}}}, 2.5),
        ({"error": {"message": "x", "resets_in_seconds": 60}}, 60),
        ({"error": "Please try again in 20s. Visit https://x.example/2s"}, 20),
        ({"error": "Please try again in 7m12.5s."}, 432.5),
        ({"error": "Please retry after 7 seconds."}, 7),
        ({"error": "Please wait 27 seconds before retrying."}, 27),
        ({"error": "Try again in 350ms"}, 0.35),
        ({"error": "Your quota will reset after 12h34m16s."}, 45256),
        ({"error": "Retry in 1 hour and 2 minutes"}, 3720),
        ({"error": "try again in 5 min"}, 300),
        ({"error": "try again in 3 days"}, None),
        ({"error": "try again in 20"}, None),
        ({"error": "limit of 10 per 60s exceeded"}, None),
        ({"error": {"message": "x", "retry_after": 1e9}}, None),
        ({"error": {"message": "x", "retry_after": -1}}, None),
        ({"error": {"message": "x", "retry_after": True}}, None),
    ],
)
def test_a_wait_is_found_in_fields_and_in_words(said: Any, seconds: float | None) -> None:
    reason = read_reason(json.dumps(said).encode())
    assert reason is not None
    assert reason.wait == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"}, 0),
        ({"retry-after": "1m30s"}, 90),
        ({"retry-after": "30 seconds"}, 30),
        ({"retry-after": str(24 * 3600)}, 24 * 3600),
        ({"retry-after": str(24 * 3600 + 1)}, None),
        ({"retry-after-ms": "1e12"}, None),
        ({"retry-after": "Sun, 06 Nov 2039 08:49:37 GMT"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
    ],
)
def test_a_wait_is_found_in_headers(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_a_date_in_an_hour_is_an_hour() -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    assert 3590 < (retry_after({"retry-after": when}) or 0) <= 3600


def test_headers_win_over_the_body() -> None:
    server = Endpoint("It", Scrub(""), "", "", "")
    reason = read_reason(b'{"error":"try again in 20s"}')
    assert failure(server, reason, "m", 429).retry_after == 20
    assert failure(server, reason, "m", 429, 3).retry_after == 3


@pytest.mark.parametrize("piece", ["wait 1s ", "try again in " + "9" * 50, "{", "[", "again ", "aA", "1h", '\\"'])
def test_a_megabyte_of_hostile_text_takes_no_time(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    began = time.thread_time()  # of the processor: a busy machine changes nothing
    read_reason(json.dumps({"error": text}).encode())
    read_reason(text.encode())
    retry_after({"retry-after": text})
    assert time.thread_time() - began < 5
