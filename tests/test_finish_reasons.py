"""Finish reasons in any provider's words: stop, length, filter, tools, or a failure, which never counts as success."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from aura_core import ProviderError
from aura_core.answer.events import FINISH_REASONS, finish_reason
from aura_core.testing import AuraServer

FakePlugin = Callable[..., None]
HEAD = "from aura_core import Token, hookimpl\n\n@hookimpl\nasync def stream_chat(request):\n"


@pytest.fixture(autouse=True)
def nothing_was_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins without the words that others have said: only a thousand are logged."""
    monkeypatch.setattr("aura_core.answer.events._told", set())
    monkeypatch.setattr("aura_core.answer.plugin_errors._unknown", set())


@pytest.mark.parametrize(
    ("meaning", "words"),
    {
        "stop": "stop STOP end <|eot_id|> end_turn eos eos_token COMPLETE stop_sequence normal stop-sequence"
        " eosFound repetition",
        "length": "length MAX_TOKENS max_output_tokens model_length model_context_window_exceeded Length"
        " maxPredictedTokensReached contextLengthReached truncated max_new_tokens output_limit incomplete",
        "content_filter": "content_filter SAFETY sensitive refusal RECITATION BLOCKLIST PROHIBITED_CONTENT SPII"
        " guardrail_intervened IMAGE_SAFETY content_filter:_SAFETY ERROR_TOXIC flagged policy_violation censored",
        "tool_calls": "tool_calls tool_use function_call TOOL_CALL toolCalls",
    }.items(),
)
def test_a_word_is_the_nearest_of_four(meaning: str, words: str) -> None:
    for word in words.split():
        assert finish_reason(word.replace(":_", ": "), "it") == meaning, word


@pytest.mark.parametrize(
    ("code", "words"),
    {
        "interrupted": "abort Aborted network_error insufficient_system_resource cancelled USER_CANCEL timeout"
        " engine_overloaded rate_limit server_shutdown connection_lost temporarily_unavailable resource_exhausted",
        "llm_error": "error ERROR failed internal_error MALFORMED_FUNCTION_CALL unexpected_tool_call model_crash"
        " malformed_model_output inference_failed",
    }.items(),
)
def test_a_word_of_failure_is_an_error_with_the_word(code: str, words: str) -> None:
    for word in words.split():
        with pytest.raises(ProviderError, match=word) as caught:
            finish_reason(word, "it")
        assert caught.value.code == code, word


@pytest.mark.parametrize("word", ["", "null", "None", " none ", "FINISH_REASON_UNSPECIFIED"])
def test_some_words_say_that_the_answer_goes_on(word: str) -> None:
    assert finish_reason(word, "it") is None


def test_the_lists_contain_normalized_words() -> None:
    assert all(word == word.lower() and "-" not in word for word in FINISH_REASONS)


def test_an_unknown_word_is_logged_once_for_each_plugin(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "aura.relay"):
        for server in ("one", "two", "one", "two"):
            assert finish_reason("Zorp", server) == "stop"
            assert finish_reason("stop", server) == "stop"
    assert [record.getMessage().split()[1] for record in caplog.records] == ["'one'", "'two'"]
    assert all("'Zorp'" in record.getMessage() for record in caplog.records)


def test_a_server_that_invents_words_does_not_flood_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "aura.relay"):
        for number in range(3000):
            finish_reason(f"zorp{number}", "many")
    assert len(caplog.records) <= 1000


@pytest.mark.parametrize("word", ["abort", "Network_Error", "error"])
def test_text_before_a_word_of_failure_stays_and_the_end_is_an_error(
    word: str, tmp_path: Path, fake_plugin: FakePlugin
) -> None:
    fake_plugin(
        "it", HEAD + f"    yield Token('One', finish_reason='')\n    yield Token(' two', finish_reason='{word}')\n"
    )
    with AuraServer(tmp_path, {"it.md": "---\nprovider: it\n---\n"}) as aura:
        *said, last = aura.ask("it")
    assert [event.data["content"] for event in said] == ["One", " two"]
    assert last.name == "error"
    assert word in last.data["message"]


def test_a_failure_after_the_finish_reason_changes_nothing(tmp_path: Path, fake_plugin: FakePlugin) -> None:
    fake_plugin("it", HEAD + "    yield Token('One', finish_reason='stop')\n    yield Token(finish_reason='error')\n")
    with AuraServer(tmp_path, {"it.md": "---\nprovider: it\n---\n"}) as aura:
        assert aura.ask("it")[-1].name == "done"
