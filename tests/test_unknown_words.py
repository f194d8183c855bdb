"""Words of a plugin that Aura does not know are logged once, with its name; what it tells the log is in the log."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from aura_core.testing import AuraServer

FakePlugin = Callable[..., None]
AGENT = "---\nprovider: {}\nmodel: m\n---\n"
HEAD = "from aura_core import ProviderError, Token, Usage, hookimpl\n\n@hookimpl\nasync def stream_chat(request):\n"


@pytest.fixture(autouse=True)
def nothing_was_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins without the words that others have said: only a thousand are logged."""
    monkeypatch.setattr("aura_core.answer.events._told", set())
    monkeypatch.setattr("aura_core.answer.plugin_errors._unknown", set())


def _logged(caplog: pytest.LogCaptureFixture, words: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if words in record.getMessage()]


def test_an_unknown_code_is_an_llm_error_and_logged_once_with_the_plugins_name(
    tmp_path: Path, fake_plugin: FakePlugin, caplog: pytest.LogCaptureFixture
) -> None:
    fake_plugin("newer", HEAD + "    raise ProviderError('no luck', 'overloaded')\n    yield\n")
    fake_plugin("odd", HEAD + "    raise ProviderError('no luck', ['x'])\n    yield\n")
    with AuraServer(tmp_path, {"newer.md": AGENT.format("newer"), "odd.md": AGENT.format("odd")}) as aura:
        for agent in ("newer", "odd", "newer", "odd"):
            assert aura.ask(agent)[-1].data == {"message": "no luck", "code": "llm_error"}
    assert _logged(caplog, "does not exist") == [
        "plugin 'newer' raised ProviderError with the code 'overloaded', which does not exist; taken for llm_error",
        "plugin 'odd' raised ProviderError with the code \"['x']\", which does not exist; taken for llm_error",
    ]


def test_an_unknown_finish_word_is_logged_once_with_the_plugin_and_its_instance(
    tmp_path: Path, fake_plugin: FakePlugin, caplog: pytest.LogCaptureFixture
) -> None:
    fake_plugin("newer", HEAD + "    yield Token('Hi', finish_reason='pause_turn')\n")
    toml = '[providers.mine]\nplugin = "newer"\n'
    with AuraServer(tmp_path, {"a.md": AGENT.format("newer"), "b.md": AGENT.format("mine")}, toml) as aura:
        for agent in ("a", "b", "a", "b"):
            assert aura.ask(agent)[-1].data["finishReason"] == "stop"
    assert _logged(caplog, "does not know") == [
        "plugin 'newer' ended an answer with 'pause_turn', which Aura does not know; taken for stop",
        "plugin 'newer' (mine) ended an answer with 'pause_turn', which Aura does not know; taken for stop",
    ]


def test_what_a_provider_says_of_the_end_and_its_id_are_for_the_log_only(
    tmp_path: Path, fake_plugin: FakePlugin, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "aura")
    fake_plugin(
        "good",
        HEAD + "    yield Token(upstream_id='req_7')\n    yield Token('Hi', finish_reason='content_filter',"
        " usage=Usage(9, 2, 4, 1, 1), detail='hate (high)')\n",
    )
    with AuraServer(tmp_path, {"it.md": AGENT.format("good")}) as aura:
        body = aura.post("it").text
    assert "req_7" not in body
    assert "hate" not in body
    (record,) = [record.fields for record in caplog.records if hasattr(record, "fields")]
    assert (record.detail, record.upstream_id) == ("hate (high)", "req_7")


def test_a_failing_word_keeps_its_detail(
    tmp_path: Path, fake_plugin: FakePlugin, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "aura")
    fake_plugin("bad", HEAD + "    yield Token('Hi', finish_reason='error', detail='out of memory')\n")
    with AuraServer(tmp_path, {"it.md": AGENT.format("bad")}) as aura:
        assert aura.ask("it")[-1].data["code"] == "llm_error"
    (record,) = [record.fields for record in caplog.records if hasattr(record, "fields")]
    assert record.detail == "out of memory"


def test_an_error_class_of_a_plugin_for_0_1_needs_no_new_field(tmp_path: Path, fake_plugin: FakePlugin) -> None:
    fake_plugin(
        "old",
        "from aura_core import ProviderError, Token, hookimpl\n\nclass Old(ProviderError):\n"
        "    def __init__(self, message):\n        Exception.__init__(self, message)\n"
        "        self.message, self.code, self.retry_after = message, 'auth', None\n\n"
        "@hookimpl\nasync def stream_chat(request):\n    raise Old('no key')\n    yield\n",
    )
    with AuraServer(tmp_path, {"it.md": AGENT.format("old")}) as aura:
        assert aura.ask("it")[-1].data == {"message": "no key", "code": "auth"}
