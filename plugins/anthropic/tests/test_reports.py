"""What the Messages API and servers compatible with it were reported to send, and what becomes of each.

Each case names its public report, the path of its address at https://github.com; the bytes were written after it.
"""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from aura_anthropic.conformance import EVENTS, STOP, block, closed, delta, end, error, start

from aura_core.testing import AuraServer, Reply, SseEvent, Upstream, split_at
from aura_core.testing.upstream import Ending

HELLO = [start(input_tokens=10), block(), delta("Hello"), closed()]
SSE_HEAD = {"content-type": "text/event-stream; charset=utf-8"}


class Report(NamedTuple):
    """A stream, and the answer that it must become: text, then a finish reason or an error code."""

    source: str
    what: str
    body: bytes
    text: str
    last: str
    reasoning: str = ""
    tokens: int | None = None
    ending: Ending = "clean"
    pieces: int = 0


def said(*records: Any) -> bytes:
    return EVENTS.body(*records)


def piece(kind: str, **fields: Any) -> dict[str, Any]:
    """A change of a block that is neither text nor thinking."""
    return {"type": "content_block_delta", "index": 0, "delta": {"type": kind, **fields}}


def began(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": 0, "content_block": {"type": kind, **fields}}


def in_stream(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"details": None, "type": kind, "message": message}}


WHOLE = said(*HELLO, end("end_turn", output_tokens=2), STOP)
DATA_ONLY = b"\n".join(line for line in WHOLE.split(b"\n") if not line.startswith(b"event:"))
ODD_END = {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 2}}

