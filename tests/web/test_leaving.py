"""What happens to an answer when its chat is deleted, or its page is left and come back to."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from chat_page import FLAGS, PATIENCE, RECORDS, WORDS, Chat, OpenChat, Serve, echo, ollama, ollama_tokens, ollama_toml

from aura_core.testing import Reply, Upstream


def test_a_chat_deleted_while_it_answers_is_stopped_and_gone(open_chat: OpenChat) -> None:
    with Upstream() as upstream:
        upstream.on("/api/chat", Reply(ollama_tokens("Hello"), ending="stall"))
        chat = open_chat({"local.md": ollama(), "echo.md": echo("Echo")}, toml=ollama_toml(upstream))
        chat.sees(chat.ask("A secret", agent="local"), "Hello")
        chat.more("A secret", "Delete")
        upstream.wait_hangup(timeout=30)
        assert chat.status == "Deleted"
    chat.page.keyboard.press("Escape")
    chat.ended(chat.ask("Something else", agent="echo"))  # by now the page has heard the last of the stopped turn
    assert [turn["question"]["text"] for turn in chat.page.evaluate(RECORDS, "turns")] == ["Something else"]
    assert chat.listed() == ["Something else"]
    chat.page.reload()
    chat.page.locator(".question").wait_for()
    assert chat.page.locator(".question").all_inner_texts() == ["Something else"]


@pytest.fixture
def keeping_page(browser: Any) -> Iterator[Any]:
    """A tab that keeps a page which is left for "back", as everybody's does; playwright switches that off."""
    keeping = browser.browser_type.launch(
        executable_path=shutil.which("chromium"), args=FLAGS, ignore_default_args=["--disable-back-forward-cache"]
    )
    page = keeping.new_page()
    page.set_default_timeout(PATIENCE)
    yield page
    keeping.close()


def test_a_page_restored_from_the_back_forward_cache_works(keeping_page: Any, serve: Serve) -> None:
    server = serve({"echo.md": echo("Echo"), "stalls.md": echo("Stalls", text=WORDS, stall_after=5)})
    chat = Chat(keeping_page, server)
    answer = chat.ask("Hello", agent="stalls")
    chat.sees(answer, "word4")
    chat.page.evaluate("window.kept = true")
    chat.page.goto(f"{server.url}/health")
    chat.page.evaluate("history.back()")
    text = chat.ended(answer)
    assert chat.page.evaluate("window.kept"), "the browser did not keep the page"
    assert "word4" in text
    assert "Stopped: the page was closed" in text
    assert chat.button("Stop").count() == 0
    assert "Again" in chat.ended(chat.ask("Again", agent="echo"))
