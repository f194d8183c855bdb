"""Every recording of OpenAI's protocol gives exactly its text, reasoning, finish, usage or error code."""

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import aura_openai
import pytest
from aiohttp.http_parser import HttpResponseParserPy
from aura_openai.settings import OpenAISettings
from recorded import Recording, ask_apart, recordings

from aura_core import ChatRequest, Message, ProviderError, Token
from aura_core.testing import AuraServer, Reply, SseEvent, Upstream, split_at

RECORDINGS = recordings(Path(__file__).parent / "recordings")
AGENT = "---\nprovider: local\nmodel: tiny\n---\n"
DEEP = b"[" * 100_000 + b"]" * 100_000
STOP = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'


@pytest.fixture(scope="module")
def aura(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuraServer]:
    toml = f'[providers.local]\nplugin = "openai"\nbase_url = "{upstream.url}/v1"\n'
    toml += "[server]\nretries = 0\nidle_timeout = 6\n"
    with AuraServer(tmp_path_factory.mktemp("aura"), {"it.md": AGENT}, toml, {}) as aura:
        yield aura


def event(content: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": {"content": content}}]}, ensure_ascii=False).encode() + b"\n\n"


def text_of(events: list[SseEvent], name: str = "token") -> str:
    return "".join(event.data["content"] for event in events if event.name == name)


@pytest.mark.parametrize("hostile", [False, True], ids=["as-recorded", "in-small-pieces"])
@pytest.mark.parametrize("recording", RECORDINGS, ids=str)
def test_recording(recording: Recording, hostile: bool, upstream: Upstream, aura: AuraServer) -> None:
    upstream.queue(recording.reply(hostile))
    recording.check(aura.ask("it"))


@pytest.mark.parametrize(("mebibytes", "last"), [(1, "done"), (9, "error")])
def test_a_line_may_be_long_but_not_endless(mebibytes: int, last: str, upstream: Upstream, aura: AuraServer) -> None:
    text = "x" * (mebibytes * 1024 * 1024)
    body = event(text) + STOP
    upstream.queue(Reply(split_at(body, range(0, len(body), 65536))))
    events = aura.ask("it")
    assert events[-1].name == last
    if last == "done":
        assert text_of(events) == text
    else:
        assert [e.data["code"] for e in events] == ["bad_response"]


def test_data_lines_of_one_event_are_not_endless(upstream: Upstream, aura: AuraServer) -> None:
    upstream.queue(Reply([b"data: " + b"x" * 65536 + b"\n"], repeat=True))
    assert [e.data["code"] for e in aura.ask("it")] == ["bad_response"]


@pytest.mark.parametrize("separator", ["\u2028", "\u0085", "\x0c"])
def test_separators_inside_a_string_are_text(separator: str, upstream: Upstream, aura: AuraServer) -> None:
    text = f"a{separator}b"
    body = event(text).replace(b"\\f", b"\\u000c") + STOP
    upstream.queue(Reply([body]))
    assert text_of(aura.ask("it")) == text


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
def test_line_ends_and_boundaries_anywhere(end: bytes, size: int, upstream: Upstream, aura: AuraServer) -> None:
    body = b"\xef\xbb\xbf: hello\n\nid: 1\nretry: 5\nevent: x\n" + event("é😀\u2028") + b":\n\ndata\n\ndata:\n\n"
    body += b'data: {"choices":\ndata:[{"delta":{"content":"!"}}]}\n\n' + STOP + b"data: [DONE]\n\n"
    body = body.replace(b"\n", end)
    upstream.queue(Reply(split_at(body, range(0, len(body), size))))
    events = aura.ask("it")
    assert [e.data.get("content") for e in events] == ["é😀\u2028", "!", None]
    assert events[-1].name == "done"


@pytest.mark.parametrize(
    ("rest", "code"),
    [
        (b"", "interrupted"),
        (b"data: [DONE]\n\n", "interrupted"),
        (b'data: {"choices":[{"delta":{"cont', "interrupted"),
        (b'data: {"choices":[{"delta":{"content":"\xf0\x9f', "interrupted"),
        (b'data: {"choices":[{"index":0,"finish_reason":nu', "interrupted"),
        (b'data: {"choices":[{"index":0,"fini\\', "interrupted"),
        (b"data: [DO", "interrupted"),
        (b"data:", "interrupted"),
        (b"da", "interrupted"),
        (b'data: {"choices":[]}\n\n', "interrupted"),
        (b'data: {"choices":null}\n\n', "interrupted"),
        (b'data: {"choices":[{"delta":null,"finish_reason":""}]}\n\n', "interrupted"),
        (b'data: {"choices":[{"index":1,"delta":{"content":"other"},"finish_reason":"stop"}]}\n\n', "interrupted"),
        (b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":null}}\n\n', "interrupted"),
        (b"data: nonsense\n\n", "bad_response"),
        (b"data: [1]\n\n", "bad_response"),
        (b"data: nonsense", "bad_response"),
        (b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n', "bad_response"),
        (b'data: {"deep":%b}\n\n' % DEEP, "bad_response"),
        (b'data: {"deep":%b}' % DEEP, "bad_response"),
        (b"<html><body>502</body></html>\n", "bad_response"),
        (b"<html><body>502</body></html>", "bad_response"),
        (b'{"error":{"message":"boom","code":500}}\n', "llm_error"),
        (b'data: {"error":"boom"}\n\n', "llm_error"),
        (b'event: error\ndata: {"error":{"message":"boom"}}\n\n', "llm_error"),
        (b'data: {"error":{"message":"boom"}}', "llm_error"),
        (b'data: {"object":"error","message":"boom","code":400}\n\n', "bad_request"),
        (b'data: {"choices":[{"delta":{"content":""},"finish_reason":"error"}]}\n\n', "llm_error"),
        (b'data: {"error":{"message":"wait","code":429}}\n\n', "rate_limited"),
        (b'data: {"error":{"message":"wait","type":"rate_limit_error","code":null}}\n\n', "rate_limited"),
        (b'data: {"error":{"message":"x","code":"insufficient_quota"}}\n\n', "quota_exceeded"),
        (b'data: {"error":{"message":"x","code":"server_is_overloaded"}}\n\n', "unavailable"),
        (b'data: {"error":{"message":"x","code":"502"}}\n\n', "unavailable"),
        (b'data: {"error":{"message":"x","code":"content_filter"}}\n\n', "content_filtered"),
        (b'data: {"error":{"message":"x","type":"exceed_context_size_error"}}\n\n', "context_length"),
        (b'data: {"error":{"message":"x","code":"model_not_found"}}\n\n', "model_not_found"),
        (b'data: {"error":{"message":"Incorrect API key provided: sk-abc","code":null}}\n\n', "auth"),
        (b'data: {"error":{"message":"x","type":"invalid_request_error"}}\n\n', "bad_request"),
    ],
)
@pytest.mark.parametrize("ending", ["clean", "cut", "reset", "broken"])
def test_a_part_of_an_answer_is_never_done(
    rest: bytes, code: str, ending: Any, upstream: Upstream, aura: AuraServer
) -> None:
    events = ask_apart(aura, upstream, event("a"), rest, ending)
    assert [event.name for event in events] == ["token", "error"]
    allowed = {code, "interrupted"} if ending == "reset" else {code}  # RST may overtake the last bytes
    assert events[-1].data["code"] in allowed


@pytest.mark.parametrize("ending", ["cut", "reset", "broken"])
@pytest.mark.parametrize(
    "body",
    [b"", b"\n\n", b": only a comment\n\n", b"data: {", b'data: {"choices":[{"delta":{"role":"assistant"}}]}\n\n'],
)
def test_a_connection_that_breaks_after_the_head_is_interrupted(
    body: bytes, ending: Any, upstream: Upstream, aura: AuraServer
) -> None:
    upstream.queue(Reply([body, 0.05], ending=ending))  # a RST at once might overtake the head
    assert [(e.name, e.data["code"]) for e in aura.ask("it")] == [("error", "interrupted")]


@pytest.mark.parametrize("body", [b"", b"\n\n", b": only a comment\n\n", b"plain words", b"\xff\xfe\x00"])
def test_an_end_with_nothing_said_is_a_bad_response(body: bytes, upstream: Upstream, aura: AuraServer) -> None:
    upstream.queue(Reply([body]))
    events = aura.ask("it")
    assert [(e.name, e.data["code"]) for e in events] == [("error", "bad_response")]
    assert ("plain words" in events[0].data["message"]) == (body == b"plain words")


@pytest.mark.parametrize("ending", ["clean", "cut", "broken"])
@pytest.mark.parametrize(
    "body",
    [
        b"data: [DONE]\n\n",
        b"<!doctype html><title>Sign in</title>",
        b"\n\n<html>\n<a href='https://login.example/?key=1'>Sign in</a>\n</html>\n",
        b"[]",
        DEEP,
        b'{"choices":[{"message":{"content":"not a stream"},"finish_reason":"stop"}]}',
        b'{"status":"completed","type":"message","choices":[{"message":{"content":"x"}}],"error":null}',
    ],
)
def test_what_is_no_stream_is_a_bad_response(body: bytes, ending: Any, upstream: Upstream, aura: AuraServer) -> None:
    upstream.queue(Reply([body], headers={"content-type": "text/html"}, ending=ending))
    events = aura.ask("it")
    assert [(e.name, e.data["code"]) for e in events] == [("error", "bad_response")]
    assert "login" not in events[0].data["message"]


@pytest.mark.parametrize("size", [1, 9, 10_000])
def test_an_error_in_json_of_several_lines_with_status_200_is_read(
    size: int, upstream: Upstream, aura: AuraServer
) -> None:
    body = b'{\n  "error": {\n    "message": "The model `x` is busy",\n    "code": 503\n  }\n}\n'
    upstream.queue(Reply(split_at(body, range(0, len(body), size))))
    assert [e.data["code"] for e in aura.ask("it")] == ["unavailable"]


def test_after_a_finish_reason_usage_counts_and_faults_do_not(upstream: Upstream, aura: AuraServer) -> None:
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":%d}}\n\n'
    upstream.queue(Reply([event("a"), usage % 1, STOP, usage % 2, event("dropped"), b"data: oops\n\n"]))
    assert aura.ask("it") == [("token", {"content": "a"}), ("done", {"totalTokens": 5, "finishReason": "stop"})]


@pytest.mark.parametrize(
    ("usage", "total"), [('{"prompt_tokens":"3","completion_tokens":"2"}', 5), ('{"prompt_tokens":{}}', 0), ("[]", 0)]
)
def test_a_usage_of_an_odd_type_does_not_undo_an_answer(
    usage: str, total: int, upstream: Upstream, aura: AuraServer
) -> None:
    finish = b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}],"usage":%b}\n\n' % usage.encode()
    upstream.queue(Reply([finish]))
    assert aura.ask("it") == [("token", {"content": "a"}), ("done", {"totalTokens": total, "finishReason": "stop"})]


