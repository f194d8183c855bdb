"""Stored chats survive reloads, crashes, full and blocked storage, damaged records, and two tabs with one chat."""

import contextlib
import json
import os
import random
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_page import (
    FLAGS,
    OLLAMA_END,
    PATIENCE,
    RECORDS,
    WORDS,
    Chat,
    OpenChat,
    Serve,
    echo,
    ollama,
    ollama_tokens,
    ollama_toml,
)

from aura_core.testing import Reply, Upstream

Launch = Callable[..., Any]
# Damage a record in the page's database.
SPOIL = """([store, record]) => new Promise((resolve) => {
  const request = indexedDB.open("aura");
  request.onsuccess = () => {
    const transaction = request.result.transaction(store, "readwrite");
    transaction.objectStore(store).put(record);
    transaction.oncomplete = () => (request.result.close(), resolve());
  };
})"""


@pytest.fixture
def profile(browser: Any, tmp_path: Path) -> Iterator[Launch]:
    """A browser with a profile on disk: `profile(cookies=2)` starts it, also again after it was killed."""
    folder = tmp_path / "profile"
    running: list[Any] = []

    def launch(**content_settings: int) -> Any:
        preferences = folder / "Default" / "Preferences"
        if content_settings:
            preferences.parent.mkdir(parents=True)
            values = {"profile": {"default_content_setting_values": content_settings}}
            preferences.write_text(json.dumps(values))
        context = browser.browser_type.launch_persistent_context(
            folder, executable_path=shutil.which("chromium"), args=FLAGS
        )
        context.set_default_timeout(PATIENCE)
        running.append(context)
        return context.pages[0]

    yield launch
    from playwright.sync_api import Error

    for context in running:
        with contextlib.suppress(Error):  # it was killed
            context.close()


