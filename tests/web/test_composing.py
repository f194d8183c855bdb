"""The message field: text of an input method is not sent; questions can be recalled, edited and asked again."""

from typing import Any

import pytest
from chat_page import WORDS, Chat, OpenChat, echo

# A key that the input method handles: Safari reports it after the composition, with the code 229.
SAFARI = """(key) => {
  const event = new KeyboardEvent("keydown", { key, keyCode: 229, bubbles: true, cancelable: true });
  document.activeElement.dispatchEvent(event);
}"""


@pytest.fixture
def chat(open_chat: OpenChat) -> Chat:
    return open_chat({"echo.md": echo("Echo"), "slow.md": echo("Slow", text=WORDS, stall_after=5)})


def compose(chat: Chat, text: str) -> Any:
    """Start a composition with an input method, as Chromium reports it."""
    chat.message.focus()
    keys = chat.page.context.new_cdp_session(chat.page)
    keys.send("Input.imeSetComposition", {"text": text, "selectionStart": len(text), "selectionEnd": len(text)})
    return keys


def press_for_the_input_method(keys: Any, key: str) -> None:
    keys.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", "key": key, "windowsVirtualKeyCode": 229})


def test_enter_accepts_a_word_of_the_input_method_and_sends_nothing(chat: Chat) -> None:
    keys = compose(chat, "にほん")
    press_for_the_input_method(keys, "Enter")
    keys.send("Input.insertText", {"text": "日本"})
    chat.page.evaluate(SAFARI, "Enter")
    assert chat.message.input_value() == "日本"
    assert chat.posts == []
    chat.page.keyboard.press("Enter")
    assert "日本" in chat.ended(chat.page.locator(".answer"))


def test_escape_cancels_a_composition_and_not_the_answer(chat: Chat) -> None:
    answer = chat.ask("Hello", agent="slow")
    chat.sees(answer, "word4")
    keys = compose(chat, "にほん")
    press_for_the_input_method(keys, "Escape")
    chat.page.evaluate(SAFARI, "Escape")
    assert chat.button("Stop").is_visible()
    keys.send("Input.imeSetComposition", {"text": "", "selectionStart": 0, "selectionEnd": 0})
    chat.page.keyboard.press("Escape")
    assert "Stopped" in chat.ended(answer)


def test_arrow_up_recalls_earlier_questions(chat: Chat) -> None:
    chat.ended(chat.ask("one"))
    chat.ended(chat.ask("two"))
    seen = []
    for key in ["ArrowUp", "ArrowUp", "ArrowUp", "ArrowDown", "ArrowDown"]:
        chat.page.keyboard.press(key)
        seen.append(chat.message.input_value())
    assert seen == ["two", "one", "one", "two", ""]
    # In a message that is not empty the arrows move the caret.
    chat.page.keyboard.type("mine")
    chat.page.keyboard.press("ArrowUp")
    assert chat.message.input_value() == "mine"


def test_a_question_is_edited_and_both_versions_stay(chat: Chat) -> None:
    chat.ended(chat.ask("What is one?"))
    chat.ended(chat.ask("And then?"))
    chat.message.fill("a draft of mine")
    chat.page.locator(".asked").first.get_by_role("button", name="Edit").click()
    assert chat.message.input_value() == "What is one?"
    chat.message.fill("What is two?")
    chat.page.keyboard.press("Enter")
    chat.page.get_by_text("2 of 2").wait_for()
    chat.ended(chat.page.locator(".answer", has_text="What is two?"))
    assert chat.posts[-1].post_data_json == {"prompt": "What is two?", "conversationHistory": []}
    assert chat.page.locator(".question").all_inner_texts() == ["What is two?"]
    assert chat.message.input_value() == "a draft of mine"
    # The earlier version is restored with the turns that followed it; also by keyboard.
    chat.button("Earlier version").focus()
    chat.page.keyboard.press("Enter")
    chat.page.locator(".question", has_text="And then?").wait_for()
    assert chat.page.locator(".question").all_inner_texts() == ["What is one?", "And then?"]
    assert chat.page.evaluate("document.activeElement.ariaLabel") == "Later version"
    assert chat.status == "Version 1 of 2"
    chat.page.reload()
    chat.page.locator(".question", has_text="And then?").wait_for()
    assert chat.page.get_by_text("1 of 2").is_visible()


def test_a_cancelled_edit_restores_the_draft(chat: Chat) -> None:
    chat.ended(chat.ask("What is one?"))
    chat.message.fill("a draft of mine")
    chat.button("Edit").click()
    chat.page.keyboard.type(" Or two?")
    # If the page is lost in the middle of an edit, neither is lost.
    chat.page.reload()
    chat.page.locator(".question").wait_for()
    assert chat.message.input_value() == "a draft of mine\n\nWhat is one? Or two?"
    chat.message.fill("a draft of mine")
    chat.button("Edit").click()
    chat.page.keyboard.press("Escape")
    assert chat.message.input_value() == "a draft of mine"


def test_ask_again_replaces_and_keeps_the_versions(chat: Chat) -> None:
    chat.ended(chat.ask("Hello"))
    chat.page.get_by_role("button", name="Ask again").click()
    chat.page.get_by_text("2 of 2").wait_for()
    chat.ended(chat.page.locator(".answer"))
    assert chat.page.locator(".answer").count() == 1
    assert chat.posts[-1].post_data_json == {"prompt": "Hello", "conversationHistory": []}
    chat.ended(chat.ask("Next"))
    said = [message["content"] for message in chat.posts[-1].post_data_json["conversationHistory"]]
    assert said == ["Hello", "Hello"]


def test_a_failure_that_cannot_be_retried_offers_next_steps(open_chat: OpenChat) -> None:
    fails = echo("Fails", text="Half an answer", fail_after=2, code="auth")
    chat = open_chat({"fails.md": fails, "echo.md": echo("Echo")})
    answer = chat.ask("Hello", agent="fails")
    chat.ended(answer)
    assert answer.get_by_role("button").all_inner_texts() == [
        "Continue",
        "Edit the question",
        "Choose another agent",
        "Ask again",
        "Copy",
    ]
    answer.get_by_role("button", name="Choose another agent").click()
    assert chat.page.evaluate("document.activeElement.ariaLabel") == "Agent"
    chat.page.get_by_label("Agent").select_option("echo")
    answer.get_by_role("button", name="Ask again").click()
    chat.page.get_by_text("2 of 2").wait_for()
    chat.ended(chat.page.locator(".answer[aria-label='Answer of Echo']"))
    assert chat.posts[-1].url.endswith("/echo/chat/stream")
    chat.button("Earlier version").click()
    chat.page.locator(".failure").get_by_role("button", name="Edit the question").click()
    assert chat.message.input_value() == "Hello"
    chat.page.keyboard.press("Escape")
    chat.page.locator(".failure").get_by_role("button", name="Continue").click()
    chat.page.locator(".question", has_text="Continue where you stopped.").wait_for()
    said = [message["content"] for message in chat.posts[-1].post_data_json["conversationHistory"]]
    assert said == ["Hello", "Half an"]
