"""The spans of answers, as a collector gets them: one for the request, one for the agent, one for each attempt."""

import socket
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from collector import Span, Tree
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from traced import KEY, Traced, answer, failure, new_trace

from aura_core.answer.stream_record import Attempt, StreamRecord
from aura_core.telemetry.traces import AnswerSpans
from aura_core.testing import Reply


@pytest.fixture(autouse=True)
def _fresh(traced: Traced) -> None:
    for upstream in (traced.primary, traced.backup):
        upstream.clear()
        upstream.requests.clear()
    traced.aura.runtime.rests._rests.clear()


def _parents(traced: Traced) -> list[str]:
    """The spans that the providers were told, in the order of the requests."""
    requests = [*traced.primary.requests, *traced.backup.requests]
    return [request.headers["traceparent"] for request in requests]


def test_an_answer_has_three_spans_in_the_trace_of_its_client(traced: Traced) -> None:
    traced.primary.queue(answer("Hello", " you"))
    response, tree = traced.ask("helper", **{"x-request-id": "mine.1"})
    assert "event: done" in response.text
    assert tree.agent is not None
    (chat,) = tree.chats
    assert [span.name for span in (tree.request, tree.agent, chat)] == [
        "POST /api/agents/{agentId}/chat/stream",
        "invoke_agent helper",
        "chat first",
    ]
    assert [span.state for span in tree.all] == ["vendor=1"] * 3
    assert tree.request.started <= tree.agent.started <= chat.started
    assert chat.started <= chat.events["aura.first_token"] <= chat.ended
    assert chat.ended <= tree.agent.ended <= tree.request.ended
    assert _parents(traced) == [f"00-{chat.trace}-{chat.id}-01"]
    assert traced.primary.requests[0].headers["tracestate"] == "vendor=1"
    assert {name: value for name, value in tree.request.attributes.items() if "address" not in name} == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": "/api/agents/{agentId}/chat/stream",
        "url.path": "/api/agents/helper/chat/stream",
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "server.port": traced.aura.port,
        "aura.request_id": "mine.1",
        "aura.client": "default",
    }
    seconds = tree.agent.attributes.pop("gen_ai.response.time_to_first_chunk")
    assert 0 < seconds < 60
    assert tree.agent.attributes == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.id": "helper",
        "gen_ai.agent.name": "The Helper",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "first",
        "gen_ai.request.stream": True,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 3,
        "aura.client": "default",
        "aura.door": "native",
        "aura.outcome": "done",
        "aura.provider": "primary",
        "aura.request_id": "mine.1",
    }
    assert 0 < chat.attributes.pop("gen_ai.response.time_to_first_chunk") <= seconds
    assert chat.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "first",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 70,
        "gen_ai.request.stream": True,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 3,
        "server.address": "127.0.0.1",
        "server.port": traced.primary.port,
        "aura.outcome": "done",
        "aura.provider": "primary",
    }
    assert (chat.error, tree.agent.error, tree.request.error) == (None, None, None)
    assert chat.resource["service.name"] == "aura"


def test_each_attempt_of_retries_and_fallbacks_has_one_span(traced: Traced) -> None:
    traced.primary.queue(failure(503), failure(503, "still loading"))
    traced.backup.queue(answer("Hi"))
    response, tree = traced.ask("helper")
    assert "event: done" in response.text
    assert tree.agent is not None
    assert [span.name for span in tree.chats] == ["chat first", "chat first", "chat second"]
    assert [span.attributes.get("error.type") for span in tree.chats] == ["unavailable", "unavailable", None]
    assert [span.attributes["aura.provider"] for span in tree.chats] == ["primary", "primary", "backup"]
    assert [span.attributes.get("http.response.status_code") for span in tree.chats] == [503, 503, None]
    assert "still loading" in str(tree.chats[1].error)
    assert tree.chats[1].attributes["aura.upstream_id"] == "req_7"
    assert _parents(traced) == [f"00-{span.trace}-{span.id}-01" for span in tree.chats]
    assert len({span.id for span in tree.all}) == 5
    assert ["gen_ai.usage.input_tokens" in span.attributes for span in tree.chats] == [False, False, True]
    assert tree.agent.attributes["aura.provider"] == "backup"
    assert (tree.agent.attributes["gen_ai.request.model"], tree.agent.error) == ("second", None)


def test_a_provider_that_says_nothing_has_a_span_that_ends_when_it_is_given_up(traced: Traced) -> None:
    traced.primary.queue(Reply([], head_delay=600))
    traced.backup.queue(answer("Hi"))
    _, tree = traced.ask("hasty")
    silent, other = tree.chats
    assert (silent.name, silent.attributes["error.type"]) == ("chat first", "timeout")
    assert silent.started < silent.ended
    assert "aura.first_token" not in silent.events
    assert (other.name, other.error) == ("chat second", None)
    assert other.started > silent.started


