"""What the log and the metrics call a provider instance: its kind, and the address of its server."""

import logging
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from aura_core.plugins.instance import _plain
from aura_core.plugins.loader import Plugins
from aura_core.testing import AuraServer

FakePlugin = Callable[..., None]

PLUGIN = """
from aura_core import Token, hookimpl

@hookimpl
def telemetry_name():
    {body}

@hookimpl
async def stream_chat(request):
    yield Token("hi", finish_reason="stop")
"""
AGENT = {"it.md": "---\nprovider: it\n---\n"}

KINDS = {
    "return 'acme.cloud'": "acme.cloud",
    "return ''": "it",
    "return 5": "it",
    "raise ValueError": "it",
    "raise SystemExit": "it",
    "raise KeyboardInterrupt": "it",
}


@pytest.mark.parametrize("body", KINDS)
def test_the_kind_of_a_provider_is_what_its_plugin_says(body: str, tmp_path: Path, fake_plugin: FakePlugin) -> None:
    fake_plugin("it", PLUGIN.format(body=body))
    with AuraServer(tmp_path, AGENT) as aura:
        assert aura.ask("it")[-1].name == "done"
        figures = httpx.get(f"{aura.url}/metrics", trust_env=False, timeout=60).text
        assert aura.ask("it")[-1].name == "done", "it costs no answer, this one or the next"
    assert f'gen_ai_provider_name="{KINDS[body]}",gen_ai_request_model="",provider="it"}} 1.0' in figures


def test_our_own_plugins_have_the_names_of_opentelemetry() -> None:
    plugins = Plugins()
    said = {name: hooks.telemetry_name() for name, hooks in plugins.hooks.items()}
    assert said["azure"] == "azure.ai.openai"
    assert {name for name, kind in said.items() if kind is None} >= {"echo", "ollama", "openai"}, "the plugins' own"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://127.0.0.1:11434", "http://127.0.0.1:11434"),
        ("https://user:s3cr3t@host:1/v1?key=s3cr3t#s3cr3t", "https://host:1/v1"),
        ("https://user:s3@cr3t@host/v1", "https://host/v1"),
        ("https://host/v1?to=a@b", "https://host/v1"),
        ("user:s3cr3t@host:11434", "host:11434"),
        ("[::1]:11434", "[::1]:11434"),
        ("", ""),
    ],
)
def test_no_password_and_no_query_of_an_address_is_logged(url: str, shown: str) -> None:
    assert _plain(url) == shown


def test_a_command_that_asks_in_its_own_process_logs_no_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """`aura chat` and `aura doctor` show it themselves; only a server's runtime has who logs."""
    from aura_core.config import settings
    from aura_core.runtime import Runtime
    from aura_core.server.app import create_app

    caplog.set_level(logging.INFO, "aura")
    (tmp_path / "aura.toml").write_text("")
    runtime = Runtime(settings.load({}, {}, tmp_path / "aura.toml"), {})
    assert runtime.observers == []
    create_app(runtime)
    assert len(runtime.observers) == 2, "the log and the metrics"
