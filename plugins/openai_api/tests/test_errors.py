"""Every code of Aura has its type, status and code in OpenAI's words, and the headers that the SDKs obey."""

import json
import re
from pathlib import Path

import pytest
from aura_openai_api.errors import ERRORS, refuse

from aura_core import Problem
from aura_core.errors import CODES
from aura_core.problems import PROBLEMS

README = Path(__file__).parents[1] / "README.md"
OFTEN_RETRIED = {408, 409, 429} | set(range(500, 600))
TYPES = {
    "invalid_request_error": {400, 404, 405, 408, 413, 415, 421, 431},
    "authentication_error": {401},
    "permission_error": {403},
    "rate_limit_error": {429},
    "server_error": {500, 502, 503, 504},
}


def test_the_table_has_every_code_and_no_other() -> None:
    assert set(CODES) | set(PROBLEMS) == set(ERRORS)


@pytest.mark.parametrize("code", ERRORS)
def test_type_and_status_fit(code: str) -> None:
    error = ERRORS[code]
    assert error.status in TYPES[error.type]
    if code in PROBLEMS:
        assert error.status == PROBLEMS[code][0], "a refusal has one status for all doors"


def test_what_a_user_may_retry_the_sdk_may_retry() -> None:
    assert {code for code in CODES if ERRORS[code].retry} == {code for code, info in CODES.items() if info.retry}


@pytest.mark.parametrize("code", [*CODES, *PROBLEMS])
def test_the_sdks_are_told_where_asking_again_is_of_no_use(code: str) -> None:
    reply = refuse(Problem(code, "Why."), "abc")
    told = reply.headers.get("x-should-retry")
    assert told == (None if ERRORS[code].retry else "false")
    assert reply.status == ERRORS[code].status


def test_codes_that_clients_look_for_by_name() -> None:
    wanted = {
        "context_length": (400, "context_length_exceeded"),
        "agent_not_found": (404, "model_not_found"),
        "quota_exceeded": (429, "insufficient_quota"),
        "rate_limited": (429, "rate_limit_exceeded"),
        "unauthorized": (401, "invalid_api_key"),
    }
    assert {code: (ERRORS[code].status, ERRORS[code].code) for code in wanted} == wanted


def test_the_envelope_names_the_parameter() -> None:
    reply = refuse(Problem("invalid_request", "n: expected 1", field="n"), "abc")
    assert reply.content_type == "application/json"
    assert json.loads(reply.body) == {
        "error": {"message": "n: expected 1", "type": "invalid_request_error", "param": "n", "code": "invalid_request"}
    }
    assert json.loads(refuse(Problem("agent_not_found", "None."), "abc").body)["error"]["param"] == "model"
    assert json.loads(refuse(Problem("unauthorized", "Send it."), "abc").body)["error"]["param"] is None


def test_how_long_to_wait() -> None:
    reply = refuse(Problem("rate_limited", "Wait.", 1.5), "abc")
    assert reply.headers["retry-after-ms"] == "1500"
    assert json.loads(reply.body)["error"]["retry_after"] == 1.5


def test_a_code_of_a_later_core_is_a_failure() -> None:
    problem = Problem("llm_error", "New.")
    problem.code = "brand_new"
    assert refuse(problem, "abc").status == 502


def test_the_readme_has_the_table() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (\d+) \| `(\w+)` \| `(\w+)` \|$", README.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert [(code, int(status), kind, name) for code, status, kind, name in rows] == [
        (code, error.status, error.type, error.code) for code, error in ERRORS.items()
    ]