def test_answers_at_once_do_not_mix_their_traces(traced: Traced) -> None:
    traced.primary.queue(*[answer("Hello")] * 16)
    with ThreadPoolExecutor(8) as pool:
        trees = [tree for _, tree in pool.map(traced.ask, ["alone"] * 16)]
    assert [len(tree.all) for tree in trees] == [3] * 16
    chats = [f"00-{tree.chats[0].trace}-{tree.chats[0].id}" for tree in trees]
    assert sorted(parent[:52] for parent in _parents(traced)) == sorted(chats)


def test_an_attempt_that_was_given_up_before_it_began_has_a_span_all_the_same() -> None:
    spans, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    answer_spans = AnswerSpans(provider.get_tracer("aura"), "it", None, True, str)
    answer_spans.attempt("second", "openai")
    attempts = [
        Attempt("first", "m", "error", "timeout", 5.0, error="too late"),
        Attempt("second", "n", "done", "stop", 7.0, after_ms=5.0),
    ]
    record = StreamRecord(
        *("-", "alice", "", "native", "it", "second", "n", "done", "stop", None, None, 12.0, 0, 0, 0), attempts=attempts
    )
    answer_spans.end(record)
    ended = {span.name: span for span in spans.get_finished_spans()}
    assert list(ended) == ["chat m", "chat n", "invoke_agent it"]
    assert ended["chat m"].status.description == "too late"
    assert (ended["chat n"].attributes or {})["gen_ai.provider.name"] == "openai"


@pytest.mark.parametrize(("route", "status"), [("chat/stream", 200), ("chat", 502)])
def test_a_failure_has_our_code_in_every_span_that_failed(traced: Traced, route: str, status: int) -> None:
    traced.primary.queue(failure(401, f"the key {KEY} is wrong"))
    response, tree = traced.ask("alone", route)
    assert response.status_code == status
    assert tree.agent is not None
    (chat,) = tree.chats
    assert chat.attributes["error.type"] == tree.agent.attributes["error.type"] == "auth"
    assert chat.attributes["gen_ai.request.stream"] == (route == "chat/stream")
    assert chat.error
    assert tree.agent.error
    assert tree.request.attributes["http.response.status_code"] == status
    assert tree.request.attributes.get("error.type") == (None if status == 200 else "auth")
    assert (tree.request.error is None) == (status == 200)


def test_no_prompt_no_answer_and_no_key_is_in_any_span(traced: Traced) -> None:
    traced.primary.queue(answer("ANSWER-", "SECRET", " of mine"), failure(401, f"the key {KEY} is wrong, Bearer {KEY}"))
    for agent in ("helper", "alone", KEY):
        traced.ask(agent)
    body = b"".join(traced.collector.bodies)
    assert b"helper" in body
    assert b"is wrong" in body, "the message itself is there"
    for secret in ("PROMPT-SECRET", "CONTEXT-SECRET", "SYSTEM-SECRET", "SECRET", "of mine", KEY, KEY[3:12], KEY[-8:]):
        assert secret.encode() not in body, secret


def test_ten_thousand_tokens_cost_no_more_spans_than_ten(traced: Traced) -> None:
    trees = {agent: traced.ask(agent)[1] for agent in ("ten", "many")}
    assert [len(tree.all) for tree in trees.values()] == [3, 3]
    assert [[len(span.events) for span in tree.all] for tree in trees.values()] == [[1, 0, 0]] * 2
    (many,) = trees["many"].chats
    assert many.attributes["gen_ai.usage.output_tokens"] == 10_000


def test_a_client_that_leaves_is_no_error(traced: Traced) -> None:
    trace = new_trace()
    url = f"{traced.aura.url}/api/agents/paced/chat/stream"
    headers = {"traceparent": f"00-{trace}-{'1' * 16}-01"}
    with httpx.stream("POST", url, json={"prompt": "Hi"}, headers=headers, timeout=60, trust_env=False) as response:
        next(response.iter_bytes())
    tree = traced.collector.answer(trace)
    assert tree.agent is not None
    (chat,) = tree.chats
    for span in (tree.agent, chat):
        assert (span.attributes["aura.outcome"], span.error) == ("cancelled", None)
        assert "error.type" not in span.attributes
    assert tree.request.error is None