STREAMS = [
    Report(
        "vercel/ai/pull/10653",
        "an overload is told with status 200, as the first event",
        said(in_stream("overloaded_error", "Overloaded")),
        "",
        "unavailable",
    ),
    Report(
        "anthropics/anthropic-sdk-python/issues/688",
        "an overload in the middle of the answer",
        said(*HELLO, in_stream("overloaded_error", "Overloaded")),
        "Hello",
        "unavailable",
    ),
    Report(
        "use-agent-os/agent-os/pull/2271",
        "after the error the connection closes without message_stop",
        said(*HELLO, in_stream("rate_limit_error", "Rate limited")),
        "Hello",
        "rate_limited",
        ending="cut",
    ),
    Report(
        "anthropics/anthropic-sdk-python/issues/1918",
        "an api_error in the stream, which the SDK raises with status 200",
        said(*HELLO, in_stream("api_error", "Internal server error")),
        "Hello",
        "llm_error",
    ),
    Report(
        "anthropics/claude-code/issues/58367",
        "the content filter ends an answer that has begun",
        said(*HELLO, in_stream("invalid_request_error", "Output blocked by content filtering policy")),
        "Hello",
        "content_filtered",
    ),
    Report(
        "Helicone/helicone/pull/4678",
        "the JSON of an error is padded with blanks",
        b'event: error\ndata: {"type":"error","error":{"details":null,"type":"overloaded_error",'
        b'"message":"Overloaded"}              }\n\n',
        "",
        "unavailable",
    ),
    Report(
        "lucasjinreal/Crane/pull/121",
        "an error event whose data are bare words",
        said(*HELLO) + b"event: error\ndata: the engine failed\n\n",
        "Hello",
        "llm_error",
    ),
    Report(
        "BerriAI/litellm/issues/15624",
        "the data of every event are padded with blanks",
        WHOLE.replace(b"}\n\n", b"}          \n\n"),
        "Hello",
        "stop",
        tokens=12,
    ),
    Report(
        "earendil-works/pi/issues/6567",
        "message_delta has no usage",
        said(*HELLO, end("end_turn"), STOP),
        "Hello",
        "stop",
        tokens=10,
    ),
    Report(
        "karthink/gptel/pull/1331",
        "message_delta has only output_tokens",
        said(
            start(input_tokens=9325, cache_creation_input_tokens=0, cache_read_input_tokens=0, output_tokens=2),
            *HELLO[1:],
            end("end_turn", output_tokens=76),
            STOP,
        ),
        "Hello",
        "stop",
        tokens=9401,
    ),
    Report(
        "api7/aisix/pull/712",
        "all counts come with message_delta, none with message_start",
        said(
            start(),
            *HELLO[1:],
            end("end_turn", input_tokens=30, cache_read_input_tokens=100, output_tokens=5),
            STOP,
        ),
        "Hello",
        "stop",
        tokens=135,
    ),
    Report(
        "envoyproxy/ai-gateway/pull/2239",
        "both events count the prompt; it is counted once",
        said(
            start(input_tokens=30, cache_read_input_tokens=100, output_tokens=1),
            *HELLO[1:],
            end("end_turn", input_tokens=30, cache_read_input_tokens=100, output_tokens=5),
            STOP,
        ),
        "Hello",
        "stop",
        tokens=135,
    ),
    Report(
        "farion1231/cc-switch/pull/2485",
        "a proxy that does not count says 0 at the end",
        said(*HELLO, end("end_turn", input_tokens=0, output_tokens=0), STOP),
        "Hello",
        "stop",
        tokens=10,
    ),
    Report(
        "use-agent-os/agent-os/pull/1725",
        "counts are null",
        said(
            *HELLO,
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn"},
                "usage": {"cache_read_input_tokens": None, "input_tokens": None, "output_tokens": 2},
            },
            STOP,
        ),
        "Hello",
        "stop",
        tokens=12,
    ),
    Report(
        "fumito-ito/AnthropicSwiftSDK/issues/7",
        "usage stands inside of delta",
        said(
            *HELLO,
            {"type": "message_delta", "delta": {"stop_reason": "end_turn", "usage": {"output_tokens": 15}}},
            STOP,
        ),
        "Hello",
        "stop",
        tokens=25,
    ),
    Report(
        "anthropics/anthropic-sdk-python/pull/1815",
        "message_start has no usage",
        said(start(), *HELLO[1:], end("end_turn", output_tokens=2), STOP),
        "Hello",
        "stop",
        tokens=2,
    ),
    Report(
        "use-agent-os/agent-os/pull/1854",
        "a second message_delta has no stop_reason",
        said(*HELLO, end("tool_use"), ODD_END, STOP),
        "Hello",
        "tool_calls",
        tokens=12,
    ),
    Report(
        "anthropics/claude-code/issues/16785",
        "the stop_reason of the first message_delta is null",
        said(*HELLO, end(None, output_tokens=1), end("end_turn", output_tokens=2), STOP),
        "Hello",
        "stop",
        tokens=12,
    ),
    Report(
        "brightwave-inc/tidebreak/issues/555",
        "a refusal before any text",
        said(start(input_tokens=10), end("refusal", {"type": "refusal", "category": "bio"}), STOP),
        "",
        "content_filter",
    ),
    Report(
        "anthropics/anthropic-sdk-python/pull/1469",
        "a refusal with stop_details in the middle",
        said(*HELLO, end("refusal", {"type": "refusal", "category": "cyber", "explanation": "No malware."}), STOP),
        "Hello",
        "content_filter",
    ),
    Report(
        "earendil-works/pi/issues/9681",
        "tool_use without any block",
        said(start(input_tokens=2), end("tool_use", output_tokens=3), STOP),
        "",
        "tool_calls",
        tokens=5,
    ),
    Report(
        "turnstonelabs/turnstone/issues/1162",
        "the context is full",
        said(*HELLO, end("model_context_window_exceeded"), STOP),
        "Hello",
        "length",
    ),
    Report(
        "nugget/thane-ai-agent/pull/809",
        "a turn that the server paused",
        said(*HELLO, end("pause_turn"), STOP),
        "Hello",
        "stop",
    ),
    Report(
        "invergent-ai/surogate/issues/133",
        "a stop sequence",
        said(
            *HELLO,
            {"type": "message_delta", "delta": {"stop_reason": "stop_sequence", "stop_sequence": "###"}},
            STOP,
        ),
        "Hello",
        "stop",
    ),
    Report(
        "Wei-Shaw/sub2api/issues/4141",
        "an answer that was cut at max_tokens",
        said(*HELLO, end("max_tokens"), STOP),
        "Hello",
        "length",
    ),
    Report(
        "LiveBench/LiveBench/pull/425",
        "a thought and no text, since max_tokens was used up",
        said(start(), block("thinking"), delta("Hm", "thinking"), closed(), end("max_tokens"), STOP),
        "",
        "length",
        reasoning="Hm",
    ),
    Report(
        "tombii/better-ccflare/pull/307",
        "message_stop never comes, and the stream ends",
        said(*HELLO, end("end_turn")),
        "Hello",
        "stop",
    ),
    Report(
        "tombii/better-ccflare/pull/307",
        "message_stop never comes, and the connection breaks",
        said(*HELLO, end("end_turn")),
        "Hello",
        "stop",
        ending="cut",
    ),
    Report(
        "router-for-me/CLIProxyAPI/issues/3996",
        "the stream ends in the middle",
        said(*HELLO),
        "Hello",
        "interrupted",
    ),
    Report(
        "router-for-me/CLIProxyAPI/pull/5096",
        "a proxy hides that the stream ended by a message_stop of its own",
        said(*HELLO, STOP),
        "Hello",
        "interrupted",
    ),
    Report(
        "ding113/claude-code-hub/issues/916",
        "the connection closes in the middle of an event",
        said(*HELLO) + b'event: content_block_delta\ndata: {"type":"content_block_delta","del',
        "Hello",
        "interrupted",
        ending="cut",
    ),
    Report(
        "anthropics/claude-code/issues/83183",
        "the chunked framing breaks",
        said(*HELLO),
        "Hello",
        "interrupted",
        ending="broken",
    ),
    Report(
        "earendil-works/pi/issues/4381",
        "a gateway sends no event lines",
        DATA_ONLY,
        "Hello",
        "stop",
        tokens=12,
    ),
    Report(
        "SamSaffron/term-llm/pull/487",
        "no space behind the colons",
        WHOLE.replace(b"event: ", b"event:").replace(b"data: ", b"data:"),
        "Hello",
        "stop",
    ),
    Report(
        "praxis-proxy/praxis/pull/739",
        "CRLF, and characters that the network cuts",
        said(start(), block(), delta("né 😀"), closed(), end("end_turn"), STOP).replace(b"\n", b"\r\n"),
        "né 😀",
        "stop",
        pieces=1,
    ),
    Report(
        "praxis-proxy/praxis/pull/739",
        "[DONE] as in OpenAI's protocol, after the end",
        said(*HELLO, end("end_turn"), STOP) + b"data: [DONE]\n\n",
        "Hello",
        "stop",
    ),
    Report(
        "profullstack/sh1pt/issues/705",
        "the data of an event in several lines",
        WHOLE.replace(b'"index": 0, "delta"', b'"index": 0,\ndata: "delta"').replace(
            b'"index":0,"delta"', b'"index":0,\ndata: "delta"'
        ),
        "Hello",
        "stop",
    ),
    Report(
        "anthropics/anthropic-sdk-typescript/pull/903",
        "an event without data",
        said(*HELLO) + b"event: content_block_delta\n\n" + said(end("end_turn"), STOP),
        "Hello",
        "stop",
    ),
    Report(
        "caozhiyuan/copilot-api/pull/88",
        "a ping with empty data",
        b"event: ping\ndata: \n\n" + WHOLE,
        "Hello",
        "stop",
    ),
    Report(
        "modelcontextprotocol/typescript-sdk/pull/1926",
        "line separators inside of a string",
        said(start(), block(), delta("a\u2028b\u2029c\u0085d"), closed(), end("end_turn"), STOP),
        "a\u2028b\u2029c\u0085d",
        "stop",
    ),
    Report(
        "janfeddersen-wq/serdesAI/pull/48",
        "broken JSON in the middle",
        said(*HELLO) + b"event: content_block_delta\ndata: {oops\n\n" + said(end("end_turn"), STOP),
        "Hello",
        "bad_response",
    ),
    Report(
        "janfeddersen-wq/serdesAI/pull/48",
        "bytes that are not UTF-8",
        said(*HELLO) + b'data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"\xff"}}\n\n',
        "Hello",
        "bad_response",
    ),
    Report(
        "0xPlaygrounds/rig/pull/928",
        "a thought, its signature, then the text",
        said(
            start(),
            block("thinking"),
            delta("Hm.", "thinking"),
            piece("signature_delta", signature="EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pk="),
            closed(),
            *HELLO[1:],
            end("end_turn"),
            STOP,
        ),
        "Hello",
        "stop",
        reasoning="Hm.",
    ),
    Report(
        "openai/openai-agents-python/pull/4175",
        "thoughts with a hidden one between them",
        said(
            start(),
            block("thinking"),
            delta("alpha", "thinking"),
            closed(),
            began("redacted_thinking", data="EmwKAhgBEgy3va3pzix"),
            closed(),
            block("thinking"),
            delta("beta", "thinking"),
            closed(),
            *HELLO[1:],
            end("end_turn"),
            STOP,
        ),
        "Hello",
        "stop",
        reasoning="alphabeta",
    ),
    Report(
        "openclaw/openclaw/pull/65288",
        "events and blocks that nobody knows yet, with digits in their names",
        said(
            {"type": "context_edit_20270101", "text": "hidden"},
            start(),
            began("tool_result_20270101", text="hidden"),
            piece("tool_result_20270101_delta", text="hidden"),
            *HELLO[1:],
            end("end_turn"),
            STOP,
        ),
        "Hello",
        "stop",
    ),
    Report(
        "openclaw/openclaw/pull/65288",
        "a compaction's summary is not a part of the answer",
        said(
            start(),
            began("compaction", content=""),
            piece("compaction_delta", content="The user asked for"),
            closed(),
            *HELLO[1:],
            end("end_turn"),
            STOP,
        ),
        "Hello",
        "stop",
    ),
    Report(
        "UKGovernmentBEIS/inspect_ai/pull/5061",
        "a compaction's content and text are null",
        said(start(), piece("compaction_delta", content=None, text=None), *HELLO[1:], end("end_turn"), STOP),
        "Hello",
        "stop",
    ),
    Report(
        "BerriAI/litellm/pull/38153",
        "the text of a block stands in its first event",
        said(start(), began("text", text="Hello"), closed(), end("end_turn"), STOP),
        "Hello",
        "stop",
    ),
    Report(
        "kekzl/imp/issues/1555",
        "a compatible server gives thoughts no signature",
        said(start(), block("thinking"), delta("Hm", "thinking"), closed(), *HELLO[1:], end("end_turn"), STOP),
        "Hello",
        "stop",
        reasoning="Hm",
    ),
    Report(
        "Alishahryar1/free-claude-code/pull/486",
        "a server ignores stream, and answers with a message in JSON",
        b'{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"text","text":"Hello"}],'
        b'"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}',
        "",
        "bad_response",
    ),
    Report(
        "agentgateway/agentgateway/pull/1108",
        "a gateway speaks OpenAI's protocol at this address",
        b'data: {"choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}\n\ndata: [DONE]\n\n',
        "",
        "bad_response",
    ),
]


