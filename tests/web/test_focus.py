"""By keyboard: a long chat has no more tab stops than a short one, and shortcuts lead from message to message."""

from typing import Any

import pytest
from chat_page import Chat, OpenChat, echo

CODE = "Hi\n\n```python\nprint(1)\n```\n\n[link](https://example.com)\n\n```\nx\n```\n\n| a |\n|---|\n| 1 |\n"
# What Tab reaches; playwright's own Tab would take as many steps.
STOPS = """() => [...document.querySelectorAll(".log a[href], .log button, .log summary, .log [tabindex]")]
  .filter((element) => element.tabIndex >= 0 && element.checkVisibility() && !element.disabled).length"""


@pytest.fixture
def chat(open_chat: OpenChat) -> Chat:
    return open_chat({"echo.md": echo("Echo", text=CODE), "slow.md": echo("Slow", text="word", delay=60)})


def label(chat: Chat) -> str:
    read = "(e => e.getAttribute('aria-label') ?? e.textContent.trim().slice(0, 20))(document.activeElement)"
    return str(chat.page.evaluate(read))


def test_tab_stops_do_not_grow_with_the_chat(chat: Chat) -> None:
    chat.ended(chat.ask("Hello", agent="echo"))
    one = chat.page.evaluate(STOPS)
    for number in range(3):
        chat.ended(chat.ask(f"Hello {number}"))
    assert chat.page.evaluate(STOPS) == one
    # After a reload, too, when the answers are painted in an order of their own.
    chat.page.reload()
    chat.page.locator(".answer[data-state]").nth(3).wait_for()
    chat.page.wait_for_function(f"stops => ({STOPS})() === stops", arg=one)
    # All of them are in the last turn; in another one when the focus is there.
    chat.page.locator(".answer").first.get_by_role("button", name="Ask again").focus()
    assert chat.page.evaluate(STOPS) == one
    chat.page.keyboard.press("Shift+Tab")
    assert label(chat) == "Copy: answer"
    assert chat.page.evaluate("document.querySelector('.answer').contains(document.activeElement)")


def test_shortcuts_lead_from_message_to_message_and_to_the_agents(chat: Chat) -> None:
    chat.ended(chat.ask("one", agent="echo"))
    chat.ended(chat.ask("two"))
    seen = []
    for key in ["ArrowUp", "ArrowUp", "ArrowUp", "ArrowUp", "ArrowUp", "ArrowDown"]:
        chat.page.keyboard.press(f"Alt+{key}")
        seen.append(label(chat))
    assert seen == ["Answer of Echo", "You", "Answer of Echo", "You", "You", "Answer of Echo"]
    assert chat.page.evaluate("document.activeElement === document.querySelector('.answer')")
    chat.page.keyboard.press("Tab")
    assert label(chat) == "Copy: python, block 1"
    for _ in range(3):
        chat.page.keyboard.press("Alt+ArrowDown")
    assert label(chat) == "Message"
    chat.message.fill("In a text the arrow moves the caret")
    chat.page.keyboard.press("Alt+ArrowUp")
    assert label(chat) == "Message"
    chat.page.keyboard.press("Alt+p")
    assert label(chat) == "Agent"


def test_buttons_are_named_for_their_block(chat: Chat) -> None:
    answer = chat.ask("Hello", agent="echo")
    chat.ended(answer)
    names = answer.locator("button, pre").evaluate_all("all => all.map((one) => one.ariaLabel ?? one.textContent)")
    assert names == [
        "Copy: python, block 1",
        "Code: python, block 1",
        "Copy: code, block 2",
        "Code: code, block 2",
        "Copy: answer",
        "Ask again",
    ]


def test_a_focus_outline_of_a_finished_answer_is_not_cut_off(chat: Chat) -> None:
    answer = chat.ask("Hello", agent="echo")
    chat.ended(answer)
    assert answer.evaluate("node => getComputedStyle(node).contain") == "content"
    room = """(one) => {
      const outer = one.closest(".answer").getBoundingClientRect();
      const inner = one.getBoundingClientRect();
      const { outlineOffset, outlineWidth, outlineStyle } = getComputedStyle(one);
      const needed = outlineStyle === "none" ? 0 : parseFloat(outlineOffset) + parseFloat(outlineWidth);
      return Math.min(inner.left - outer.left, outer.right - inner.right, outer.bottom - inner.bottom) - needed;
    }"""
    chat.page.keyboard.press("Shift+Tab")
    for stop in answer.locator("button, pre, .table, a").all():
        stop.focus()
        assert stop.evaluate("one => one.matches(':focus-visible')")
        assert stop.evaluate(room) >= 0, stop.evaluate("one => one.outerHTML.slice(0, 100)")
    # That of code stays in its frame, with its corners.
    code = answer.locator("pre").first
    code.focus()
    style = "one => (({ outlineOffset, borderBottomLeftRadius }) => [outlineOffset, borderBottomLeftRadius !== '0px'])"
    assert code.evaluate(f"{style}(getComputedStyle(one))") == ["-2px", True]


def test_focus_returns_where_it_was_after_a_search(page: Any, modules: Any) -> None:
    """The view has a search of its own for hosts whose window has none."""
    modules.evaluate("""async () => {
      document.body.replaceChildren();
      const { mount } = await import("/web/view.js");
      const text = "Walruses live *there*. A walrus, and **wal**ruses.\\n\\n" + "Prose.\\n\\n".repeat(200) + "walrus";
      const answer = { role: "assistant", turn: "b".repeat(24), agent: "a", model: "m", state: "done", text,
        reasoning: "", began: 1, pieces: 1 };
      const chat = { id: "a".repeat(24), agent: "a", title: "t", updated: 1, last: answer.turn };
      const turn = { id: answer.turn, chat: chat.id, after: "", asked: 1, answer,
        question: { text: "Where is the WALRUS?" } };
      mount(document.body, {
        load: async () => ({ chats: [chat], current: chat.id }),
        open: async () => ({ chat, turns: [turn] }),
        onEvent() {}, keepDraft() {}, save() {}, stop() {}, send() {}, ownFind: true,
      });
    }""")
    modules.locator(".answer[data-state]").wait_for()
    message = modules.get_by_role("textbox", name="Message")
    message.focus()
    modules.keyboard.press("Control+f")
    modules.keyboard.type("walrus")
    count = modules.locator(".find .count")
    seen = [count.inner_text()]
    for key in ["Enter", "Enter", "Enter", "Shift+Enter"]:
        modules.keyboard.press(key)
        seen.append(count.inner_text())
    assert seen == ["1 of 4", "2 of 4", "3 of 4", "4 of 4", "3 of 4"]
    assert modules.evaluate("CSS.highlights.get('aura-found').size") == 4
    modules.keyboard.type("x")
    assert count.inner_text() == "Nothing found"
    modules.keyboard.press("Escape")
    assert modules.locator(".find").is_hidden()
    assert modules.evaluate("document.activeElement.name") == "message"
    assert modules.evaluate("CSS.highlights.get('aura-found').size") == 0