def test_a_client_that_leaves_before_the_first_token_has_its_spans(traced: Traced) -> None:
    traced.primary.queue(Reply([], head_delay=600))
    trace = new_trace()
    body = b'{"prompt": "Hi"}'
    head = (
        f"POST /api/agents/alone/chat HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"traceparent: 00-{trace}-{'1' * 16}-01\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", traced.aura.port)) as client:
        client.sendall(head.encode() + body)
        traced.primary.wait_requests()
    tree = traced.collector.answer(trace)
    (chat,) = tree.chats
    assert chat.attributes["aura.outcome"] == "cancelled"
    assert not chat.events
    assert "http.response.status_code" not in tree.request.attributes


def test_a_refusal_has_its_code_and_neither_agent_nor_attempt(traced: Traced) -> None:
    response, tree = traced.ask("nobody")
    assert (response.status_code, tree.agent, tree.chats) == (404, None, [])
    assert tree.request.attributes["error.type"] == "agent_not_found"
    assert tree.request.error is None, "that the client's request is wrong is no error of the server"
    response, tree = traced.ask("helper", host="elsewhere.example")
    assert (response.status_code, tree.agent) == (421, None)
    assert tree.request.attributes["error.type"] == "misdirected_host"
    assert tree.request.name == "POST"


def test_every_door_has_the_same_spans(traced: Traced) -> None:
    traced.primary.queue(answer("Hello"))
    trace = new_trace()
    httpx.post(
        f"{traced.aura.url}/v1/chat/completions",
        json={"model": "helper", "messages": [{"role": "user", "content": "Hi"}]},
        headers={"traceparent": f"00-{trace}-{'1' * 16}-01"},
        timeout=60,
        trust_env=False,
    ).raise_for_status()
    tree = traced.collector.answer(trace)
    assert tree.agent is not None
    assert tree.request.name == "POST /v1/chat/completions"
    assert (tree.agent.attributes["aura.door"], len(tree.chats)) == ("openai_api", 1)


def test_what_the_client_does_not_sample_has_no_spans_and_goes_on_so(traced: Traced) -> None:
    traced.primary.queue(answer("Hello"), answer("Hello"))
    trace = new_trace()
    url = f"{traced.aura.url}/api/agents/alone/chat"
    headers = {"traceparent": f"00-{trace}-{'1' * 16}-00"}
    httpx.post(url, json={"prompt": "Hi"}, headers=headers, timeout=60, trust_env=False).raise_for_status()
    _, tree = traced.ask("alone")  # its spans come after those
    assert tree.chats
    assert [span for span in traced.collector.spans if span.trace == trace] == []
    version, said, _, flags = _parents(traced)[0].split("-")
    assert (version, said, flags) == ("00", trace, "00")


@pytest.mark.parametrize(
    "headers", [[], [("traceparent", "x")], [("traceparent", f"00-{'a' * 32}-{'1' * 16}-01")] * 2], ids=str
)
def test_without_one_valid_parent_a_trace_begins(traced: Traced, headers: list[tuple[str, str]]) -> None:
    traced.primary.queue(answer("Hello"))
    before = len(traced.collector.spans)
    url = f"{traced.aura.url}/api/agents/alone/chat"
    httpx.post(url, json={"prompt": "Hi"}, headers=headers, timeout=60, trust_env=False).raise_for_status()
    traced.collector.wait_until(lambda: len(traced.collector.spans) >= before + 3, "three spans")
    tree = Tree(traced.collector.spans[before:])
    (chat,) = tree.chats
    assert tree.request.parent == ""
    assert chat.trace == tree.request.trace != "a" * 32
    assert [each[:53] for each in _parents(traced)] == [f"00-{chat.trace}-{chat.id}-"]


def test_probes_metrics_and_the_page_have_no_span(traced: Traced) -> None:
    before = len(traced.collector.spans)
    for path in ("/health", "/health/ready", "/metrics", "/", "/web/page.js"):
        headers = {"traceparent": f"00-{new_trace()}-{'1' * 16}-01"}
        assert httpx.get(traced.aura.url + path, headers=headers, trust_env=False).status_code == 200, path
    traced.ask("ten")
    assert len(traced.collector.spans) == before + 3


def test_half_a_surrogate_pair_costs_no_span(traced: Traced) -> None:
    _, tree = traced.ask("odd")
    assert tree.agent is not None
    assert tree.agent.attributes["gen_ai.agent.name"] == "half \ufffd and \\u202e"
    assert tree.chats[0].name == "chat m \ufffd"


def test_the_receiver_counts_a_second_span_of_an_attempt() -> None:
    """The check that the tests above rest on: it sees what they must not let pass."""

    def span(kind: str, parent: str, own: str) -> Span:
        return Span("it", kind, "t", own, parent, "", 0, 1, {}, {}, None, {})

    good = [span("server", "", "1"), span("internal", "1", "2"), span("client", "2", "3")]
    assert len(Tree([*good, span("client", "2", "4")]).chats) == 2
    with pytest.raises(AssertionError):
        Tree([*good, span("internal", "1", "5")])
    with pytest.raises(AssertionError):
        Tree([*good, span("client", "1", "6")])
