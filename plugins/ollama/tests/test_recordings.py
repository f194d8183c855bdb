"""Every recording of an Ollama server gives exactly its text, reasoning, finish, usage or error code."""

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import aiohttp
import aura_ollama
import pytest
from aura_ollama.settings import OllamaSettings

from aura_core import ChatRequest, Message, ProviderError, Token
from aura_core.testing import AuraServer, Reply, Upstream, split_at

FOLDER = Path(__file__).parent / "recordings"
RECORDINGS: list[dict[str, Any]] = json.loads((FOLDER / "index.json").read_text(encoding="utf-8"))["recordings"]
DEEP = b"[" * 100_000 + b"]" * 100_000
AGENT = "---\nprovider: ollama\nmodel: tiny\n---\n"


def _serve(tmp_path: Path, upstream: Upstream) -> AuraServer:
    return AuraServer(
        tmp_path, {"it.md": AGENT}, f'[providers.ollama]\nbase_url = "{upstream.url}"\n[server]\nretries = 0'
    )


@pytest.mark.parametrize("hostile", [False, True], ids=["as-recorded", "in-small-pieces"])
@pytest.mark.parametrize("recording", RECORDINGS, ids=[r["name"] for r in RECORDINGS])
def test_recording(recording: dict[str, Any], hostile: bool, tmp_path: Path) -> None:
    body = (FOLDER / recording["file"]).read_bytes()
    expected = recording["expect"]
    splits = range(0, len(body), 1 + len(body) // 200) if hostile else recording["split"]
    reply = Reply(split_at(body, splits), recording["status"], recording["headers"])
    with Upstream(reply) as upstream, _serve(tmp_path, upstream) as aura:
        events = aura.ask("it")
    tokens = [event.data["content"] for event in events if event.name == "token"]
    reasoning = "".join(event.data["content"] for event in events if event.name == "reasoning")
    last = events[-1]
    if expected["error"]:
        assert tokens == []
        assert last.name == "error"
        assert last.data["code"] == expected["error"]
        assert "<" not in last.data["message"]
        return
    assert tokens == expected["tokens"]
    assert reasoning == (expected["thinking"] or "")
    assert last.name == "done"
    assert last.data == {
        "totalTokens": expected["usage"]["total"] or 0,
        "finishReason": expected["finish_reason"],
    }


@pytest.mark.parametrize(("mebibytes", "last"), [(1, "done"), (9, "error")])
def test_a_line_may_be_long_but_not_endless(mebibytes: int, last: str, tmp_path: Path) -> None:
    text = "x" * (mebibytes * 1024 * 1024)
    body = json.dumps({"message": {"content": text}}).encode() + b'\n{"done":true,"done_reason":"stop"}\n'
    with Upstream(Reply(split_at(body, range(0, len(body), 65536)))) as upstream, _serve(tmp_path, upstream) as aura:
        events = aura.ask("it")
    assert events[-1].name == last
    if last == "done":
        assert "".join(event.data["content"] for event in events[:-1]) == text
    else:
        assert events == [events[-1]]
        assert events[-1].data["code"] == "bad_response"


@pytest.mark.parametrize("separator", ["\u2028", "\u0085", "\r"])
def test_separators_inside_a_string_are_text(separator: str, tmp_path: Path) -> None:
    text = f"a{separator}b"
    body = json.dumps({"message": {"content": text}, "done": True}, ensure_ascii=False).encode() + b"\n"
    with Upstream(Reply([body])) as upstream, _serve(tmp_path, upstream) as aura:
        assert aura.ask("it")[0].data["content"] == text


def test_halves_of_a_surrogate_pair_are_joined_and_a_lone_one_is_replaced(tmp_path: Path) -> None:
    lines = [
        b'{"message":{"content":"a\\ud83d"}}',
        b'{"message":{"content":"\\ude00b"}}',
        b'{"message":{"content":"\\ud83d c"}}',
    ]
    with Upstream(Reply([b"\n".join([*lines, b'{"done":true}'])])) as upstream, _serve(tmp_path, upstream) as aura:
        events = aura.ask("it")
    assert [event.data.get("content") for event in events] == ["a", "😀b", "\ufffd c", None]
    assert events[-1].name == "done"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"message":{"content":"a"}}\n', "interrupted"),
        (b'{"message":{"content":"a"}}\n{"message":{"cont', "interrupted"),
        (b'{"message":{"content":"a"}}\n{"error":"boom"}\n', "llm_error"),
        (b'{"message":{"content":"a"}}\nnonsense\n', "bad_response"),
        (b'{"message":{"content":"a"}}\n{"message":{"content":"\xff"}}\n', "bad_response"),
        (b'{"message":{"content":"a"}}\n{"message":{"content":"\xff"}}', "bad_response"),
        (b'{"message":{"content":"a"}}\n{"deep":%b}\n' % DEEP, "bad_response"),
        (b'{"message":{"content":"a"}}\n{"deep":%b}' % DEEP, "bad_response"),
    ],
)
def test_a_part_of_an_answer_is_never_done(body: bytes, code: str, tmp_path: Path) -> None:
    with Upstream(Reply([body])) as upstream, _serve(tmp_path, upstream) as aura:
        events = aura.ask("it")
    assert [event.name for event in events] == ["token", "error"]
    assert events[-1].data["code"] == code


def test_an_error_too_deep_to_be_read_has_its_status(tmp_path: Path) -> None:
    with Upstream(Reply([b'{"error":%b}' % DEEP], 400)) as upstream, _serve(tmp_path, upstream) as aura:
        assert [(e.name, e.data["code"]) for e in aura.ask("it")] == [("error", "bad_request")]


def test_a_list_of_models_too_deep_to_be_read_is_a_bad_response() -> None:
    async def ask(url: str) -> None:
        async with aura_ollama.open_client(OllamaSettings(base_url=url)) as client:
            await aura_ollama.list_models(client)

    with Upstream(Reply([b'{"models":%b}' % DEEP])) as upstream, pytest.raises(ProviderError) as caught:
        asyncio.run(ask(upstream.url))
    assert caught.value.code == "bad_response"


def test_an_empty_answer_is_a_bad_response(tmp_path: Path) -> None:
    with Upstream(Reply()) as upstream, _serve(tmp_path, upstream) as aura:
        assert [(e.name, e.data["code"]) for e in aura.ask("it")] == [("error", "bad_response")]


@pytest.mark.parametrize("finish", ["stop", None])
@pytest.mark.parametrize("ending", ["cut", "reset"])
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

    async def ask(url: str) -> list[Token]:
        settings = OllamaSettings(base_url=url)
        async with aura_ollama.open_client(settings) as client:
            answer = aura_ollama.stream_chat(ChatRequest([Message("user", "Hello")], "tiny"), client)
            tokens = [await anext(answer)]
            going.set()
            await asyncio.wait_for(broken.wait(), 60)
            return [*tokens, *[token async for token in answer]]

    with Upstream(Reply([b'{"message":{"content":"first "}}\n', going, lines + end], ending=ending)) as upstream:
        tokens = asyncio.run(ask(upstream.url))
    assert "".join(token.content for token in tokens) == "first " + "".join(words)
    assert tokens[-1].finish_reason == finish
