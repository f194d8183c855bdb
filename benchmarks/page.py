"""Measure the page: frame times at 500 tokens per second, and the time from a click to the first token.

    python benchmarks/page.py [--tokens 20000]
    python benchmarks/page.py --below 100000 [--rounds 5]

Goals: 95 of 100 frames within 20 ms, at the end of a 20,000-token answer as well; a first token within 100 ms, warm.
`--below` compares the frames of an answer below one of 100,000 tokens with those in an empty chat and below a
screenful, in turns: they should be no worse.
"""

import argparse
import json
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from aura_core.testing import AuraServer

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]

MARKDOWN = """## A heading of a section

A paragraph with *emphasis*, **weight**, `code` and a [link](https://www.example.com/), long enough to fill more
than one line of the page, as answers do.

- a first point
- a second point, with `code`

```python
def answer(question: str) -> str:
    return question.upper()  # as good as any
```

| one | two |
| --- | --- |
| 1   | 2   |

"""

RECORD = """() => {
  const frames = window.frames_ = [];
  let last = performance.now();
  const next = (now) => {
    if (window.frames_ !== frames) return;  // recorded anew
    frames.push([now, now - last]);
    last = now;
    requestAnimationFrame(next);
  };
  requestAnimationFrame(next);
}"""

FIRST_TOKEN = """(prompt) => new Promise((resolve) => {
  const input = document.querySelector("textarea");
  input.value = prompt;
  input.dispatchEvent(new Event("input"));
  const begin = performance.now();
  const look = () => {
    const texts = document.querySelectorAll(".answer .text");
    if (!texts[texts.length - 1]?.textContent) return;
    observer.disconnect();
    // The frame that paints it is over when a task after it runs.
    requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - begin)));
  };
  const observer = new MutationObserver(look);
  observer.observe(document.querySelector(".messages"), { childList: true, subtree: true, characterData: true });
  document.querySelector(".send").click();
})"""


def agent(**options: Any) -> str:
    """An agent file for echo."""
    return f"---\nprovider: echo\noptions: {json.dumps(options)}\n---\n"


def percentile(values: list[float], share: float) -> float:
    """The quantile: this share of the values is not above it."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def figures(deltas: list[float]) -> str:
    """The quantiles of frame times."""
    p95, p99 = percentile(deltas, 0.95), percentile(deltas, 0.99)
    return f"p50 {statistics.median(deltas):5.1f}  p95 {p95:5.1f}  p99 {p99:5.1f}  ms a frame"


def frames(page: Any, name: str, agent_id: str, tokens: int) -> None:
    """Stream one answer and print the frame times of its first and its last five seconds."""
    page.get_by_role("button", name="New chat").click()
    page.get_by_label("Agent").select_option(agent_id)
    page.evaluate(RECORD)
    page.get_by_role("textbox", name="Message").fill("go")
    page.keyboard.press("Enter")
    page.locator(".answer[data-state=done]").wait_for(timeout=(tokens / 500 + 60) * 1000)
    times = page.evaluate("() => window.frames_")
    begin, end = times[0][0], times[-1][0]
    for label, lower, upper in (("first 5 s", begin, begin + 5000), ("last 5 s", end - 5000, end)):
        deltas = [delta for now, delta in times if lower <= now <= upper]
        print(f"{name:<34} {label:<10} {figures(deltas)}")


def all_frames(page: Any) -> list[float]:
    """Stream one answer in the chat that is shown; its frame times."""
    page.evaluate(RECORD)
    page.get_by_role("textbox", name="Message").fill("go")
    page.keyboard.press("Enter")
    page.locator(".answer").last.and_(page.locator("[data-state=done]")).wait_for(timeout=120_000)
    return [delta for _, delta in page.evaluate("() => window.frames_")]


def below(browser: Any, url: str, rounds: int) -> None:
    """Print the frame times of answers in an empty chat, below a screenful, and below a long answer, in turns."""
    pages = {}
    for name in ("empty chat", "below a screenful", "below the long answer"):
        page = pages[name] = browser.new_context(viewport={"width": 1000, "height": 800}).new_page()
        page.goto(url)
        page.wait_for_selector(".picker option", state="attached")
    for name, agent_id in (("below a screenful", "screenful"), ("below the long answer", "long")):
        pages[name].get_by_label("Agent").select_option(agent_id)
        pages[name].get_by_role("textbox", name="Message").fill("go")
        pages[name].keyboard.press("Enter")
        pages[name].locator(".answer[data-state=done]").wait_for(timeout=280_000)
    size = page.evaluate("() => document.querySelector('.answer .text').textContent.length")
    print(f"the long answer has {size:,} characters on the page")
    found: dict[str, list[float]] = {name: [] for name in pages}
    for page in pages.values():
        page.get_by_label("Agent").select_option("short")
    for number in range(rounds):
        for name, page in pages.items():
            if name == "empty chat":
                page.get_by_role("button", name="New chat").click()
            page.bring_to_front()
            deltas = all_frames(page)
            found[name] += deltas
            print(f"round {number + 1}  {name:<22} {figures(deltas)}")
    for name, deltas in found.items():
        print(f"all      {name:<22} {figures(deltas)}")


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tokens", type=int, default=20_000)
    parser.add_argument("--below", type=int, help="tokens of the long answer")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    tokens = options.tokens
    pace = {"tokens": tokens, "tokens_per_second": 500}
    agents = {
        "markdown.md": agent(text=MARKDOWN, **pace),
        "paragraph.md": agent(text="All work and no play makes the model a dull assistant.", **pace),
        "echo.md": agent(),
        "long.md": agent(text=MARKDOWN, tokens=options.below or 1),
        "screenful.md": agent(text=MARKDOWN, tokens=300),
        "short.md": agent(text=MARKDOWN, tokens=5000, tokens_per_second=500),
    }
    with tempfile.TemporaryDirectory() as folder, AuraServer(Path(folder), agents) as server, sync_playwright() as p:
        browser = p.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        if options.below:
            below(browser, server.url, options.rounds)
            return
        page = browser.new_page(viewport={"width": 1000, "height": 800})
        page.goto(server.url)
        page.wait_for_selector(".picker option", state="attached")
        page.get_by_label("Agent").select_option("echo")
        times = [page.evaluate(FIRST_TOKEN, "Hello there") for _ in range(21) if page.wait_for_timeout(150) is None]
        cold, warm, worst = times[0], statistics.median(times[1:]), max(times[1:])
        print(f"click to first painted token: cold {cold:.0f} ms, warm median {warm:.0f} ms, warm worst {worst:.0f} ms")
        frames(page, f"{tokens} tokens of Markdown", "markdown", tokens)
        frames(page, f"{tokens} tokens in one paragraph", "paragraph", tokens)
        browser.close()


if __name__ == "__main__":
    main()