class Refusal(NamedTuple):
    """A response that is an error, its code, and words that its message must have."""

    source: str
    status: int
    body: bytes
    code: str
    words: str = ""
    headers: dict[str, str] = {}
    wait: float | None = None


def body(kind: str, message: str) -> bytes:
    return json.dumps(error(kind, message)).encode()


INVALID = "invalid_request_error"
PER_MINUTE = (
    "This request would exceed the rate limit for your organization of 20,000 input tokens per minute. For details,"
    " refer to: https://docs.anthropic.com/en/api/rate-limits. You can see the response headers for current usage."
    " Please reduce the prompt length or the maximum tokens requested, or try again later. You may also contact sales"
    " at https://www.anthropic.com/contact-sales to discuss your options for a rate limit increase."
)
PAGE = (
    b'<!DOCTYPE html>\n<!--[if lt IE 7]> <html class="no-js ie6 oldie" lang="en-US"> <![endif]-->\n<head>\n'
    b"<title>api.anthropic.com | 520: Web server is returning an unknown error</title></head><body>[...]</body></html>"
)

REFUSALS = [
    Refusal(
        "docker/docker-agent/issues/569",
        400,
        body(
            INVALID,
            "input length and `max_tokens` exceed context limit: 178959 + 64000 > 200000, decrease input length or"
            " `max_tokens` and try again",
        ),
        "context_length",
    ),
    Refusal(
        "anymorph-ai/Claudable/issues/3",
        400,
        body(
            INVALID,
            "input length and max_tokens exceed context limit: 198981 + 21333 > 200000, decrease input length or"
            " max_tokens and try again",
        ),
        "context_length",
    ),
    Refusal(
        "anthropics/claude-code/issues/6380",
        413,
        body(INVALID, "Request size exceeds model context window"),
        "context_length",
    ),
    Refusal(
        "anthropics/anthropic-sdk-python/issues/938",
        413,
        b'{"error":{"type":"request_too_large","message":"Request exceeds the maximum size"}}',
        "context_length",
    ),
    Refusal(
        "anthropics/claude-code/issues/2127",
        400,
        body(
            INVALID,
            "You have reached your specified API usage limits. You will regain access on 2025-07-01 at 00:00 UTC.",
        ),
        "quota_exceeded",
    ),
    Refusal(
        "anthropics/claude-code/issues/44863",
        429,
        body("rate_limit_error", "Extra usage is required for long context requests."),
        "quota_exceeded",
    ),
    Refusal(
        "anthropics/claude-code/issues/64982",
        429,
        body("rate_limit_error", "Usage credits are required for long context requests."),
        "quota_exceeded",
    ),
    Refusal(
        "Trae-AI/TRAE/issues/625",
        429,
        body("rate_limit_error", PER_MINUTE),
        "rate_limited",
        headers={"retry-after": "17", "anthropic-ratelimit-requests-remaining": "0"},
        wait=17,
    ),
    Refusal(
        "anthropics/claude-code/issues/71669",
        429,
        body("rate_limit_error", "This request would exceed your account's rate limit. Please try again later."),
        "rate_limited",
    ),
    Refusal(
        "anthropics/claude-code/issues/65714",
        403,
        body("permission_error", "OAuth authentication is currently not allowed for this organization."),
        "auth",
        "MY_KEY",
    ),
    Refusal(
        "anthropics/claude-code/issues/6752",
        401,
        body("authentication_error", "OAuth authentication is currently not allowed for this organization."),
        "auth",
    ),
    Refusal("BerriAI/litellm/pull/21039", 401, body("authentication_error", "invalid x-api-key"), "auth", "MY_KEY"),
    Refusal(
        "can1357/oh-my-pi/issues/29",
        403,
        body("permission_error", "OAuth token does not meet scope requirement any_of(user:inference, user:voice)"),
        "auth",
    ),
    Refusal("anthropics/claude-code/issues/60648", 400, body(INVALID, "This organization has been disabled."), "auth"),
    Refusal("gptme/gptme/issues/345", 529, body("overloaded_error", "Overloaded"), "unavailable"),
    Refusal("anthropics/claude-code/issues/70348", 500, body("api_error", "Internal server error"), "unavailable"),
    Refusal("anthropics/claude-code/issues/3197", 520, PAGE, "unavailable"),
    Refusal("anthropics/claude-code/issues/5349", 404, body("not_found_error", "model: sonnet4"), "model_not_found"),
    Refusal(
        "anthropics/claude-code/issues/68120",
        404,
        body("not_found_error", "Claude Fable 5 is not available. Please use Opus 4.8."),
        "model_not_found",
    ),
    Refusal(
        "lbjlaq/Antigravity-Manager/issues/1692",
        404,
        b"404 page not found",
        "bad_request",
        "is base_url right?",
    ),
    Refusal(
        "anthropics/claude-code/issues/37547",
        400,
        body(INVALID, "Output blocked by content filtering policy"),
        "content_filtered",
    ),
    Refusal(
        "anomalyco/opencode/issues/2055",
        400,
        body(INVALID, "max_tokens: 48000 > 32000, which is the maximum allowed number of output tokens for sonnet4"),
        "bad_request",
        "Lower the agent's max_tokens",
    ),
    Refusal(
        "themaximalist/llm.js/issues/30",
        400,
        body(INVALID, "`max_tokens` must be greater than `thinking.budget_tokens`."),
        "bad_request",
        "above its thinking budget",
    ),
    Refusal(
        "router-for-me/CLIProxyAPI/issues/193",
        400,
        body(INVALID, "`temperature` and `top_p` cannot both be specified for this model. Please use only one."),
        "bad_request",
        "Leave temperature out",
    ),
    Refusal(
        "agentjido/req_llm/issues/351",
        410,
        b'{"code":"gone","error":"The Messages endpoint was removed."}',
        "bad_request",
    ),
]


