"""Printed, magnified and narrow; what a reader sees when the clock is wrong or all connections are used."""

import re
from typing import Any

from chat_page import PATIENCE, WORDS, Chat, OpenChat, echo

LONG = "Prose of an answer.\n\n" * 120 + "```python\n" + "print(1)  # a long line " * 30 + "\n```\n\nThe end."


def pages(pdf: bytes) -> int:
    return len(re.findall(rb"/Type\s*/Page[^s]", pdf))


def test_printing_gives_the_whole_chat(page: Any, open_chat: OpenChat) -> None:
    chat = open_chat({"echo.md": echo("Echo", text=LONG)})
    chat.ended(chat.ask("The first question"))
    chat.ended(chat.ask("The second question"))
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.querySelector('.log')).overflowY") == "visible"
    height = page.evaluate("document.querySelector('.messages').getBoundingClientRect().height")
    assert height > 5000
    assert page.evaluate("document.documentElement.scrollHeight") >= height
    for hidden in ["header", ".composer", ".bar", ".edit"]:
        assert page.locator(hidden).first.is_hidden(), hidden
    # A4 has about 1,000 pixels of height.
    assert pages(page.pdf(format="A4")) >= height / 1300


def test_at_400_percent_half_of_the_window_belongs_to_the_transcript(page: Any, open_chat: OpenChat) -> None:
    chat = open_chat({"echo.md": echo("Echo", model="a-model-with-a-long-name", text=LONG)})
    chat.ended(chat.ask("Hello"))
    page.set_viewport_size({"width": 320, "height": 256})  # 1280 by 1024 pixels
    chat.message.fill("A message of several lines, as it is written here. " * 5)
    assert page.locator(".log").evaluate("log => log.clientHeight") >= 128
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    for name in ["Chats", "New chat", "Send"]:
        box = chat.button(name).bounding_box()
        assert box["x"] >= 0, name
        assert box["x"] + box["width"] <= 320, name
        assert box["y"] + box["height"] <= 256, name
    page.locator(".log").evaluate("log => (log.scrollTop = 0)")
    chat.button("Jump to latest ↓").click()  # nothing covers it
    page.locator(".jump").wait_for(state="hidden")


def test_a_clock_that_is_set_back_lengthens_no_wait(page: Any, open_chat: OpenChat) -> None:
    page.clock.install()
    agent = echo("Limited", fail_after=0, code="rate_limited", retry_after=19)
    chat = open_chat({"limited.md": agent, "slow.md": echo("Slow", delay=60)}, flags={"server.retries": 0})
    answer = chat.ask("Hello", agent="limited")
    chat.ended(answer)
    hour = "() => { const now = Date.now; Date.now = () => now() - 3_600_000; }"
    page.evaluate(hour)
    page.clock.fast_forward(2000)
    assert re.fullmatch(r"Retry in (1[0-7]|\d) s", answer.locator("button.retry").inner_text())
    slow = chat.ask("Hello", agent="slow")
    page.evaluate(hour)
    page.clock.fast_forward(1000)
    assert re.search(r"(Connecting|Waiting for \S+), \d+ s", slow.locator(".state").inner_text())
    # The same after a reload, which knows the failure only by the time of day.
    page.clock.set_system_time(0)
    page.reload()
    retry = page.locator("button.retry")
    retry.wait_for()
    assert re.fullmatch(r"Retry in 1?\d s", retry.inner_text())


def test_an_answer_that_waits_for_a_connection_says_so(open_chat: OpenChat) -> None:
    agent = {"stalls.md": echo("Stalls", text=WORDS, stall_after=2)}
    first = open_chat(agent)
    tabs = [first]
    for _ in range(6):
        page = first.page.context.new_page()
        page.set_default_timeout(PATIENCE)
        tabs.append(Chat(page, first.server))
    for tab in tabs[:6]:
        tab.sees(tab.ask("Hello"), "word1")
    last = tabs[6].ask("Hello")
    tabs[6].sees(last, r"Waiting for a connection, \d+ s: 6 answers are running in other tabs")
    tabs[0].button("Stop").click()
    tabs[6].sees(last, "word1")
    assert "connection" not in last.inner_text()
