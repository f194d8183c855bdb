"""Measure how long the page takes to show stored chats: many chats in its database, then a reload.

    python benchmarks/chats.py [--chats 200] [--turns 10000]

Goal: the list and the chat that was shown last within 1 s with 10,000 turns in 200 chats.
"""

import argparse
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

from page import FLAGS, MARKDOWN
from playwright.sync_api import sync_playwright

from aura_core.testing import AuraServer

FILL = """async ([chats, each, text]) => {
  const { Store } = await import("/web/store.js");
  const { newChat, newTurn, take } = await import("/web/chat.js");
  const store = new Store();
  for (let number = 0; number < chats; number++) {
    const chat = newChat("echo");
    const turns = [];
    for (let turn = 0; turn < each; turn++) {
      const made = newTurn(chat, { text: `Question ${turn} of chat ${number}` }, { id: "echo", model: "m" });
      take(made.answer, { type: "token", content: text });
      take(made.answer, { type: "done", totalTokens: 1, finishReason: "stop" });
      made.asked += turn;
      chat.last = made.id;
      turns.push(made);
    }
    chat.title = `Chat ${number}`;
    await store.putTurns(turns);
    await store.patch(chat);
    sessionStorage.setItem("aura.current", chat.id);
  }
}"""

WATCH = """(() => {
  const look = () => {
    if (document.querySelectorAll(".question").length >= window.expected_) window.shown_ = performance.now();
    else requestAnimationFrame(look);
  };
  window.expected_ = EACH;
  requestAnimationFrame(look);
})()"""

LIST = """() => {
  const began = performance.now();
  document.querySelector("[popovertarget=aura-chats]").click();
  return [document.querySelectorAll(".chats .open").length, performance.now() - began];
}"""

SEARCH = """async () => {
  const { Store } = await import("/web/store.js");
  const store = new Store();
  const began = performance.now();
  const found = await store.find("question 3 of chat 7", (await store.chats()).map(({ id }) => id));
  return [found.length, performance.now() - began];
}"""


def measure(page: Any, url: str, chats: int, turns: int) -> None:
    """Fill the database, and load the page five times."""
    page.goto(f"{url}/health")
    page.evaluate(FILL, [chats, turns // chats, MARKDOWN])
    page.add_init_script(WATCH.replace("EACH", str(turns // chats)))
    page.goto(url)
    loads = []
    for _ in range(5):
        page.reload()
        page.wait_for_function("window.shown_ > 0")
        loads.append(page.evaluate("window.shown_"))
    listed, took = page.evaluate(LIST)
    assert listed == chats, listed
    print(f"{turns} turns in {chats} chats: shown after {statistics.median(loads):.0f} ms (goal: 1000)")
    print(f"the list of chats opens in {took:.0f} ms")
    found, took = page.evaluate(SEARCH)
    print(f"a search through all texts takes {took:.0f} ms and finds {found}")


def main() -> None:
    """Measure in a separate browser."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chats", type=int, default=200)
    parser.add_argument("--turns", type=int, default=10_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, AuraServer(Path(folder)) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page()
        page.set_default_timeout(300_000)
        measure(page, server.url, arguments.chats, arguments.turns)
        browser.close()


if __name__ == "__main__":
    main()