@pytest.fixture(scope="module")
def aura(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuraServer]:
    toml = f'[providers.local]\nplugin = "anthropic"\nbase_url = "{upstream.url}"\napi_key_env = "MY_KEY"\n'
    agent = "---\nprovider: local\nmodel: sonnet4\n---\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MY_KEY", "sk-ant-api03-0123456789")
        with AuraServer(tmp_path_factory.mktemp("aura"), {"it.md": agent}, toml + "[server]\nretries = 0\n") as aura:
            yield aura


def text_of(events: list[SseEvent], name: str) -> str:
    return "".join(event.data["content"] for event in events if event.name == name)


@pytest.mark.parametrize("report", STREAMS, ids=[f"{r.source}: {r.what}".replace("/", "-") for r in STREAMS])
def test_a_stream_that_was_reported(report: Report, upstream: Upstream, aura: AuraServer) -> None:
    parts = split_at(report.body, range(0, len(report.body), report.pieces)) if report.pieces else [report.body]
    upstream.queue(Reply(parts, headers=SSE_HEAD, ending=report.ending))
    *events, last = aura.ask("it")
    assert (text_of(events, "token"), text_of(events, "reasoning")) == (report.text, report.reasoning)
    assert last.data.get("finishReason", last.data.get("code")) == report.last, last
    if report.tokens is not None:
        assert last.data["totalTokens"] == report.tokens


