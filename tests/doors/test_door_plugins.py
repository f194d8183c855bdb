"""Doors of plugins: opened one by one, refused with a reason, and without effect on others."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from aura_core.cli.new_plugin import DOOR_TEMPLATE, files
from aura_core.plugins.loader import Plugin, Plugins
from aura_core.testing import AuraServer

FakePlugin = Callable[..., None]
DOOR = """
import msgspec
from aura_core import *

class Body(msgspec.Struct):
    agent: str
    text: str = "Hello world"
    stream: bool = True
    limit: int | None = None
    context: str = ""

class Lines(Encoder):
    content_type = "text/plain; charset=utf-8"
    def text(self, content):
        return content.encode() + b"|"
    def done(self, end):
        return b"." + end.finish_reason.encode()
    def error(self, failure):
        return b"!" + failure.code.encode()
    def whole(self, answer): return answer.text.encode() + b"." + answer.end.finish_reason.encode()
    begin = answering = lambda self, *who: b""

def read(body, parameters):
    return Question(body.agent, [Message("user", body.text)], body.context, body.stream, body.limit)

def refuse(problem, request_id):
    return Reply(problem.status, f"{problem.code} {problem.field}: {problem.detail}".encode(), "text/plain")

def names(agents):
    return " ".join(agent.id for agent in agents).encode()

def one(agent):
    return agent.id.encode()

PATH = "/it"
ROUTES = [
    AnswerRoute(PATH + "/ask", Body, read, Lines),
    ListRoute(PATH + "/list", names),
    ListRoute(PATH + "/ready", names, answering=True),
    AgentRoute(PATH + "/one/{name}", one),
    AgentRoute(PATH + "/ready/{name}", one, answering=True),
]

@hookimpl
def doors():
    return [Door(ROUTES, refuse)]
"""
ECHO = "---\nprovider: echo\n---\n"
AGENTS = {
    "e.md": ECHO,
    "whole.md": "---\nprovider: echo\noptions: {streaming: false}\n---\n",
    "broken.md": "---\ntemprature: 1\n---\n",
}


def door(path: str) -> str:
    """The source of a plugin with a door below `path`."""
    return DOOR.replace('PATH = "/it"', f'PATH = "{path}"')


def plugin(name: str) -> Plugin:
    return next(plugin for plugin in Plugins().all if plugin.name == name)


def post(aura: AuraServer, path: str = "/it/ask", **body: Any) -> httpx.Response:
    return httpx.post(aura.url + path, json={"agent": "e"} | body, trust_env=False, timeout=30)


def get(aura: AuraServer, path: str, **headers: str) -> httpx.Response:
    return httpx.get(aura.url + path, headers=headers, trust_env=False, timeout=30)


def test_a_door_answers_streamed_and_whole_and_lists_agents(tmp_path: Path, fake_plugin: FakePlugin) -> None:
    fake_plugin("it", DOOR)
    with AuraServer(tmp_path, AGENTS) as aura:
        streamed, whole = post(aura), post(aura, stream=False)
        assert (streamed.text, streamed.headers["content-type"]) == ("Hello| world|.stop", "text/plain; charset=utf-8")
        assert (whole.text, whole.headers["content-type"]) == ("Hello world.stop", "application/json")
        assert streamed.headers["x-accel-buffering"] == "no"
        assert get(aura, "/it/list").text == "broken e whole"
        assert get(aura, "/it/ready").text == "e whole"
        assert get(aura, "/it/one/E").text == "e"
        assert get(aura, "/it/one/broken").text == "broken"
        assert get(aura, "/it/ready/broken").text.startswith("agent_invalid None: ")
        assert get(aura, "/it/one/none").status_code == 404


def test_an_agent_that_cannot_stream_is_sent_as_one_text(tmp_path: Path, fake_plugin: FakePlugin) -> None:
    fake_plugin("it", DOOR)
    with AuraServer(tmp_path, AGENTS) as aura:
        assert post(aura, agent="whole").text == "Hello world|.stop"


def test_a_client_s_context_follows_the_prompt_and_its_limit_only_lowers(
    tmp_path: Path, fake_plugin: FakePlugin
) -> None:
    fake_plugin("it", DOOR)
    shows = """
from aura_core import Token, hookimpl
@hookimpl
async def stream_chat(request):
    yield Token(repr((request.messages[0].content, len(request.messages), request.max_tokens)), finish_reason="stop")
