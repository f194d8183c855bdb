"""Every recording of an Ollama server gives exactly its text, reasoning, finish, usage or error code."""

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import aura_ollama
import pytest
from aura_ollama.settings import OllamaSettings
from recorded import Recording, ask_apart, recordings

from aura_core import ChatRequest, Message, ProviderError, Token
from aura_core.testing import AuraServer, Reply, Upstream, split_at

RECORDINGS = recordings(Path(__file__).parent / "recordings")
DEEP = b"[" * 100_000 + b"]" * 100_000
HELLO = b'{"message":{"content":"a"}}\n'
AGENT = "---\nprovider: ollama\nmodel: tiny\n---\n"


@pytest.fixture(scope="module")
def aura(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuraServer]:
    toml = f'[providers.ollama]\nbase_url = "{upstream.url}"\n[server]\nretries = 0\nidle_timeout = 6\n'
    with AuraServer(tmp_path_factory.mktemp("aura"), {"it.md": AGENT}, toml) as aura:
        yield aura


@pytest.mark.parametrize("hostile", [False, True], ids=["as-recorded", "in-small-pieces"])
@pytest.mark.parametrize("recording", RECORDINGS, ids=str)
def test_recording(recording: Recording, hostile: bool, upstream: Upstream, aura: AuraServer) -> None:
    upstream.queue(recording.reply(hostile))
    recording.check(aura.ask("it"))


@pytest.mark.parametrize(("mebibytes", "last"), [(1, "done"), (9, "error")])
def test_a_line_may_be_long_but_not_endless(mebibytes: int, last: str, upstream: Upstream, aura: AuraServer) -> None:
    text = "x" * (mebibytes * 1024 * 1024)
    body = json.dumps({"message": {"content": text}}).encode() + b'\n{"done":true,"done_reason":"stop"}\n'
    upstream.queue(Reply(split_at(body, range(0, len(body), 65536))))
    events = aura.ask("it")
    assert events[-1].name == last
    if last == "done":
        assert "".join(event.data["content"] for event in events[:-1]) == text
    else:
        assert events == [events[-1]]
        assert events[-1].data["code"] == "bad_response"


@pytest.mark.parametrize("separator", ["\u2028", "\u0085", "\r"])
def test_separators_inside_a_string_are_text(separator: str, upstream: Upstream, aura: AuraServer) -> None:
    text = f"a{separator}b"
    body = json.dumps({"message": {"content": text}, "done": True}, ensure_ascii=False).encode() + b"\n"
    upstream.queue(Reply([body]))
    assert aura.ask("it")[0].data["content"] == text


def test_halves_of_a_surrogate_pair_are_joined_and_a_lone_one_is_replaced(upstream: Upstream, aura: AuraServer) -> None:
    lines = [
        b'{"message":{"content":"a\\ud83d"}}',
        b'{"message":{"content":"\\ude00b"}}',
        b'{"message":{"content":"\\ud83d c"}}',
    ]
    upstream.queue(Reply([b"\n".join([*lines, b'{"done":true}'])]))
    events = aura.ask("it")
    assert [event.data.get("content") for event in events] == ["a", "😀b", "\ufffd c", None]
    assert events[-1].name == "done"


@pytest.mark.parametrize(
    ("rest", "code"),
    [
        (b"", "interrupted"),
        (b'{"message":{"cont', "interrupted"),
        (b'{"message":{"content":"\xf0\x9f', "interrupted"),
        (b'{"done":tr', "interrupted"),
        (b'{"error":"boom"}\n', "llm_error"),
        (b'{"error":"boom"}', "llm_error"),
        (b"nonsense\n", "bad_response"),
        (b'{"message":{"content":"\xff"}}\n', "bad_response"),
        (b'{"message":{"content":"\xff"}}', "bad_response"),
        (b'{"deep":%b}\n' % DEEP, "bad_response"),
        (b'{"deep":%b}' % DEEP, "bad_response"),
    ],
)
@pytest.mark.parametrize("ending", ["clean", "broken"])
def test_a_part_of_an_answer_is_never_done(
    ending: Any, rest: bytes, code: str, upstream: Upstream, aura: AuraServer
) -> None:
    said = ask_apart(aura, upstream, HELLO, rest, ending)
    assert [event.name for event in said] == ["token", "error"]
    assert said[-1].data["code"] == code


