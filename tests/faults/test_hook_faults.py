"""Faults of a plugin outside its answers: the server starts, lists the plugin, and serves everything else."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from aura_core.testing import AuraServer, SseEvent

FakePlugin = Callable[..., None]
Checked = Callable[..., list[SseEvent]]

HEAD = """
import asyncio, contextlib, pathlib, msgspec
from aura_core import ProviderError, Token, hookimpl

@hookimpl
async def stream_chat(request, settings, client):
    yield Token("hi", finish_reason="stop")
"""
EXCEPTIONS = [
    "ValueError",
    "SystemExit",
    "KeyboardInterrupt",
    "GeneratorExit",
    "StopIteration",
    "asyncio.CancelledError",
]
AGENTS = {"ok.md": "---\nprovider: echo\n---\n", "it.md": "---\nprovider: it\n---\n"}


def _check_alive(aura: AuraServer) -> None:
    assert aura.ask("ok")[-1].name == "done"
    for path in ("agents", "providers"):
        assert httpx.get(f"{aura.url}/api/{path}", trust_env=False, timeout=30).status_code == 200


@pytest.mark.parametrize("exception", EXCEPTIONS)
@pytest.mark.parametrize("when", ["at once", "on entering"])
def test_a_client_that_does_not_open(
    exception: str, when: str, tmp_path: Path, fake_plugin: FakePlugin, asked: Checked
) -> None:
    at_once = f"""
@hookimpl
def open_client(settings):
    raise {exception}
"""
    on_entering = f"""
@hookimpl
@contextlib.asynccontextmanager
async def open_client(settings):
    raise {exception}
    yield
"""
    fake_plugin("it", HEAD + (at_once if when == "at once" else on_entering))
    with AuraServer(tmp_path, AGENTS) as aura:
        events = asked(aura, "it")
        _check_alive(aura)
    assert [(event.name, event.data["code"]) for event in events] == [("error", "llm_error")]
    assert "could not start" in events[0].data["message"]


OPENS = """
@hookimpl
@contextlib.asynccontextmanager
async def open_client(settings):
    await asyncio.sleep({seconds})
    try:
        yield 5
    finally:
        {leave}
"""


def test_a_client_that_opens_slowly_is_waited_for(tmp_path: Path, fake_plugin: FakePlugin, asked: Checked) -> None:
    fake_plugin("it", HEAD + OPENS.format(seconds=0.5, leave="pass"))
    with AuraServer(tmp_path, AGENTS) as aura:
        assert asked(aura, "it")[-1].name == "done"


def test_a_client_that_never_opens_times_out(
    tmp_path: Path, fake_plugin: FakePlugin, asked: Checked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aura_core.plugins.instance.HOOK_TIMEOUT", 1)
    fake_plugin("it", HEAD + OPENS.format(seconds=60, leave="pass"))
    with AuraServer(tmp_path, AGENTS, "[server]\nretries = 0") as aura:
        events = asked(aura, "it")
    assert [(event.name, event.data["code"]) for event in events] == [("error", "unavailable")]


def test_a_client_that_never_closes_does_not_delay_the_shutdown(
    tmp_path: Path, fake_plugin: FakePlugin, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("aura_core.plugins.opened.CLEANUP_LIMIT", 0.2)
    fake_plugin("it", HEAD + OPENS.format(seconds=0, leave="await asyncio.sleep(60)"))
    begin = time.monotonic()
    with AuraServer(tmp_path, AGENTS) as aura:
        assert aura.ask("it")[-1].name == "done"
    assert time.monotonic() - begin < 30
    assert "plugin 'it' could not close its client" in caplog.text


@pytest.mark.parametrize("exception", EXCEPTIONS)
def test_a_default_model_that_raises(
    exception: str, tmp_path: Path, fake_plugin: FakePlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AURA_PLUGINS", "it")  # and echo; an Ollama server on this machine would be another provider
    fake_plugin("it", HEAD + f"@hookimpl\nasync def default_model():\n    raise {exception}\n")
    agents = AGENTS | {"any.md": "---\nname: any\n---\n"}
    with AuraServer(tmp_path, agents) as aura:
        assert aura.ask("any")[-1].name == "done", "another provider serves it"
        assert aura.ask("it")[-1].name == "error"
        _check_alive(aura)


@pytest.mark.parametrize("exception", EXCEPTIONS)
def test_a_plugin_that_cannot_say_whether_it_streams(exception: str, tmp_path: Path, fake_plugin: FakePlugin) -> None:
    fake_plugin("it", HEAD + f"@hookimpl\ndef supports_streaming():\n    raise {exception}\n")
    with AuraServer(tmp_path, AGENTS) as aura:
        assert aura.ask("it")[-1].name == "done"
        _check_alive(aura)


STRUCT = """
class Bad(msgspec.Struct):
    x: int = 0
    def __post_init__(self):
        raise {exception}