"""
    fake_plugin("shows", shows)
    agents = {
        "none.md": "---\nprovider: shows\nmodel: m\n---\nBe brief.",
        "ten.md": "---\nprovider: shows\nmodel: m\nmax_tokens: 10\n---\nBe brief.",
    }
    with AuraServer(tmp_path, agents) as aura:
        said = [
            post(aura, agent=agent, limit=limit, context="Be kind.", stream=False).text
            for agent, limit in [("none", None), ("none", 5), ("ten", 5), ("ten", 50)]
        ]
    prompt = "Be brief.\\n\\nAdditional context:\\nBe kind."
    assert said == [f"('{prompt}', 2, {limit}).stop" for limit in (None, 5, 5, 10)]


REFUSALS = {
    "not JSON": (400, "invalid_request None: The body is not valid JSON", {"content": b"{"}),
    "a wrong type": (400, "invalid_request text: text: expected a string", {"content": b'{"agent": "e", "text": 1}'}),
    "a missing field": (400, "invalid_request agent: 'agent' is missing", {"content": b"{}"}),
    "no such agent": (404, "agent_not_found None: ", {"content": b'{"agent": "none"}'}),
    "not declared": (415, "unsupported_media_type None: ", {"headers": {"content-type": "text/plain"}}),
    "too large": (413, "payload_too_large None: ", {"content": b" " * 5_000_000}),
    "another host": (421, "misdirected_host None: ", {"headers": {"host": "evil.example"}}),
    "a foreign page": (403, "forbidden_origin None: ", {"headers": {"origin": "https://evil.example"}}),
    "another method": (405, "method_not_allowed None: ", {"method": "PUT"}),
    "a path below": (404, "not_found None: ", {"path": "/it/nothing/here"}),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_every_refusal_is_in_the_words_of_the_door(case: str, tmp_path: Path, fake_plugin: FakePlugin) -> None:
    status, words, changes = REFUSALS[case]
    fake_plugin("it", DOOR)
    request: dict[str, Any] = {"method": "POST", "path": "/it/ask", "content": b'{"agent": "e"}'} | changes
    headers = {"content-type": "application/json"} | request.get("headers", {})
    with AuraServer(tmp_path, AGENTS) as aura:
        url = aura.url + request["path"]
        answer = httpx.request(request["method"], url, content=request["content"], headers=headers, trust_env=False)
    assert answer.status_code == status
    assert answer.text.startswith(words)
    assert answer.headers["x-request-id"]
    assert ("allow" in answer.headers) == (status == 405)


def test_no_route_answers_without_the_token(tmp_path: Path, fake_plugin: FakePlugin) -> None:
    fake_plugin("it", DOOR)
    with AuraServer(tmp_path, AGENTS, environ=os.environ | {"AURA_TOKEN": "secret"}) as aura:
        answers = [post(aura), *(get(aura, f"/it/{path}") for path in ("list", "ready", "one/e", "ready/e", "else"))]
        assert [(answer.status_code, answer.headers["www-authenticate"]) for answer in answers] == [(401, "Bearer")] * 6
        assert all(answer.text.startswith("unauthorized") for answer in answers)
        assert get(aura, "/it/list", authorization="Bearer secret").status_code == 200


def test_an_allowed_page_may_send_the_headers_that_it_asks_for(tmp_path: Path, fake_plugin: FakePlugin) -> None:
    fake_plugin("it", DOOR)
    toml = '[server]\nallowed_origins = ["https://good.example"]\n'
    with AuraServer(tmp_path, AGENTS, toml) as aura:

        def preflight(names: str, origin: str = "https://good.example") -> httpx.Response:
            headers = {"origin": origin, "access-control-request-method": "POST"}
            asked = {"access-control-request-headers": names}
            return httpx.options(f"{aura.url}/it/ask", headers=headers | asked, trust_env=False)

        allowed = preflight("x-stainless-os,authorization")
        assert allowed.status_code == 204
        assert allowed.headers["access-control-allow-headers"].endswith(", x-stainless-os,authorization")
        assert "x-bad" not in preflight("x-bad:\tno").headers["access-control-allow-headers"]
        assert "access-control-allow-headers" not in preflight("x-a", "https://evil.example").headers


BAD_DOORS = {
    "it raises": ("raise RuntimeError('no')", "its doors cannot be opened: RuntimeError: no"),
    "it leaves": ("raise SystemExit(3)", "its doors cannot be opened: SystemExit: 3"),
    "not a list": ("return Door(ROUTES, refuse)", "doors must return a list of Door, not Door"),
    "nothing": ("return None", "doors must return a list of Door, not NoneType"),
    "an empty list": ("return []", "doors returned an empty list"),
    "not a door": ("return [ROUTES]", "one is list"),
    "no routes": ("return [Door([], refuse)]", "a door must have a list of routes"),
    "not a route": ("return [Door(['/it'], refuse)]", "not str"),
    "not a path": ("return [Door([ListRoute('it', names)], refuse)]", "'it' is not a path"),
    "a path with dots": ("return [Door([ListRoute('/it/../x', names)], refuse)]", "is not a path"),
    "a parameter first": ("return [Door([AgentRoute('/{x}', one)], refuse)]", "begins with a parameter"),
    "two parameters": ("return [Door([AgentRoute('/it/{x}/{y}', one)], refuse)]", "must have one parameter"),
    "native's path": ("return [Door([ListRoute('/api/agents', names)], refuse)]", "is Aura's own"),
    "below native's": ("return [Door([AgentRoute('/api/agents/{x}/more', one)], refuse)]", "is Aura's own"),
    "around native's": ("return [Door([AgentRoute('/api/{x}', one)], refuse)]", "is Aura's own"),
    "the page's": ("return [Door([ListRoute('/web/x', names)], refuse)]", "is Aura's own"),
    "health": ("return [Door([ListRoute('/health', names)], refuse)]", "is Aura's own"),
    "metrics": ("return [Door([ListRoute('/metrics/x', names)], refuse)]", "is Aura's own"),
    "schema": ("return [Door([ListRoute('/schema/x', names)], refuse)]", "is Aura's own"),
    "one path twice": ("return [Door([ListRoute('/it/a', names)] * 2, refuse)]", "cannot be kept apart"),
    "an unknown type": ("return [Door([AnswerRoute('/it/a', object(), read, Lines)], refuse)]", "cannot be opened"),
    "no encoder": ("return [Door([AnswerRoute('/it/a', Body, read, names)], refuse)]", "must be a class made from"),
    "half an encoder": (
        "return [Door([AnswerRoute('/it/a', Body, read, Encoder)], refuse)]",
        "lacks done, error, text",
    ),
    "not a function": ("return [Door(ROUTES, None)]", "refuse of a Door must be a function"),
    "few arguments": ("return [Door(ROUTES, one)]", "refuse of a Door must take 2 arguments"),
}


@pytest.mark.parametrize("case", BAD_DOORS)
def test_a_bad_door_is_refused_with_its_reason_and_everything_else_is_served(
    case: str, tmp_path: Path, fake_plugin: FakePlugin
) -> None:
    body, why = BAD_DOORS[case]
    fake_plugin("good", door("/good"))
    fake_plugin("it", DOOR.replace("return [Door(ROUTES, refuse)]", body))
    assert (plugin("it").status, plugin("it").kind) == ("error", "")
    assert why in str(plugin("it").error)
    with AuraServer(tmp_path, AGENTS) as aura:
        assert post(aura, "/good/ask").text == "Hello| world|.stop"
        assert aura.ask("e")[-1].name == "done"
        assert get(aura, "/it/list").json()["code"] == "not_found"


@pytest.mark.parametrize(
    "hook", ["async def doors(): return []", "def doors():\n    yield []", "def doors(*all): return []"]
)
def test_a_hook_of_another_shape_is_refused(hook: str, fake_plugin: FakePlugin) -> None:
    fake_plugin("it", f"from aura_core import hookimpl\n@hookimpl\n{hook}\n")
    assert "doors" in str(plugin("it").error)


def test_no_plugin_wraps_the_doors_of_others(fake_plugin: FakePlugin) -> None:
    fake_plugin("it", DOOR)
    fake_plugin("wraps", "from aura_core import hookimpl\n@hookimpl(wrapper=True)\ndef doors():\n    return (yield)\n")
    assert plugin("wraps").error == "it wraps 'doors', which is each plugin's own"
    assert plugin("it").status == "ok"


@pytest.mark.parametrize("other", ["/it", "/it/ready"])
def test_of_two_plugins_with_one_path_neither_is_opened(other: str, tmp_path: Path, fake_plugin: FakePlugin) -> None:
    fake_plugin("it", DOOR)
    fake_plugin("other", DOOR.replace("ROUTES = [", f'ROUTES = [ListRoute("{other}/list", names)]\n_ = ['))
    fake_plugin("third", door("/third"))
    errors = {name: str(plugin(name).error) for name in ("it", "other")}
    assert all("'it' and 'other' both have a door at /it/" in error for error in errors.values()), errors
    assert plugin("third").kind == "door"
    with AuraServer(tmp_path, AGENTS) as aura:
        assert get(aura, "/it/list").status_code == 404
        assert get(aura, "/third/list").text == "broken e whole"


def test_the_allow_list_holds_for_doors(tmp_path: Path, fake_plugin: FakePlugin) -> None:
    fake_plugin("it", DOOR)
    with AuraServer(tmp_path, AGENTS, environ=os.environ | {"AURA_PLUGINS": "echo"}) as aura:
        assert get(aura, "/it/list").status_code == 404
        assert aura.ask("e")[-1].name == "done"


def test_a_plugin_may_be_a_provider_and_a_door(tmp_path: Path, fake_plugin: FakePlugin) -> None:
    provides = """
