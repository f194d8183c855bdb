"""nginx with deploy/nginx/aura.conf streams, keeps silent streams open, cancels, and survives a restart."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from aura_core.testing import Reply, Upstream

STREAM = "/api/agents/it/chat/stream"
NAME = "aura.example.com"


class Reader:
    """A stream, read line by line."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.iter_lines()

    def until(self, wanted: str) -> None:
        """Read up to a line that contains the text."""
        for line in self._lines:
            if wanted in line:
                return
        raise AssertionError(f"the stream ended without {wanted!r}")

    def finish(self) -> None:
        """Read the rest of a held answer."""
        self.until('{"content": "last"}')
        self.until("event: done")
        self.until('"finishReason": "stop"')
        assert "".join(self._lines) == ""


@contextmanager
def asking(client: httpx.Client) -> Iterator[Reader]:
    with client.stream("POST", STREAM, json={"prompt": "Hello"}) as response:
        assert response.status_code == 200, response.read()
        yield Reader(response)


def ask(client: httpx.Client, **arguments: Any) -> httpx.Response:
    return client.post(STREAM, **({"json": {"prompt": "Hello"}} | arguments))


def hold_both(processes: Any, held: Any) -> tuple[Any, Any]:
    """Give each process's provider a held answer."""
    return held(processes[0].upstream), held(processes[1].upstream)


def test_a_token_comes_while_the_answer_is_held_open(client: httpx.Client, processes: Any, held: Any) -> None:
    answers = hold_both(processes, held)
    with asking(client) as stream:
        stream.until('{"content": "first"}')
        for answer in answers:
            answer.go.set()
        stream.finish()


@pytest.mark.parametrize("read_timeout", [3])
def test_heartbeats_outlive_a_read_timeout_that_is_shorter_than_the_silence(
    client: httpx.Client, processes: Any, held: Any
) -> None:
    answers = hold_both(processes, held)
    with asking(client) as stream:
        stream.until('{"content": "first"}')
        for _ in range(5):  # of 1 s each
            stream.until(": ping")
        for answer in answers:
            answer.go.set()
        stream.finish()


@pytest.mark.parametrize("after", [": ok", '{"content": "first"}'], ids=["before-the-first-token", "after-it"])
def test_a_hang_up_reaches_the_provider(after: str, client: httpx.Client, processes: Any, held: Any) -> None:
    for process in processes:
        if after == ": ok":
            process.upstream.queue(Reply(head_delay=600))
        else:
            held(process.upstream)
    with asking(client) as stream:
        stream.until(after)
        asked = _wait_for_one(processes)
    asked.wait_hangup(timeout=30)


def _wait_for_one(processes: Any) -> Upstream:
    """The provider that got the request."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        for process in processes:
            if process.upstream.requests:
                upstream: Upstream = process.upstream
                return upstream
        time.sleep(0.01)
    raise AssertionError("no provider was asked")


def test_one_process_restarts_while_streams_on_the_other_go_on(
    client: httpx.Client, processes: Any, held: Callable[[Upstream], Any]
) -> None:
    first, second = processes
    answers = hold_both(processes, held)
    with asking(client) as one, asking(client) as other:
        for stream in (one, other):  # least_conn: one stream is on each process
            stream.until('{"content": "first"}')
        for process in processes:
            process.upstream.wait_requests(1, timeout=30)

        first.terminate()
        for _ in range(4):  # the draining process refuses them, and nginx uses the other one
            assert "event: done" in ask(client).text
        assert len(first.upstream.requests) == 1
        answers[0].go.set()
        first.wait()
        for _ in range(4):  # now nothing listens there
            assert "event: done" in ask(client).text
        assert len(second.upstream.requests) == 9

        first.start()
        first.ready()
        assert "event: done" in ask(client).text
        assert len(first.upstream.requests) == 2, "a restarted process gets requests at once"
        answers[1].go.set()
        for stream in (one, other):
            stream.finish()


def test_when_all_processes_drain_the_client_learns_it_in_json(client: httpx.Client, processes: Any, held: Any) -> None:
    answers = hold_both(processes, held)
    with asking(client) as one, asking(client) as other:
        for stream in (one, other):
            stream.until('{"content": "first"}')
        for process in processes:
            process.terminate()
        refused = ask(client)
        assert (refused.status_code, refused.json()["code"]) == (503, "server_shutdown")
        assert refused.headers["retry-after"]
        for answer in answers:
            answer.go.set()
        for stream in (one, other):
            stream.finish()


def test_a_page_behind_tls_is_of_the_same_origin(client: httpx.Client) -> None:
    assert ask(client, headers={"origin": f"https://{NAME}"}).status_code == 200
    foreign = ask(client, headers={"origin": "https://evil.example"})
    assert (foreign.status_code, foreign.json()["code"]) == (403, "forbidden_origin")
    elsewhere = ask(client, headers={"host": "other.example"})
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (421, "misdirected_host")


def test_a_body_beyond_the_limit_is_refused_by_aura_in_json_and_far_beyond_it_by_nginx(client: httpx.Client) -> None:
    mebibyte = 1024 * 1024
    assert ask(client, json={"prompt": "x" * (3 * mebibyte)}).status_code == 200
    over = ask(client, json={"prompt": "x" * (4 * mebibyte)})
    assert (over.status_code, over.json()["code"]) == (413, "payload_too_large")
    far_over = ask(client, json={"prompt": "x" * (6 * mebibyte)})
    assert far_over.status_code == 413
    assert "nginx" in far_over.text


def test_large_headers_pass_up_to_nginx_s_limit(client: httpx.Client) -> None:
    assert ask(client, headers={"x-large": "x" * 6000}).status_code == 200
    assert ask(client, headers={"x-large": "x" * 100_000}).status_code == 400


@pytest.mark.parametrize("read_timeout", [1])
def test_a_whole_answer_may_be_silent_for_longer_than_the_streams_read_timeout(
    client: httpx.Client, processes: Any
) -> None:
    for process in processes:
        process.upstream.default = Reply([1.5, *process.upstream.default.parts])
    answer = client.post("/api/agents/it/chat", json={"prompt": "Hello"})
    assert answer.json() == {"content": "hello", "totalTokens": 0, "finishReason": "stop"}


def test_nginx_and_aura_know_a_request_by_the_same_id(client: httpx.Client, processes: Any) -> None:
    answer = ask(client)
    (identity,) = answer.headers.get_list("x-request-id")
    assert len(identity) == 32  # nginx's $request_id; Aura's own has 16
    (answered,) = [process for process in processes if process.upstream.requests]
    answered.wait_for(f'"request_id": ?"{identity}"')


@pytest.mark.parametrize(("given", "kept"), [("my-own.id_7", True), ("no good id", False), ("x" * 65, False)])
def test_a_client_s_own_request_id_is_kept_if_aura_takes_it(client: httpx.Client, given: str, kept: bool) -> None:
    (identity,) = ask(client, headers={"x-request-id": given}).headers.get_list("x-request-id")
    assert identity == given if kept else len(identity) == 32