@hookimpl
def {hook}():
    return Bad
"""


@pytest.mark.parametrize("exception", EXCEPTIONS)
@pytest.mark.parametrize("hook", ["provider_settings", "agent_options"])
def test_a_struct_that_cannot_be_made(hook: str, exception: str, tmp_path: Path, fake_plugin: FakePlugin) -> None:
    fake_plugin("it", HEAD + STRUCT.format(hook=hook, exception=exception))
    agents = AGENTS | {"it.md": "---\nprovider: it\noptions: {x: 1}\n---\n"}
    with AuraServer(tmp_path, agents) as aura:
        refused = aura.post("it")
        assert refused.status_code == 503
        assert refused.json()["code"] in ("agent_invalid", "provider_misconfigured")
        _check_alive(aura)


def test_a_client_that_hangs_while_it_opens_costs_one_thread(
    tmp_path: Path, fake_plugin: FakePlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: eight requests left 17 threads, each stuck in the same open_client."""
    monkeypatch.setattr("aura_core.plugins.instance.HOOK_TIMEOUT", 0.3)
    blocks = "    import threading\n    threading.Event().wait()\n"
    fake_plugin("it", HEAD + "@hookimpl\ndef open_client(settings):\n" + blocks)
    with AuraServer(tmp_path, AGENTS, "[server]\nretries = 0") as aura:
        for _ in range(8):
            assert aura.ask("it")[-1].data["code"] == "unavailable"
        assert len([thread for thread in threading.enumerate() if thread.name == "aura-hook"]) == 1


def test_a_client_that_opens_after_its_time_serves_the_next_request(
    tmp_path: Path, fake_plugin: FakePlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aura_core.plugins.instance.HOOK_TIMEOUT", 1)
    go = tmp_path / "go"
    waits = f"    import os, time\n    while not os.path.exists({str(go)!r}):\n        time.sleep(0.01)\n"
    opens = (
        "    @contextlib.asynccontextmanager\n    async def opened():\n        yield 'client'\n    return opened()\n"
    )
    fake_plugin("it", HEAD + "@hookimpl\ndef open_client(settings):\n" + waits + opens)
    with AuraServer(tmp_path, AGENTS, "[server]\nretries = 0") as aura:
        assert aura.ask("it")[-1].data["code"] == "unavailable"
        go.touch()
        end = time.monotonic() + 30
        while aura.ask("it")[-1].name != "done":
            assert time.monotonic() < end


def test_a_plugin_that_changes_its_options_affects_no_other_request(tmp_path: Path, fake_plugin: FakePlugin) -> None:
    source = """
from aura_core import Token, hookimpl

@hookimpl
def supports_streaming(options):
    options.pop("gone", None)
    return True

@hookimpl
async def stream_chat(request):
    found = request.options["deep"][0].pop("n", "lost"), request.options.pop("gone", "lost")
    yield Token(str(found), finish_reason="stop")
"""
    fake_plugin("it", source)
    agents = {"it.md": "---\nprovider: it\noptions: {deep: [{n: 7}], gone: 8}\n---\n"}
    with AuraServer(tmp_path, agents) as aura:
        assert [aura.ask("it")[0].data["content"] for _ in range(3)] == ["(7, 8)"] * 3
