"""The list of chats: search, rename, export, delete and undo; attachments stay with their chat."""

import json
from pathlib import Path
from typing import Any

from chat_page import Chat, OpenChat, Serve, echo


def test_a_chat_is_renamed(open_chat: OpenChat) -> None:
    chat = open_chat({"echo.md": echo("Echo")})
    chat.ended(chat.ask("The first question"))
    chat.more("The first question", "Rename")
    chat.page.get_by_label("Name of the chat").fill("Not this")
    chat.page.keyboard.press("Escape")
    assert chat.listed() == ["The first question"]
    chat.more("The first question", "Rename")
    chat.page.get_by_label("Name of the chat").fill("A better name")
    chat.page.keyboard.press("Enter")
    assert chat.listed() == ["A better name"]
    chat.page.keyboard.press("Escape")
    chat.ended(chat.ask("Another question"))
    assert chat.page.title() == "A better name · Aura"
    chat.page.reload()
    chat.page.locator(".question", has_text="Another question").wait_for()
    assert chat.listed() == ["A better name"]


def test_chats_are_searched_by_name_and_by_text(open_chat: OpenChat) -> None:
    chat = open_chat({"echo.md": echo("Echo"), "cook.md": echo("Cook", text="Take two Onions.")})
    chat.ended(chat.ask("About trains", agent="echo"))
    chat.button("New chat").click()
    chat.ended(chat.ask("About soup", agent="cook"))
    assert chat.listed() == ["About soup", "About trains"]
    search = chat.page.get_by_role("searchbox", name="Search chats")
    search.fill("TRAIN")
    chat.page.locator(".chats .open", has_text="About soup").wait_for(state="detached")
    assert chat.listed() == ["About trains"]
    search.fill("onions")
    chat.page.locator(".chats .open", has_text="About soup").wait_for()
    assert chat.listed() == ["About soup"]
    search.fill("nothing of the kind")
    chat.page.get_by_text("Nothing found.").wait_for()


def test_a_chat_is_exported_as_markdown_and_json(open_chat: OpenChat) -> None:
    chat = open_chat({"echo.md": echo("Echo", text="An **answer**.")})
    chat.ended(chat.ask("A question / with: signs"))
    chat.page.get_by_role("button", name="Ask again").click()
    chat.page.get_by_text("2 of 2").wait_for()
    chat.ended(chat.page.locator(".answer"))
    files = {}
    for kind in ["Markdown", "JSON"]:
        with chat.page.expect_download() as download:
            chat.more("A question / with: signs", f"Export as {kind}")
        files[download.value.suggested_filename] = Path(download.value.path()).read_text()
    assert files["aura-A-question-with-signs.md"] == (
        "# A question / with: signs\n\n## You\n\nA question / with: signs\n\n## Echo (Echo)\n\nAn **answer**.\n"
    )
    exported = json.loads(files["aura-A-question-with-signs.json"])
    assert (exported["format"], exported["version"]) == ("aura-chats", 1)
    (kept,) = exported["chats"]
    assert [turn["answer"]["text"] for turn in kept["turns"]] == ["An **answer**."] * 2


def test_a_deletion_is_undone(open_chat: OpenChat) -> None:
    chat = open_chat({"echo.md": echo("Echo")})
    chat.ended(chat.ask("Precious"))
    chat.message.fill("and a draft")
    chat.more("Precious", "Delete")
    assert chat.page.locator(".question").count() == 0
    assert chat.page.evaluate("document.activeElement.textContent") == "Undo"
    chat.page.keyboard.press("Enter")
    chat.page.locator(".question", has_text="Precious").wait_for()
    assert chat.message.input_value() == "and a draft"
    chat.page.reload()
    chat.page.locator(".question", has_text="Precious").wait_for()
    assert chat.message.input_value() == "and a draft"


def attach(page: Any, name: str, content: bytes) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Attach").click()
    chooser.value.set_files([{"name": name, "mimeType": "text/plain", "buffer": content}])


def test_attachments_stay_with_their_chat_until_removed(page: Any, serve: Serve) -> None:
    agents = serve({"echo.md": echo("Echo")})
    listed = {"id": "echo", "name": "Echo", "description": "", "provider": "echo", "model": None}
    body = {"agents": [listed | {"streaming": True, "error": None, "contextTokens": 100}]}
    page.route("**/api/agents", lambda route: route.fulfill(json=body))
    chat = Chat(page, agents)
    attach(page, "notes.md", b"remember " * 40)
    chips = page.get_by_role("list", name="Attached to this chat")
    chips.get_by_text("notes.md").wait_for()
    assert "380 characters" in chips.inner_text()
    page.get_by_text("About 95 of the 100 tokens that the model takes").wait_for()
    for text in ["one", "two"]:
        chat.ended(chat.ask(text))
        assert "remember remember" in chat.posts[-1].post_data_json["additionalContext"]
    assert "+ notes.md, 380 characters" in page.locator(".question").last.inner_text()
    chat.button("New chat").click()
    assert not chips.is_visible()
    page.reload()
    page.wait_for_selector(".picker option", state="attached")
    chat.button("Chats").click()
    page.locator(".chats .open", has_text="one").click()
    chips.get_by_text("notes.md").wait_for()
    attach(page, "more.md", b"x" * 400)
    page.get_by_text("too much. Remove something.").wait_for()
    for name in ["notes.md", "more.md"]:
        chat.button(f"Remove {name}").click()
    chat.ended(chat.ask("three"))
    assert "additionalContext" not in chat.posts[-1].post_data_json


def test_a_file_that_is_not_text_is_refused_with_a_message(open_chat: OpenChat) -> None:
    chat = open_chat({"echo.md": echo("Echo")})
    attach(chat.page, "a.bin", b"\xff\x00\xfe")
    chat.page.get_by_text("a.bin is not a text file.").wait_for()


def test_attachments_added_while_a_chat_opens_join_the_existing_ones(page: Any, serve: Serve) -> None:
    page.goto(f"{serve().url}/health")
    saved = page.evaluate("""async () => {
      const { mount } = await import("/web/view.js");
      const { newChat } = await import("/web/chat.js");
      const chat = { ...newChat("echo"), title: "Kept" };
      const saved = [];
      let tell, opened;
      mount(document.body, {
        load: async () => ({ chats: [chat], current: chat.id }),
        open: () => new Promise((resolve) => (opened = resolve)),
        onEvent: (listener) => (tell = listener),
        save: ({ chat }) => saved.push(chat.attached),
        keepDraft() {},
        stop() {},
      });
      const until = async (what) => {
        for (let n = 0; n < 1000 && !what(); n++) await new Promise((resolve) => setTimeout(resolve, 10));
      };
      await until(() => opened);
      tell({ type: "attach", label: "new", text: "n" });
      opened({ chat: { ...chat, attached: [{ label: "old", text: "o" }] }, turns: [] });
      await until(() => saved.length);
      return saved;
    }""")
    assert saved == [[{"label": "old", "text": "o"}, {"label": "new", "text": "n"}]]
