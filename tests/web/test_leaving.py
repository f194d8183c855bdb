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


AT_ONCE = """([selector, value]) => {
  const element = document.querySelector(selector);
  if (value) {
    element.value = value;
    element.blur();
  } else {
    element.click();
  }
  location.reload();
}"""


def changed_and_reloaded_at_once(chat: Chat, selector: str, value: str = "") -> None:
    """Click the element, or leave this value in it, and reload in the same task: nothing can be written in between."""
    with chat.page.expect_navigation():
        chat.page.evaluate(AT_ONCE, [selector, value])
    chat.page.wait_for_selector(".picker option", state="attached")


def test_what_was_changed_right_before_a_reload_is_stored(open_chat: OpenChat) -> None:
    chat = open_chat({"echo.md": echo("Echo")})
    with chat.page.expect_file_chooser() as chooser:
        chat.button("Attach").click()
    chooser.value.set_files([{"name": "notes.md", "mimeType": "text/plain", "buffer": b"remember"}])
    chat.button("Remove notes.md").wait_for()
    chat.ended(chat.ask("What is one?"))
    chat.ended(chat.ask("And then?"))
    chat.button("Edit").first.click()
    chat.message.fill("What is two?")
    chat.page.keyboard.press("Enter")
    chat.page.get_by_text("2 of 2").wait_for()
    chat.ended(chat.page.locator(".answer"))
    changed_and_reloaded_at_once(chat, "[aria-label='Earlier version']")
    chat.page.locator(".question", has_text="And then?").wait_for()
    assert chat.page.get_by_text("1 of 2").is_visible()
    changed_and_reloaded_at_once(chat, "[aria-label='Remove notes.md']")
    chat.page.locator(".question", has_text="And then?").wait_for()
    assert chat.page.get_by_role("list", name="Attached to this chat").is_hidden()
    chat.more("What is two?", "Rename")
    changed_and_reloaded_at_once(chat, "[aria-label='Name of the chat']", "A better name")
    assert chat.listed() == ["A better name"]
    chat.button("More for A better name").click()
    # A deletion begins when the list says so.
    chat.page.evaluate("""() => {
      const list = document.querySelector(".chats ul");
      new MutationObserver(() => location.reload()).observe(list, { childList: true });
    }""")
    with chat.page.expect_navigation():
        chat.button("Delete A better name").click()
    chat.page.wait_for_selector(".picker option", state="attached")
    assert chat.listed() == []
    assert chat.page.evaluate(RECORDS, "turns") == []