def test_the_last_event_counts_without_its_blank_line(upstream: Upstream, aura: AuraServer) -> None:
    upstream.queue(Reply([event("a"), STOP.rstrip()]))
    assert aura.ask("it")[-1].name == "done"


def test_halves_of_a_surrogate_pair_are_joined_and_a_lone_one_is_replaced(upstream: Upstream, aura: AuraServer) -> None:
    halves = [event("@").replace(b"@", half) for half in (b"x\\ud83d", b"\\ude00y", b"\\ud83d z")]
    upstream.queue(Reply([b"".join(halves), STOP]))
    assert text_of(aura.ask("it")) == "x😀y\ufffd z"


def test_a_refusal_is_text_and_a_thought_told_twice_is_told_once(upstream: Upstream, aura: AuraServer) -> None:
    both = b'data: {"choices":[{"index":0,"delta":{"reasoning":"hm","reasoning_content":"hm"}}]}\n\n'
    refusal = b'data: {"choices":[{"index":0,"delta":{"content":null,"refusal":"I will not."}}]}\n\n'
    upstream.queue(Reply([both, refusal, STOP]))
    events = aura.ask("it")
    assert text_of(events, "reasoning") == "hm"
    assert text_of(events) == "I will not."


def test_of_several_answers_the_first_is_told(upstream: Upstream, aura: AuraServer) -> None:
    chunk = b'data: {"choices":[{"index":1,"delta":{"content":"B"}},{"index":0,"delta":{"content":"A"}}]}\n\n'
    upstream.queue(Reply([chunk, STOP]))
    assert text_of(aura.ask("it")) == "A"