@pytest.mark.parametrize("ending", ["clean", "cut", "broken"])
def test_the_last_line_counts_without_its_line_end(ending: Any, upstream: Upstream, aura: AuraServer) -> None:
    rest = b'{"done":true,"done_reason":"stop","prompt_eval_count":2,"eval_count":1}'
    said = ask_apart(aura, upstream, HELLO, rest, ending)
    assert said[1:] == [("done", {"totalTokens": 3, "finishReason": "stop"})]


@pytest.mark.parametrize("counts", ['"prompt_eval_count":null,"eval_count":null', '"prompt_eval_count":"x"'])
def test_counts_of_an_odd_type_do_not_undo_an_answer(counts: str, upstream: Upstream, aura: AuraServer) -> None:
    body = HELLO + b'{"done":true,"done_reason":"stop",%b}\n' % counts.encode()
    upstream.queue(Reply([body]))
    assert aura.ask("it")[1:] == [("done", {"totalTokens": 0, "finishReason": "stop"})]


def test_an_error_too_deep_to_be_read_has_its_status(upstream: Upstream, aura: AuraServer) -> None:
    upstream.queue(Reply([b'{"error":%b}' % DEEP], 400))
    assert [(e.name, e.data["code"]) for e in aura.ask("it")] == [("error", "bad_request")]


def test_a_list_of_models_too_deep_to_be_read_is_a_bad_response() -> None:
    async def ask(url: str) -> None:
        async with aura_ollama.open_client(OllamaSettings(base_url=url)) as client:
            await aura_ollama.list_models(client)

    with Upstream(Reply([b'{"models":%b}' % DEEP])) as upstream, pytest.raises(ProviderError) as caught:
        asyncio.run(ask(upstream.url))
    assert caught.value.code == "bad_response"


def test_an_empty_answer_is_a_bad_response(upstream: Upstream, aura: AuraServer) -> None:
    upstream.queue(Reply())
    assert [(e.name, e.data["code"]) for e in aura.ask("it")] == [("error", "bad_response")]


@pytest.mark.parametrize("ending", ["cut", "reset", "broken"])
@pytest.mark.parametrize("body", [b"", b"\n", b'{"message":{"con', b'{"message":{"role":"assistant","content":""}}\n'])
def test_a_connection_that_breaks_after_the_head_is_interrupted(
    body: bytes, ending: Any, upstream: Upstream, aura: AuraServer
) -> None:
    upstream.queue(Reply([body, 0.05], ending=ending))
    assert [(e.name, e.data["code"]) for e in aura.ask("it")] == [("error", "interrupted")]


@pytest.mark.parametrize("finish", ["stop", None])
@pytest.mark.parametrize("ending", ["cut", "reset", "broken"])
def test_what_came_before_the_connection_broke_counts_however_late_it_is_read(
    ending: Any, finish: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [f"word{number} " for number in range(20)]
    lines = b"".join(b'{"message":{"content":"%b"}}\n' % word.encode() for word in words)
    end = b'{"message":{"content":""},"done":true,"done_reason":"stop"}\n' if finish else b'{"message":{"con'
    broken, going = asyncio.Event(), threading.Event()
    break_ = aiohttp.StreamReader.set_exception

    def tell(reader: aiohttp.StreamReader, *arguments: Any) -> None:
        break_(reader, *arguments)
        broken.set()

    monkeypatch.setattr(aiohttp.StreamReader, "set_exception", tell)

    async def ask(url: str) -> tuple[list[Token], str | None]:
        settings = OllamaSettings(base_url=url)
        async with aura_ollama.open_client(settings) as client:
            answer = aura_ollama.stream_chat(ChatRequest([Message("user", "Hello")], "tiny"), client)
            tokens = [await anext(answer)]
            going.set()
            await asyncio.wait_for(broken.wait(), 60)
            try:
                async for token in answer:
                    tokens.append(token)  # noqa: PERF401  # what came before it raises counts
            except ProviderError as exc:
                return tokens, exc.code
            return tokens, None

    with Upstream(Reply([b'{"message":{"content":"first "}}\n', going, lines + end], ending=ending)) as upstream:
        tokens, code = asyncio.run(ask(upstream.url))
    assert code == (None if finish else "interrupted")
    assert "".join(token.content for token in tokens) == "first " + "".join(words)
    assert tokens[-1].finish_reason == finish