@pytest.mark.parametrize("refusal", REFUSALS, ids=[r.source.replace("/", "-") for r in REFUSALS])
def test_an_error_that_was_reported(refusal: Refusal, upstream: Upstream, aura: AuraServer) -> None:
    headers = {"content-type": "application/json", "request-id": "req_1", **refusal.headers}
    upstream.queue(Reply([refusal.body], refusal.status, headers))
    (last,) = aura.ask("it")
    assert last.data["code"] == refusal.code, last
    assert refusal.words in last.data["message"]
    assert "<" not in last.data["message"]
    assert last.data.get("retryAfter") == refusal.wait


def test_there_are_forty_reports_and_more_each_with_its_link() -> None:
    assert len({(report.source, report.what) for report in STREAMS}) == len(STREAMS) >= 40
    assert len({refusal.source for refusal in REFUSALS}) == len(REFUSALS) >= 20
    for report in (*STREAMS, *REFUSALS):
        owner, repository, kind, number = report.source.split("/")
        assert owner, report
        assert repository, report
        assert kind in ("issues", "pull"), report
        assert number.isdecimal(), report


def test_messages_without_text_are_left_out(upstream: Upstream, aura: AuraServer) -> None:
    """https://github.com/block/buzz/pull/559: after an answer without text every later request of its conversation
    failed; https://github.com/anthropics/claude-code/issues/23369: blanks are refused, too."""
    upstream.queue(Reply([WHOLE], headers=SSE_HEAD))
    history = [
        {"role": "user", "content": "One"},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": "Two"},
        {"role": "assistant", "content": " \n"},
    ]
    assert aura.ask("it", "Three", conversationHistory=history)[-1].name == "done"
    sent = upstream.requests[-1].json()["messages"]
    assert sent == [{"role": "user", "content": text} for text in ("One", "Two", "Three")]