def kill_browser(folder: Path) -> None:
    """Kill the browser of this profile, as in a crash."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_text().split("\0")
        except OSError:
            continue
        if f"--user-data-dir={folder}" in words and not any(word.startswith("--type=") for word in words):
            os.kill(int(process.name), signal.SIGKILL)


def second_tab(chat: Chat) -> Chat:
    page = chat.page.context.new_page()
    page.set_default_timeout(PATIENCE)
    return Chat(page, chat.server)


def open_chat_of(chat: Chat, title: str) -> None:
    chat.button("Chats").click()
    chat.page.locator(".chats .open", has_text=title).click()
    chat.page.locator(".question", has_text=title).first.wait_for()


def questions(chat: Chat) -> list[str]:
    return list(chat.page.locator(".question").all_inner_texts())


def test_a_browser_that_blocks_site_data_says_so_and_answers(profile: Launch, serve: Serve) -> None:
    chat = Chat(profile(cookies=2), serve({"echo.md": echo("Echo")}))
    notice = chat.page.get_by_role("alert")
    notice.get_by_text("The browser blocks this site's data").wait_for()
    assert "Hello" in chat.ended(chat.ask("Hello"))
    notice.get_by_text("Not stored: “Hello”").wait_for()
    chat.button("New chat").click()
    chat.ended(chat.ask("Another"))
    assert chat.listed() == ["Another", "Hello"]
    chat.page.keyboard.press("Escape")
    with chat.page.expect_download() as download:
        notice.get_by_role("button", name="Export").click()
    exported = json.loads(Path(download.value.path()).read_text())
    assert {turn["question"]["text"] for kept in exported["chats"] for turn in kept["turns"]} == {"Hello", "Another"}
    # Leaving would lose data, so the browser asks.
    asked: list[str] = []
    chat.page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    chat.page.reload()
    assert asked == ["beforeunload"]


def test_a_token_is_asked_for_where_the_browser_blocks_site_data(profile: Launch, serve: Serve) -> None:
    page = profile(cookies=2)
    page.goto(serve({"echo.md": echo("Echo")}, environ={"AURA_TOKEN": "s3cret"}).url)
    page.get_by_label("Token", exact=True).fill("s3cret")
    page.get_by_label("Remember it").check()
    page.keyboard.press("Enter")
    page.wait_for_selector(".picker option", state="attached")


def test_a_full_disk_loses_no_stored_chat_and_shows_what_is_not_stored(page: Any, serve: Serve) -> None:
    server = serve({"echo.md": echo("Echo"), "long.md": echo("Long", text="word", tokens=190_000)})
    quota = page.context.new_cdp_session(page)
    # Before the first write: the browser caches the available space for a while.
    quota.send("Storage.overrideQuotaForOrigin", {"origin": server.url, "quotaSize": 300_000})
    chat = Chat(page, server)
    chat.ended(chat.ask("The first chat", agent="echo"))
    chat.button("New chat").click()
    chat.ended(chat.ask("Too long for the disk", agent="long"))
    notice = chat.page.get_by_role("alert")
    notice.get_by_text("no space left for chats").wait_for()
    assert "Not stored: “Too long for the disk”" in notice.inner_text()
    # The page still has what it could not store, and stores it as soon as there is space again.
    quota.send("Storage.overrideQuotaForOrigin", {"origin": chat.server.url, "quotaSize": 300_000_000})
    chat.more("The first chat", "Delete")
    notice.wait_for(state="hidden")
    chat.button("Undo: restore The first chat").click()
    chat.page.keyboard.press("Escape")
    chat.page.reload()
    chat.page.locator(".answer .text", has_text="word word").wait_for()
    assert chat.listed() == ["Too long for the disk", "The first chat"]


def test_a_very_long_answer_evicts_nothing(open_chat: OpenChat) -> None:
    chat = open_chat({"echo.md": echo("Echo"), "long.md": echo("Long", text="word", tokens=190_000)})
    for number in range(3):
        chat.ended(chat.ask(f"Chat {number}", agent="echo"))
        chat.button("New chat").click()
    for number in range(3):
        chat.ended(chat.ask(f"Long {number}", agent="long"))
    chat.ended(chat.ask("After that", agent="echo"))
    chat.page.reload()
    chat.page.locator(".question", has_text="After that").wait_for()
    assert questions(chat) == ["Long 0", "Long 1", "Long 2", "After that"]
    assert chat.listed() == ["Long 0", "Chat 2", "Chat 1", "Chat 0"]


def test_more_than_fifty_chats_are_kept(open_chat: OpenChat) -> None:
    chat = open_chat({"echo.md": echo("Echo")})
    for number in range(55):
        chat.ended(chat.ask(f"Chat {number}"))
        chat.button("New chat").click()
    chat.page.reload()
    chat.page.wait_for_selector(".picker option", state="attached")
    assert len(chat.listed()) == 55


def test_a_damaged_record_affects_no_other(open_chat: OpenChat) -> None:
    chat = open_chat({"echo.md": echo("Echo")})
    chat.ended(chat.ask("The first chat"))
    for text in ["one", "two", "three"]:
        chat.ended(chat.ask(text))
    chat.button("New chat").click()
    chat.ended(chat.ask("The second chat"))
    heads = {head["title"]: head for head in chat.page.evaluate(RECORDS, "chats")}
    turns = {turn["question"]["text"]: turn for turn in chat.page.evaluate(RECORDS, "turns")}
    chat.page.evaluate(SPOIL, ["chats", {"id": heads["The first chat"]["id"], "title": 7}])
    broken = {"id": turns["two"]["id"], "chat": turns["two"]["chat"], "answer": "gone"}
    chat.page.evaluate(SPOIL, ["turns", broken])
    chat.page.reload()
    chat.page.locator(".question", has_text="The second chat").wait_for()
    assert chat.listed() == ["The second chat", "The first chat"]
    chat.page.keyboard.press("Escape")
    open_chat_of(chat, "The first chat")
    assert questions(chat) == ["The first chat", "one", "three"]
    chat.page.get_by_text("1 turn of this chat cannot be read.").wait_for()
    chat.ended(chat.ask("four"))
    assert broken in chat.page.evaluate(RECORDS, "turns")


def test_a_lost_record_affects_no_other(profile: Launch, serve: Serve, tmp_path: Path) -> None:
    text = random.Random(1).randbytes(30_000).hex()  # text that the browser cannot compress
    server = serve({"echo.md": echo("Echo"), "long.md": echo("Long", text=text, tokens=4)})
    chat = Chat(profile(), server)
    chat.ended(chat.ask("one", agent="echo"))
    chat.ended(chat.ask("two", agent="long"))
    chat.ended(chat.ask("three", agent="echo"))
    chat.page.wait_for_timeout(500)
    kill_browser(tmp_path / "profile")
    # Chromium stores a long record in a separate file.
    lost = [path for path in (tmp_path / "profile/Default/IndexedDB").glob("*.blob/**/*") if path.is_file()]
    assert lost
    for path in lost:
        path.unlink()
    chat = Chat(profile(), server)
    open_chat_of(chat, "one")
    chat.page.get_by_text("1 turn of this chat cannot be read.").wait_for()
    assert questions(chat) == ["one", "three"]


def test_a_turn_missing_in_its_chat_is_shown(open_chat: OpenChat) -> None:
    chat = open_chat({"echo.md": echo("Echo")})
    for text in ["one", "two", "three"]:
        chat.ended(chat.ask(text))
    (head,) = chat.page.evaluate(RECORDS, "chats")
    first = next(turn["id"] for turn in chat.page.evaluate(RECORDS, "turns") if turn["question"]["text"] == "one")
    chat.page.evaluate(SPOIL, ["chats", head | {"last": first}])
    chat.page.reload()
    chat.page.locator(".question", has_text="three").wait_for()
    assert questions(chat) == ["one", "two", "three"]


def test_two_tabs_on_one_chat_lose_no_turn(open_chat: OpenChat) -> None:
    one = open_chat({"echo.md": echo("Echo")})
    one.ended(one.ask("From the first tab"))
    two = second_tab(one)
    open_chat_of(two, "From the first tab")
    two.ended(two.ask("From the second tab"))
    one.page.locator(".question", has_text="From the second tab").wait_for()
    one.ended(one.ask("From the first again"))
    two.page.locator(".answer .text", has_text="From the first again").wait_for()
    for chat in [one, two]:
        chat.page.reload()
        chat.page.locator(".question", has_text="From the first again").wait_for()
        assert questions(chat) == ["From the first tab", "From the second tab", "From the first again"]
    assert one.page.evaluate("Object.keys(localStorage)") == []


def test_an_answer_that_runs_in_one_tab_is_shown_running_in_another(open_chat: OpenChat) -> None:
    with Upstream() as upstream:
        more, end = threading.Event(), threading.Event()
        parts = [*ollama_tokens("Hello"), more, *ollama_tokens(" there"), end, OLLAMA_END]
        upstream.on("/api/chat", Reply(parts))
        one = open_chat({"local.md": ollama()}, toml=ollama_toml(upstream))
        one.sees(one.ask("Hi"), "Hello")
        one.page.wait_for_timeout(1500)  # by then it is stored
        two = second_tab(one)
        open_chat_of(two, "Hi")
        answer = two.page.locator(".answer")
        two.sees(answer, "Answering")
        assert "Stopped" not in answer.inner_text()
        more.set()
        two.sees(answer, "Hello there")
        # Showing another chat in the second tab stops nothing.
        two.button("New chat").click()
        open_chat_of(two, "Hi")
        end.set()
        for chat in [one, two]:
            text = chat.ended(chat.page.locator(".answer"))
            assert "Hello there" in text
            assert "Stopped" not in text


def test_stop_in_another_tab_stops_the_answer(open_chat: OpenChat) -> None:
    with Upstream() as upstream:
        upstream.on("/api/chat", Reply(ollama_tokens("Hello"), ending="stall"))
        one = open_chat({"local.md": ollama()}, toml=ollama_toml(upstream))
        one.sees(one.ask("Hi"), "Hello")
        two = second_tab(one)
        open_chat_of(two, "Hi")
        two.button("Stop").click()
        upstream.wait_hangup(timeout=30)
        for chat in [one, two]:
            assert "Stopped" in chat.ended(chat.page.locator(".answer"))


def test_an_answer_whose_tab_crashed_is_stopped_in_the_other(open_chat: OpenChat) -> None:
    one = open_chat({"slow.md": echo("Slow", text=WORDS, stall_after=20)})
    one.sees(one.ask("Hello"), "word19")
    one.page.wait_for_timeout(1500)
    two = second_tab(one)
    open_chat_of(two, "Hello")
    two.sees(two.page.locator(".answer"), "Answering")
    from playwright.sync_api import Error

    with one.page.expect_event("crash"), contextlib.suppress(Error):
        one.page.goto("chrome://crash")
    text = two.ended(two.page.locator(".answer"))
    assert "word19" in text
    assert "Stopped: the page was closed" in text


def test_a_chat_deleted_in_one_tab_does_not_come_back_from_another(open_chat: OpenChat) -> None:
    one = open_chat({"echo.md": echo("Echo"), "slow.md": echo("Slow", text=WORDS, stall_after=20)})
    one.ended(one.ask("To be deleted", agent="echo"))
    two = second_tab(one)
    open_chat_of(two, "To be deleted")
    answer = two.ask("Still running", agent="slow")
    two.sees(answer, "word19")
    two.message.fill("What I am writing here")
    one.more("To be deleted", "Delete")
    two.page.get_by_text("“To be deleted” was deleted in another tab or window.").wait_for()
    assert questions(two) == []
    assert two.message.input_value() == "What I am writing here"
    two.ended(two.ask("Something else", agent="echo"))
    for chat in [one, two]:
        chat.page.reload()
        chat.page.wait_for_selector(".picker option", state="attached")
        assert chat.listed() == ["Something else"]


def test_a_deletion_is_undone_from_either_tab(open_chat: OpenChat) -> None:
    one = open_chat({"echo.md": echo("Echo")})
    one.ended(one.ask("Precious"))
    two = second_tab(one)
    open_chat_of(two, "Precious")
    one.more("Precious", "Delete")
    two.button("Undo").click()
    two.page.locator(".question", has_text="Precious").wait_for()
    one.page.keyboard.press("Escape")
    assert one.listed() == ["Precious"]
    one.page.reload()
    one.page.wait_for_selector(".picker option", state="attached")
    assert one.listed() == ["Precious"]


def test_a_crash_in_mid_answer_loses_nothing_that_was_kept(profile: Launch, serve: Serve, tmp_path: Path) -> None:
    agents = {"echo.md": echo("Echo"), "slow.md": echo("Slow", text=WORDS, tokens=5000, tokens_per_second=100)}
    server = serve(agents)
    chat = Chat(profile(), server)
    chat.ended(chat.ask("The first chat", agent="echo"))
    chat.ended(chat.ask("Its second turn", agent="echo"))
    chat.button("New chat").click()
    chat.sees(chat.ask("Running", agent="slow"), "word59")
    chat.page.wait_for_timeout(2000)
    chat.page.get_by_role("textbox", name="Message").fill("What I am writing")
    chat.page.wait_for_timeout(200)
    kill_browser(tmp_path / "profile")
    chat = Chat(profile(), server)
    assert chat.listed() == ["Running", "The first chat"]
    chat.page.keyboard.press("Escape")
    open_chat_of(chat, "Running")
    text = chat.ended(chat.page.locator(".answer"))
    assert "word59" in text
    assert "Stopped: the page was closed" in text
    assert chat.page.get_by_role("textbox", name="Message").input_value() == "What I am writing"
    open_chat_of(chat, "The first chat")
    assert questions(chat) == ["The first chat", "Its second turn"]


def test_chats_of_aura_0_1_are_imported(page: Any, serve: Serve) -> None:
    server = serve({"echo.md": echo("Echo")})
    page.goto(f"{server.url}/health")
    page.evaluate("""() => {
      const answer = (turn, text, state) => ({
        role: "assistant", turn: turn.repeat(24), agent: "echo", model: "m",
        state, text, reasoning: "", began: 5, pieces: 1,
      });
      const messages = [
        { role: "user", text: "Old question", attached: [{ label: "notes", text: "some notes" }] },
        answer("1", "Half", "failed"),
        answer("2", "Whole", "done"),
        { role: "user", text: "Next question" },
        answer("3", "Next answer", "done"),
      ];
      const keep = (chat) => localStorage.setItem(`aura.chat.${chat.id}`, JSON.stringify(chat));
      const other = [messages[3], answer("4", "x", "done")];
      keep({ id: "a".repeat(24), agent: "echo", updated: 9, messages });
      keep({ id: "b".repeat(24), agent: "echo", updated: 8, messages: other });
      localStorage.setItem(`aura.chat.${"c".repeat(24)}`, "{");
    }""")
    chat = Chat(page, server)
    assert chat.listed() == ["Old question", "Next question"]
    chat.page.keyboard.press("Escape")
    open_chat_of(chat, "Old question")
    chat.page.locator(".answer .text", has_text="Next answer").wait_for()
    assert questions(chat)[1] == "Next question"
    assert "notes" in questions(chat)[0]
    assert [text for text in page.locator(".answer .text").all_inner_texts() if text] == ["Whole", "Next answer"]
    page.get_by_role("button", name="Earlier version").click()
    page.locator(".answer .text", has_text="Half").wait_for()
    # What cannot be read is not deleted.
    assert page.evaluate("Object.keys(localStorage)") == ["aura.chat." + "c" * 24]
    page.reload()
    page.wait_for_selector(".picker option", state="attached")
    assert len(chat.listed()) == 2


def test_a_draft_survives_a_reload_and_another_chat(open_chat: OpenChat) -> None:
    chat = open_chat({"echo.md": echo("Echo")})
    chat.ended(chat.ask("The first chat"))
    chat.message.press_sequentially("Half a thought")
    chat.page.reload()
    chat.page.locator(".question").wait_for()
    assert chat.message.input_value() == "Half a thought"
    chat.button("New chat").click()
    assert chat.message.input_value() == ""
    chat.message.press_sequentially("Another thought")
    open_chat_of(chat, "The first chat")
    assert chat.message.input_value() == "Half a thought"
    assert sorted(chat.listed()) == ["Draft: Another thought", "The first chat"]
