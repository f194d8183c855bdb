"""The page as a person sees it, and the agents for its tests."""

import json
import re
from collections.abc import Callable
from typing import Any

from aura_core.testing import AuraServer, Upstream

Serve = Callable[..., AuraServer]
OpenChat = Callable[..., "Chat"]

# Milliseconds that any step may take; the machine may be busy.
PATIENCE = 60_000

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-smooth-scrolling",  # a turn of the wheel is over at once
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]

WORDS = " ".join(f"word{number}" for number in range(60))


def echo(name: str, model: str = "", **options: Any) -> str:
    return f"---\nname: {name}\nprovider: echo\nmodel: {model or 'null'}\noptions: {json.dumps(options)}\n---\n"


def ollama(model: str = "qwen2.5-coder") -> str:
    return f"---\nname: Local\nprovider: ollama\nmodel: {model}\n---\n"


def ollama_toml(upstream: Upstream) -> str:
    return f'[providers.ollama]\nbase_url = "{upstream.url}"\n'


def ollama_tokens(*texts: str) -> list[bytes]:
    return [json.dumps({"message": {"content": text}, "done": False}).encode() + b"\n" for text in texts]


OLLAMA_END = b'{"message":{"content":""},"done":true,"done_reason":"stop","prompt_eval_count":4,"eval_count":4}\n'


# The search of hosts whose window has none, here with matches: the page itself leaves Ctrl+F to the browser.
OPEN_FIND = """async () => {
  const { Find } = await import("/web/find.js");
  const log = document.querySelector(".log");
  const find = new Find(log);
  log.after(find.element);
  find.open();
}"""


def open_search(page: Any, text: str) -> None:
    """Search for a text that is on the page."""
    page.evaluate(OPEN_FIND)
    page.keyboard.type(text)
    page.locator(".find .count").get_by_text("1 of").wait_for()


# The page's database: every record of a store.
RECORDS = """(store) => new Promise((resolve, reject) => {
  const request = indexedDB.open("aura");
  request.onerror = () => reject(request.error);
  request.onupgradeneeded = () => reject(new Error("the page has no database"));
  request.onsuccess = () => {
    const all = request.result.transaction(store).objectStore(store).getAll();
    all.onsuccess = () => (request.result.close(), resolve(all.result));
  };
})"""


class Chat:
    """The page, as a person sees it."""

    def __init__(self, page: Any, server: AuraServer) -> None:
        self.page = page
        self.server = server
        self.posts: list[Any] = []
        page.on("request", lambda request: self.posts.append(request) if request.method == "POST" else None)
        page.goto(server.url)
        page.wait_for_selector(".picker option", state="attached")

    def ask(self, text: str, agent: str | None = None) -> Any:
        """Send a message with Enter; return the answer's element."""
        if agent:
            self.page.get_by_label("Agent").select_option(agent)
        count = self.page.locator(".answer").count()
        self.page.get_by_role("textbox", name="Message").fill(text)
        self.page.keyboard.press("Enter")
        answer = self.page.locator(".answer").nth(count)
        answer.wait_for()
        return answer

    def button(self, name: str) -> Any:
        return self.page.get_by_role("button", name=name, exact=True)

    def more(self, title: str, does: str) -> None:
        """Choose an action for a chat of the list, such as "Delete"."""
        if not self.page.locator(".chats").is_visible():
            self.button("Chats").click()
        if self.button(f"{does} {title}").count() == 0:
            self.button(f"More for {title}").click()
        self.button(f"{does} {title}").click()
        if does == "Delete":
            self.page.get_by_text(f"Deleted: {title}").wait_for()

    def listed(self) -> list[str]:
        """The names of the chats in the list."""
        if not self.page.locator(".chats").is_visible():
            self.button("Chats").click()
        return list(self.page.locator(".chats .open span").all_inner_texts())

    @property
    def message(self) -> Any:
        return self.page.get_by_role("textbox", name="Message")

    def ended(self, answer: Any) -> str:
        """Wait for the end of an answer; return its complete text on the page."""
        answer.locator("xpath=self::*[@data-state]").wait_for()
        return str(answer.inner_text())

    def sees(self, answer: Any, text: str) -> None:
        answer.get_by_text(re.compile(text)).first.wait_for()

    @property
    def status(self) -> str:
        return str(self.page.get_by_role("status").text_content())
