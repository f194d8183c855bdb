"""Create the pictures of docs/page.md: `python tests/web/screenshots.py` writes them into docs/images."""

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from aura_core.testing import AuraServer

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from chat_page import FLAGS  # noqa: E402  # the same Chromium as the tests'

IMAGES = HERE.parents[1] / "docs" / "images"
LIMIT = 150_000

ANSWER = """Read the file **line by line** instead of all at once; the memory then stays flat:

```python
def longest_line(path: Path) -> str:
    with path.open(encoding="utf-8") as lines:
        return max(lines, key=len, default="")
```

1. `open` gives an iterator, so only one line is held at a time.
2. `max` keeps the longest so far; `default` covers an empty file.

| file | before | after |
| --- | ---: | ---: |
| 10 MB | 31 MB | 9 MB |
| 1 GB | 2.9 GB | 9 MB |
"""


def agent(name: str, description: str, **options: Any) -> str:
    """An agent file with a script."""
    head = {"name": name, "description": description, "provider": "echo", "model": "scripted", "options": options}
    return "---\n" + "".join(f"{key}: {json.dumps(value)}\n" for key, value in head.items()) + "---\n"


AGENTS = {
    "code-assistant.md": agent(
        "Code Assistant",
        "Answers questions about this codebase.",
        text=ANSWER,
        tokens_per_second=120,
        reasoning="They read the whole file into memory. A generator is enough here.",
    ),
    "reviewer.md": agent("Reviewer", "Reads a diff.", text=ANSWER, fail_after=18, code="interrupted"),
    "slow.md": agent("Slow Starter", "Loads its model first.", delay=60),
}


def ask(page: Any, agent_id: str, text: str) -> Any:
    """Send a message; return the answer's element."""
    page.get_by_label("Agent").select_option(agent_id)
    page.get_by_role("textbox", name="Message").fill(text)
    page.keyboard.press("Enter")
    return page.locator(".answer").last


def ended(answer: Any) -> None:
    """Wait for its end."""
    answer.locator("xpath=self::*[@data-state]").wait_for()


def scenes(page: Any, url: str) -> Any:
    """Yield each picture's name at the moment to take it."""
    page.set_viewport_size({"width": 960, "height": 800})
    page.goto(url)
    page.wait_for_selector(".picker option", state="attached")
    ended(ask(page, "code-assistant", "How do I find the longest line of a huge file?"))
    yield "page-light"
    page.emulate_media(color_scheme="dark")
    yield "page-dark"
    page.emulate_media(color_scheme="light", forced_colors="active")
    yield "page-contrast"
    page.emulate_media(color_scheme="light", forced_colors="none")
    page.get_by_role("button", name="New chat").click()
    page.set_viewport_size({"width": 960, "height": 520})
    ended(ask(page, "reviewer", "Is this change safe?"))
    yield "page-failed"
    page.set_viewport_size({"width": 380, "height": 640})
    page.get_by_role("button", name="New chat").click()
    answer = ask(page, "slow", "Good morning!")
    answer.get_by_text("Waiting for scripted, 3 s").wait_for()
    yield "page-narrow"


def main() -> None:
    """Take every picture."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, AuraServer(Path(folder), AGENTS) as server, sync_playwright() as p:
        browser = p.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_context().new_page()
        for name in scenes(page, server.url):
            page.mouse.move(0, 300)
            page.wait_for_timeout(200)
            picture = page.screenshot(path=IMAGES / f"{name}.png", caret="hide", animations="disabled")
            assert len(picture) < LIMIT, f"{name}.png has {len(picture)} bytes"
            print(f"docs/images/{name}.png  {len(picture)} bytes")
        browser.close()


if __name__ == "__main__":
    main()
