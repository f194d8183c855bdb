"""The stream is byte for byte what docs/http-api.md promises."""

import json
import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

import httpx
import pytest

from aura_core.door import system_prompt
from aura_core.testing import AuraServer

BLOCK = b""": ok

event: token
data: {"content": "Hello"}

event: token
data: {"content": " world"}

event: done
data: {"totalTokens": 9, "finishReason": "stop"}

"""


def test_an_empty_folder_serves_the_documented_block(tmp_path: Path) -> None:
    environ = os.environ | {"AURA_PLUGINS": "echo"}
    command = [sys.executable, "-m", "aura_core", "serve", "--port", "0"]
    with subprocess.Popen(command, cwd=tmp_path, env=environ, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        address = re.search(r"http://\S+", process.stderr.readline())
        assert address is not None
        curl = ["curl", "-sN", "-H", "Content-Type: application/json", "-d", '{"prompt": "Hello world"}']
        got = subprocess.run(
            [*curl, f"{address[0]}/api/agents/assistant/chat/stream"], capture_output=True, check=True
        ).stdout
        process.terminate()
    assert got == BLOCK
    assert process.returncode == 0


def test_headers(tmp_path: Path) -> None:
    with AuraServer(tmp_path) as aura:
        response = aura.post("assistant", "Hello world")
    assert response.content == BLOCK
    headers = dict(response.headers)
    identity = headers.pop("x-request-id")
    assert identity == str(uuid.UUID(identity, version=4))
    headers.pop("date")
    assert headers == {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-store, no-transform",
        "x-accel-buffering": "no",
        "aura-heartbeat": "15",
        "x-content-type-options": "nosniff",
        "transfer-encoding": "chunked",
    }


def test_a_valid_request_id_is_kept(tmp_path: Path) -> None:
    with AuraServer(tmp_path) as aura:
        for given, kept in (("my-id.1", True), ("x" * 65, False), ("<b>", False)):
            answer = httpx.get(f"{aura.url}/health", headers={"x-request-id": given}, trust_env=False)
            assert (answer.headers["x-request-id"] == given) is kept


ECHO = "---\nprovider: echo\noptions: {}\n---\n"


def _echo(**options: object) -> str:
    return f"---\nprovider: echo\noptions: {json.dumps(options)}\n---\n"


def test_an_error_replaces_done(tmp_path: Path) -> None:
    agents = {
        "fails.md": _echo(text="one two", fail_after=1, code="rate_limited", retry_after=2.5),
        "plain.md": _echo(fail_after=0),
    }
    with AuraServer(tmp_path, agents) as aura:
        assert aura.post("fails").content == (
            b": ok\n\n"
            b'event: token\ndata: {"content": "one"}\n\n'
            b'event: error\ndata: {"message": "The agent\'s options request this failure.", '
            b'"code": "rate_limited", "retryAfter": 2.5}\n\n'
        )
        assert aura.post("plain").content.endswith(b'"code": "llm_error"}\n\n')


def test_reasoning_is_a_separate_event(tmp_path: Path) -> None:
    with AuraServer(tmp_path, {"a.md": _echo(reasoning="let me think", text="42")}) as aura:
        events = aura.ask("a")
    assert [(e.name, e.data.get("content")) for e in events[:-1]] == [
        ("reasoning", "let"),
        ("reasoning", " me"),
        ("reasoning", " think"),
        ("token", "42"),
    ]


@pytest.mark.parametrize("text", ["grüße 😀 日本語 \u2028 \u0085 \x00 \x1b", 'quo"te \\ back', " lead and trail \n\n"])
def test_text_arrives_unchanged(text: str, tmp_path: Path) -> None:
    with AuraServer(tmp_path) as aura:
        response = aura.post("assistant", text)
    assert "\r" not in response.text
    tokens = [
        json.loads(line[6:])["content"] for line in response.text.split("\n") if line.startswith('data: {"content"')
    ]
    assert "".join(tokens) == text
    assert "\\u" not in response.text.replace("\\u0000", "").replace("\\u001b", "")


def test_the_prompt_the_history_and_the_context_reach_the_provider(tmp_path: Path, fake_plugin: object) -> None:
    fake_plugin(  # type: ignore[operator]
        "mirror",
        """
import msgspec
from aura_core import Token, hookimpl

@hookimpl
async def stream_chat(request):
    assert set(request.headers) == {"x-request-id"}
    asked = msgspec.structs.replace(request, headers={})
    yield Token(msgspec.json.encode(asked).decode(), finish_reason="stop")
""",
    )
    agents = {
        "m.md": "---\nprovider: mirror\nmodel: x\ntemperature: 0.5\nmax_tokens: 7\n---\nBe kind.\n",
        "bare.md": "---\nprovider: mirror\n---\n",
    }
    history = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    with AuraServer(tmp_path, agents) as aura:
        full = json.loads(aura.ask("M", "c", conversationHistory=history, additionalContext="ctx")[0].data["content"])
        blank = aura.ask("m", "c", additionalContext=" \n")[0].data["content"]
        none = aura.ask("m", "c")[0].data["content"]
        bare = json.loads(aura.ask("bare", "c")[0].data["content"])
    assert full == {
        "messages": [
            {"role": "system", "content": "Be kind.\n\nAdditional context:\nctx"},
            *history,
            {"role": "user", "content": "c"},
        ],
        "model": "x",
        "temperature": 0.5,
        "max_tokens": 7,
        "options": {},
        "headers": {},
    }
    assert blank == none
    assert bare["messages"] == [{"role": "user", "content": "c"}]
    assert bare["model"] == ""
    assert bare["temperature"] is None


def test_context_alone_makes_a_system_message_without_a_prompt() -> None:
    assert system_prompt("", "ctx") == "\n\nAdditional context:\nctx"
    assert system_prompt(" \n", "") == ""


def test_the_whole_answer_in_one_piece(tmp_path: Path) -> None:
    agents = {
        "ok.md": ECHO,
        "bad.md": _echo(text="a b c", fail_after=2, code="context_length"),
        "later.md": _echo(fail_after=0, code="rate_limited", retry_after=30),
        "whole.md": _echo(text="a b", streaming=False),
    }
    with AuraServer(tmp_path, agents) as aura:
        good = aura.post("ok", "Hello world", route="chat")
        bad = aura.post("bad", route="chat")
        later = aura.post("later", route="chat")
        refused = aura.post("whole")
        whole = aura.post("whole", route="chat")
        listed = {a["id"]: a for a in httpx.get(f"{aura.url}/api/agents", trust_env=False).json()["agents"]}
    assert good.json() == {"content": "Hello world", "totalTokens": 4, "finishReason": "stop"}
    assert (bad.status_code, bad.json()["code"], bad.json()["partial"]) == (422, "context_length", "a b")
    assert (later.status_code, later.headers["retry-after"], later.json()["partial"]) == (429, "30", "")
    assert (refused.status_code, refused.json()["code"]) == (400, "streaming_not_supported")
    assert "/chat" in refused.json()["detail"]
    assert whole.json()["content"] == "a b"
    assert (listed["whole"]["streaming"], listed["ok"]["streaming"]) == (False, True)