@pytest.mark.parametrize("finish", ["stop", None])
@pytest.mark.parametrize("ending", ["cut", "reset", "broken"])
def test_what_came_before_the_connection_broke_counts_however_late_it_is_read(
    ending: Any, finish: str | None, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [f"word{number} " for number in range(20)]
    rest = b"".join(map(event, words)) + (STOP if finish else STOP[:30])
    broken, going = asyncio.Event(), threading.Event()
    break_ = aiohttp.StreamReader.set_exception

    def tell(reader: aiohttp.StreamReader, *arguments: Any) -> None:
        break_(reader, *arguments)
        broken.set()

    monkeypatch.setattr(aiohttp.StreamReader, "set_exception", tell)

    async def ask() -> tuple[list[Token], str | None]:
        settings = OpenAISettings(base_url=upstream.url)
        async with aura_openai.open_client(settings) as client:
            answer = aura_openai.stream_chat(ChatRequest([Message("user", "Hello")], "tiny"), settings, client)
            tokens = [await anext(answer)]
            going.set()
            await asyncio.wait_for(broken.wait(), 60)
            try:
                async for token in answer:
                    tokens.append(token)  # noqa: PERF401  # what came before it raises counts
            except ProviderError as exc:
                return tokens, exc.code
            return tokens, None

    upstream.queue(Reply([event("first "), going, rest], ending=ending))
    tokens, code = asyncio.run(ask())
    assert code == (None if finish else "interrupted")
    assert "".join(token.content for token in tokens) == "first " + "".join(words)
    assert [token.finish_reason for token in tokens if token.finish_reason] == ([finish] if finish else [])


def test_a_body_whose_framing_breaks_is_cut_off_in_aiohttps_parser_in_python_too(
    upstream: Upstream, aura: AuraServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aiohttp.client_proto.HttpResponseParser", HttpResponseParserPy)
    ends = [ask_apart(aura, upstream, event("a"), rest, "broken")[-1] for rest in (b"", STOP)]
    assert [end.data.get("code") for end in ends] == ["interrupted", None]


@pytest.mark.parametrize("last", [b"<html>\n", b'{"error": {"message": "broken"}}\n'])
def test_what_shares_a_read_with_a_foreign_line_is_kept(last: bytes, upstream: Upstream, aura: AuraServer) -> None:
    upstream.queue(Reply([event("a") + event("b") + last]))
    events = aura.ask("it")
    assert (text_of(events), events[-1].name) == ("ab", "error")


def test_a_finish_reason_that_shares_a_read_with_a_foreign_line_is_the_end(
    upstream: Upstream, aura: AuraServer
) -> None:
    upstream.queue(Reply([event("a") + STOP + b"<html>\n"]))
    assert aura.ask("it") == [("token", {"content": "a"}), ("done", {"totalTokens": 0, "finishReason": "stop"})]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_an_error_that_begins_in_the_read_of_an_event_is_read_whole(
    end: bytes, upstream: Upstream, aura: AuraServer
) -> None:
    body = (event("a") + b'{"error":\n').replace(b"\n", end)
    upstream.queue(Reply([body, b'{"message": "busy", "code": 503}}']))
    events = aura.ask("it")
    assert (text_of(events), events[-1].data["code"]) == ("a", "unavailable")


def test_a_foreign_line_is_told_though_the_server_then_says_nothing(upstream: Upstream, aura: AuraServer) -> None:
    upstream.queue(Reply([event("a") + b"<html>\n"], ending="stall"))
    events = aura.ask("it")
    assert (text_of(events), events[-1].data["code"]) == ("a", "bad_response")


def test_an_error_field_of_an_old_llama_server_is_an_error(upstream: Upstream, aura: AuraServer) -> None:
    said = b'{"code":%b,"message":"%b","type":"%b"}'
    too_long = said % (b"400", b"the request exceeds the available context size", b"exceed_context_size_error")
    out = said % (b"500", b"CUDA out of memory", b"server_error")
    upstream.queue(
        Reply([b"error: " + too_long + b"\n\ndata: [DONE]\n\n"]),
        Reply([event("a"), b"error:" + out + b"\n\n", b"data: [DONE]\n\n"]),
        Reply([event("a"), b"error: " + out[:-1]], ending="cut"),
        Reply([event("a"), b"error: a field that the standard ignores\n\n", STOP]),
    )
    assert [e.data["code"] for e in aura.ask("it")] == ["context_length"]
    *_, last = aura.ask("it")
    assert (last.data["code"], "CUDA out of memory" in last.data["message"]) == ("llm_error", True)
    assert aura.ask("it")[-1].data["code"] == "interrupted"
    assert aura.ask("it")[-1].name == "done"
