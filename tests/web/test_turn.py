"""The turn client alone: one request, one end, and a watchdog on received bytes."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aura_core.testing import AuraServer

Serve = Callable[..., AuraServer]

RUN = """async ([agent, silence, stopAt]) => {
  const { runTurn } = await import("/web/turn.js");
  const stop = new AbortController();
  const events = [];
  const emit = (event) => {
    events.push(event);
    if (event.type === stopAt) stop.abort();
  };
  if (stopAt === "before") stop.abort();
  await runTurn({ url: "", agent, body: { prompt: "one two" } }, emit, { signal: stop.signal, silence });
  return events;
}"""


def echo(**options: Any) -> str:
    return f"---\nprovider: echo\noptions: {json.dumps(options)}\n---\n"


@pytest.fixture
def run(page: Any, serve: Serve) -> Callable[..., list[dict[str, Any]]]:
    def run(options: dict[str, Any], silence: float = 60_000, stop_at: str = "", **flags: Any) -> list[dict[str, Any]]:
        server = serve({"agent.md": echo(**options)}, flags=flags)
        page.goto(f"{server.url}/health")
        events: list[dict[str, Any]] = page.evaluate(RUN, ["agent", silence, stop_at])
        return events

    return run


Run = Callable[..., list[dict[str, Any]]]


def test_a_turn_is_a_list_of_events_with_one_end(run: Run) -> None:
    tokens = [{"type": "token", "content": "one"}, {"type": "token", "content": " two"}]
    assert run({"reasoning": "hm"}) == [
        {"type": "open"},
        {"type": "reasoning", "content": "hm"},
        *tokens,
        {"type": "done", "totalTokens": 4, "finishReason": "stop"},
    ]


def test_silence_is_a_lost_connection(run: Run) -> None:
    events = run({"stall_after": 1}, silence=3_000)
    assert [event["type"] for event in events] == ["open", "token", "error"]
    assert events[-1]["code"] == "connection_lost"
    assert "silent" in events[-1]["message"]


def test_heartbeats_are_not_silence(run: Run) -> None:
    events = run({"delay": 4}, 3_000, **{"server.heartbeat": 0.1})
    assert [event["type"] for event in events] == ["open", "token", "token", "done"]


def test_a_whole_answer_may_take_longer_than_the_silence(run: Run) -> None:
    events = run({"delay": 4, "streaming": False}, silence=3_000)
    assert [event["type"] for event in events] == ["open", "token", "done"]


@pytest.mark.parametrize("moment", ["before", "open", "token"])
def test_a_stopped_turn_ends_as_stopped(run: Run, moment: str) -> None:
    events = run({"stall_after": 1}, stop_at=moment)
    assert [event["type"] for event in events][-1] == "stopped"
    assert sum(event["type"] in ("done", "error", "stopped") for event in events) == 1


def test_retry_after_is_passed_on(run: Run) -> None:
    options = {"fail_after": 0, "code": "rate_limited", "retry_after": 7}
    events = run(options, **{"server.retries": 0})
    assert (events[-1]["code"], events[-1]["retryAfter"]) == ("rate_limited", 7)
    events = run(options | {"streaming": False}, **{"server.retries": 0})
    assert (events[-1]["code"], events[-1]["retryAfter"]) == ("rate_limited", 7)


def test_a_partial_answer_of_the_other_route_is_kept(run: Run) -> None:
    events = run({"text": "Half an answer", "fail_after": 1, "code": "interrupted", "streaming": False})
    assert [event["type"] for event in events] == ["open", "token", "error"]


IN_NODE = """
import { runTurn } from "./turn.js";
const question = { url: process.argv[2], agent: "agent", body: { prompt: "Hello" } };
const emit = (event) => console.log(JSON.stringify(event));
await runTurn(question, emit, { signal: new AbortController().signal, silence: 5000 });
"""


def test_our_own_suspension_does_not_count_as_silence(node: str, serve: Serve, tmp_path: Path) -> None:
    for name in ["turn.js", "sse.js"]:
        shutil.copy(Path(__file__).parents[2] / "aura_core" / "web" / name, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "ask.js").write_text(IN_NODE)
    server = serve({"agent.md": echo(text="one two three", tokens=24, tokens_per_second=2)})
    with subprocess.Popen([node, tmp_path / "ask.js", server.url], stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout is not None
        assert json.loads(asking.stdout.readline()) == {"type": "open"}
        assert json.loads(asking.stdout.readline())["type"] == "token"
        os.kill(asking.pid, signal.SIGSTOP)
        time.sleep(7)  # longer than the silence that ends a turn
        os.kill(asking.pid, signal.SIGCONT)
        events = [json.loads(line) for line in asking.stdout]
    assert events[-1]["type"] == "done", events[-1]
    assert len(events) == 24


SILENT = """async (heartbeat) => {
  const { runTurn } = await import("/web/turn.js");
  const body = new ReadableStream({ start: (end) => end.enqueue(new TextEncoder().encode(": ok\\n\\n")) });
  const headers = { "content-type": "text/event-stream", ...heartbeat };
  const events = (window.events = []);
  const options = { signal: new AbortController().signal, fetch: async () => new Response(body, { headers }) };
  void runTurn({ url: "", agent: "a", body: { prompt: "one" } }, (event) => events.push(event), options);
}"""


@pytest.mark.parametrize(
    ("heartbeat", "patience"), [({"aura-heartbeat": "30"}, 90), ({"aura-heartbeat": "0.1"}, 10), ({}, 45)], ids=str
)
def test_the_server_sets_the_silence_limit(page: Any, serve: Serve, heartbeat: dict[str, str], patience: int) -> None:
    server = serve({"agent.md": echo()})
    page.clock.install()
    page.goto(f"{server.url}/health")
    page.evaluate(SILENT, heartbeat)
    page.wait_for_function("() => window.events.length === 1")
    page.clock.run_for((patience - 1) * 1000)
    assert page.evaluate("() => window.events.at(-1).type") == "open"
    page.clock.run_for(3000)
    page.wait_for_function("() => window.events.length === 2")
    end = page.evaluate("() => window.events.at(-1)")
    assert (end["type"], end["message"]) == ("error", f"The server has been silent for {patience} s.")
