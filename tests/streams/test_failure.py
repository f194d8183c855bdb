"""What a failure says: an overloaded server is told apart from one that cannot be reached, and the log learns more."""

from typing import Any

import msgspec
import pytest

from aura_core import ProviderError
from aura_core.streams import Endpoint, Scrub, failure, read_reason, status_error, upstream_id

KEY = "sk-proj-AbCdEfGh1234567890-wxyz"
SERVER = Endpoint("Acme", Scrub(KEY), "check the key", "is base_url right?", "Acme's protocol")


def refused(status: int, said: Any = None, **headers: str) -> ProviderError:
    body = b"" if said is None else said if isinstance(said, bytes) else msgspec.json.encode(said)
    return status_error(SERVER, status, headers, body, "tiny")


@pytest.mark.parametrize(
    ("status", "said", "told"),
    [
        (503, {"error": "Our servers are overloaded"}, "Acme is overloaded: Our servers are overloaded; try again"),
        (529, {"error": {"type": "overloaded_error", "message": "Overloaded"}}, "Acme is overloaded: Overloaded; try"),
        (503, None, "Acme is overloaded (status 503); try again in a moment."),
        (503, {"error": "the model is loading"}, "Acme is loading the model: the model is loading; try again"),
        (500, {"error": "the queue is full"}, "Acme is overloaded: the queue is full"),
        (500, None, "Acme failed (status 500); another attempt may succeed."),
        (502, b"<html>Bad gateway</html>", "Acme cannot be reached by the gateway in front of it (status 502); is it"),
        (504, None, "Acme cannot be reached by the gateway in front of it (status 504)"),
        (522, None, "Acme cannot be reached by the gateway in front of it (status 522)"),
        (503, b"no healthy upstream", "Acme cannot be reached by the gateway in front of it: no healthy upstream"),
    ],
)
def test_overloaded_loading_failing_and_unreachable_have_their_own_words_and_one_code(
    status: int, said: Any, told: str
) -> None:
    error = refused(status, said)
    assert error.code == "unavailable"
    assert error.message.startswith(told)


def test_the_log_learns_status_id_and_words_without_the_key() -> None:
    said = {"error": {"message": f"bad key {KEY[:12]}***", "type": "invalid_request_error", "code": "invalid_api_key"}}
    error = refused(401, said, **{"x-request-id": "req_7"})
    assert (error.upstream_status, error.upstream_id) == (401, "req_7")
    assert error.upstream_words == "bad *** (invalid_api_key) (invalid_request_error)"


def test_words_that_are_cut_in_the_message_are_whole_for_the_log() -> None:
    long = "x" * 900
    error = refused(400, {"error": long})
    assert long not in error.message
    assert error.upstream_words == long


def test_a_failure_inside_the_stream_has_the_status_that_it_names() -> None:
    error = failure(SERVER, read_reason({"error": {"message": "no", "code": 429}}), "tiny", request_id="req_8")
    assert (error.upstream_status, error.upstream_id) == (429, "req_8")
    assert failure(SERVER, None, "tiny").upstream_status == 0


def test_a_redirect_tells_its_status() -> None:
    assert refused(302, location="http://elsewhere").upstream_status == 302


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({"x-request-id": "a", "request-id": "b"}, "a"),
        ({"request-id": "req_011"}, "req_011"),
        ({"apim-request-id": "az"}, "az"),
        ({"date": "now"}, ""),
        ({"x-request-id": "a\x1bb"}, ""),
        ({"x-request-id": "x" * 1000}, "x" * 200),
    ],
)
def test_the_id_of_a_request_is_found_in_the_usual_headers(headers: dict[str, str], found: str) -> None:
    assert upstream_id(headers) == found