@hookimpl
async def stream_chat(request):
    yield Token("mine", finish_reason="stop")
"""
    fake_plugin("it", DOOR + provides)
    assert plugin("it").kind == "provider, door"
    with AuraServer(tmp_path, {"mine.md": "---\nprovider: it\nmodel: m\n---\n"}) as aura:
        assert post(aura, agent="mine").text == "mine|.stop"


def test_the_lists_of_plugins_tell_doors(tmp_path: Path, fake_plugin: FakePlugin) -> None:
    fake_plugin("it", DOOR)
    fake_plugin("bad", DOOR.replace("return [Door", "return 1/0 or [Door"))
    fake_plugin(
        "wraps", "from aura_core import hookimpl\n@hookimpl(wrapper=True)\ndef stream_chat():\n    return (yield)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "aura_core", "plugins", "--json"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    kinds = {each["name"]: each["kind"] for each in json.loads(done.stdout)["plugins"]}
    assert (done.returncode, kinds["it"], kinds["bad"], kinds["wraps"], kinds["echo"]) == (
        1,
        "door",
        None,
        "wrapper",
        "provider",
    )
    with AuraServer(tmp_path) as aura:
        rows = {row["name"]: row for row in get(aura, "/api/providers").json()["providers"]}
    assert {name: rows[name]["kind"] for name in ("it", "bad", "wraps", "echo")} == {
        "it": "door",
        "bad": None,
        "wraps": "wrapper",
        "echo": "provider",
    }
    assert rows["it"]["status"] == "ok"
    assert "ZeroDivisionError" in rows["bad"]["error"]


FAULTS = {
    "ask raises": ("return Question(", "raise SystemExit(1)\n    return Question(", 500),
    "ask gives nothing": ("    return Question(", "    return None\n    return Question(", 500),
    "ask gives no turns": ('[Message("user", body.text)]', "[]", 500),
    "ask gives a system message": ('Message("user", body.text)', 'Message("system", body.text)', 500),
    "ask gives a text that is none": ('Message("user", body.text)', 'Message("user", None)', 500),
    "the encoder raises when made": (
        "    def text(",
        "    def __init__(self, context): raise KeyError\n    def text(",
        500,
    ),
    "begin raises": ("    begin = answering =", "    begin = lambda self: 1/0\n    answering =", 500),
    "begin gives a str": ("    begin = answering =", "    begin = lambda self: 'a'\n    answering =", 500),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_door_that_fails_before_the_answer_fails_its_request_alone(
    fault: str, tmp_path: Path, fake_plugin: FakePlugin, caplog: pytest.LogCaptureFixture
) -> None:
    old, new, status = FAULTS[fault]
    assert old in DOOR
    fake_plugin("it", DOOR.replace(old, new))
    fake_plugin("good", door("/good"))
    with AuraServer(tmp_path, AGENTS) as aura:
        answer = post(aura)
        assert (answer.status_code, answer.text) == (
            status,
            "internal_error None: The server failed; its log says more.",
        )
        assert post(aura, "/good/ask").text == "Hello| world|.stop"
        assert aura.ask("e")[-1].name == "done"
        assert not aura.runtime.relays
    assert "plugin 'it': its door failed in " in caplog.text


STREAM_FAULTS = {
    "text raises": ("return content.encode() + ", "raise SystemExit(1)\n        return content.encode() + "),
    "text gives a str": ("return content.encode() + ", "return content\n        return content.encode() + "),
    "answering raises": ("    begin = answering =", "    answering = lambda self, *who: 1/0\n    begin ="),
    "done raises": ('return b"." + end', 'raise SystemExit(1)\n        return b"." + end'),
    "done gives a str": ('return b"." + end', 'return "."\n        return b"." + end'),
}


@pytest.mark.parametrize("fault", STREAM_FAULTS)
def test_an_encoder_that_fails_ends_its_answer_with_an_error(
    fault: str, tmp_path: Path, fake_plugin: FakePlugin, caplog: pytest.LogCaptureFixture
) -> None:
    """Regression: it counted as the provider's fault, was retried, and the log named the provider's plugin."""
    old, new = STREAM_FAULTS[fault]
    assert old in DOOR
    fake_plugin("it", DOOR.replace(old, new))
    with AuraServer(tmp_path, AGENTS, "[server]\nretries = 3\n") as aura:
        answer = post(aura)
        assert answer.status_code == 200
        assert answer.text.endswith("!llm_error")
        assert ".stop" not in answer.text
        assert post(aura).text == answer.text
        assert aura.ask("e")[-1].name == "done"
        assert not aura.runtime.relays
    assert "Lines" in caplog.text
    assert "plugin 'echo'" not in caplog.text


def test_an_encoder_that_can_say_nothing_more_cuts_its_answer(tmp_path: Path, fake_plugin: FakePlugin) -> None:
    mute = DOOR.replace('return b"!" + failure.code.encode()', "raise SystemExit(1)")
    fake_plugin("it", mute.replace('return b"." + end', 'raise SystemExit(1)\n        return b"." + end'))
    with AuraServer(tmp_path, AGENTS) as aura:
        with pytest.raises(httpx.RemoteProtocolError):
            post(aura)
        assert aura.ask("e")[-1].name == "done"


OTHER_FAULTS = {
    "a list raises": ("/it/list", 'return " ".join(agent.id for agent in agents).encode()', "raise SystemExit(1)"),
    "a list gives a str": ("/it/list", 'return " ".join(agent.id for agent in agents).encode()', "return 'a'"),
    "one agent raises": ("/it/one/e", "return agent.id.encode()", "raise SystemExit(1)"),
    "one agent gives None": ("/it/one/e", "return agent.id.encode()", "return None"),
}


@pytest.mark.parametrize("fault", OTHER_FAULTS)
def test_a_list_that_fails_fails_its_request_alone(fault: str, tmp_path: Path, fake_plugin: FakePlugin) -> None:
    path, old, new = OTHER_FAULTS[fault]
    assert old in DOOR
    fake_plugin("it", DOOR.replace(old, new))
    with AuraServer(tmp_path, AGENTS) as aura:
        assert get(aura, path).text == "internal_error None: The server failed; its log says more."
        assert get(aura, "/api/agents").status_code == 200
        assert post(aura).text == "Hello| world|.stop"


BAD_REPLIES = [
    "raise SystemExit(1)",
    "return None",
    "return Reply(200, b'all is well')",
    "return Reply(999, b'')",
    "return Reply(404, 'text')",
    "return Reply(404, b'', 'text/plain\\r\\nx: y')",
    "return Reply(404, b'', headers={'x': 'a\\nb'})",
]


@pytest.mark.parametrize("body", BAD_REPLIES)
def test_a_door_that_cannot_refuse_refuses_as_the_core_does(body: str, tmp_path: Path, fake_plugin: FakePlugin) -> None:
    fake_plugin("it", DOOR.replace("return Reply(problem.status", f"{body}\n    return Reply(problem.status"))
    with AuraServer(tmp_path, AGENTS) as aura:
        answer = post(aura, agent="none")
    assert (answer.status_code, answer.json()["code"]) == (404, "agent_not_found")
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_headers_of_a_refusal_are_the_core_s_unless_the_door_has_them(
    tmp_path: Path, fake_plugin: FakePlugin
) -> None:
    source = DOOR.replace(', "text/plain")\n', ', "text/plain", {"X-Own": "yes"})\n')
    fake_plugin("it", source)
    agents = {"e.md": "---\nprovider: echo\noptions: {fail_after: 0, code: rate_limited, retry_after: 7}\n---\n"}
    with AuraServer(tmp_path, agents, "[server]\nretries = 0\n") as aura:
        answer = post(aura, stream=False)
    assert (answer.status_code, answer.headers["retry-after"], answer.headers["x-own"]) == (429, "7", "yes")


def test_the_template_opens(fake_plugin: FakePlugin) -> None:
    fake_plugin("demo", files("demo", DOOR_TEMPLATE)["aura_demo/__init__.py"])
    assert plugin("demo").kind == "door"
