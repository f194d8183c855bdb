"""axe-core finds nothing serious, in each state of the page and each colour scheme."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chat_page import echo, open_search

from aura_core.testing import AuraServer

Serve = Callable[..., AuraServer]

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "aura_core" / "demo"


def faults(page: Any, node_modules: Path) -> list[str]:
    page.evaluate((node_modules / "axe-core" / "axe.min.js").read_text(encoding="utf-8"))
    result = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{violation['id']}: {violation['help']}: {[node['html'] for node in violation['nodes']][:3]}"
        for violation in result["violations"]
        if violation["impact"] in ("moderate", "serious", "critical")
    ]


MARKS = """A claim[^1] with $x_i$, `code` and [a link](https://example.com).

- [ ] one
- [x] two

> [!WARNING]
> Mind the gap.

> [!NOTE]
> Text with `code`.

```python
return "x"  # why
```

```mermaid
graph
```

שלום

[^1]: Its source.
"""


@pytest.mark.parametrize("colours", ["light", "dark", "high contrast"])
def test_axe_finds_nothing_serious(page: Any, serve: Serve, node_modules: Path, colours: str) -> None:
    agents = {file.name: file.read_text(encoding="utf-8") for file in DEMO.glob("*.md")}
    agents["marks.md"] = echo("Marks", text=MARKS)
    agents["broken.md"] = "---\ntemprature: 1\n---\n"
    forced = "active" if colours == "high contrast" else "none"
    page.emulate_media(color_scheme="dark" if colours == "dark" else "light", forced_colors=forced)
    page.goto(serve(agents).url)
    page.wait_for_selector(".picker option", state="attached")
    assert faults(page, node_modules) == []
    for number, agent in enumerate(["tour", "fails-midway", "rate-limited", "silent", "thinker", "broken", "marks"]):
        page.get_by_label("Agent").select_option(agent)
        page.get_by_role("textbox", name="Message").fill("Hello")
        page.keyboard.press("Enter")
        page.locator(".answer").nth(number).locator("xpath=self::*[@data-state]").wait_for()
    page.get_by_text("Thought for").click()
    assert faults(page, node_modules) == []
    page.get_by_label("Agent").select_option("stalls")
    page.get_by_role("textbox", name="Message").fill("Hello")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Stop").wait_for()
    page.get_by_role("button", name="Chats").click()
    assert faults(page, node_modules) == []
    page.keyboard.press("Escape")
    open_search(page, "code")
    assert faults(page, node_modules) == []


# What VS Code sets for these themes; other colours have its defaults for light and dark.
SOLARIZED = {
    "Light": {
        "editor-background": "#fdf6e3",
        "foreground": "#616161",
        "descriptionForeground": "#717171",
        "input-background": "#ddd6c1",
        "textBlockQuote-background": "#f2f2f2",
        "textCodeBlock-background": "#dcdcdc66",
        "button-background": "#ac9d57",
        "button-foreground": "#ffffff",
        "textLink-foreground": "#006ab1",
        "errorForeground": "#a1260d",
    },
    "Dark": {
        "editor-background": "#002b36",
        "foreground": "#cccccc",
        "descriptionForeground": "#ccccccb3",
        "input-background": "#003847",
        "textBlockQuote-background": "#7f7f7f1a",
        "textCodeBlock-background": "#0a0a0a66",
        "button-background": "#2aa19899",
        "button-foreground": "#ffffff",
        "textLink-foreground": "#3794ff",
        "errorForeground": "#ffeaea",
    },
}


@pytest.mark.parametrize("theme", SOLARIZED)
def test_solarized_has_enough_contrast(page: Any, serve: Serve, node_modules: Path, theme: str) -> None:
    page.emulate_media(color_scheme="light" if theme == "Light" else "dark")
    page.goto(serve({"marks.md": echo("Marks", text=MARKS), "slow.md": echo("Slow", delay=60)}).url)
    page.wait_for_selector(".picker option", state="attached")
    css = (ROOT / "extension" / "src" / "webview" / "theme.css").read_text(encoding="utf-8")
    page.evaluate(
        """([css, theme, colours]) => {
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(css);
      document.adoptedStyleSheets = [sheet];
      document.body.dataset.vscodeThemeId = `Solarized ${theme}`;
      document.body.className += ` vscode-${theme.toLowerCase()}`;
      for (const [name, value] of Object.entries(colours)) {
        document.documentElement.style.setProperty(`--vscode-${name}`, value);
      }
    }""",
        [css, theme, SOLARIZED[theme]],
    )
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(252, 252, 253)"
    page.get_by_label("Agent").select_option("marks")
    page.get_by_role("textbox", name="Message").fill("Hello")
    page.keyboard.press("Enter")
    page.locator(".answer[data-state]").wait_for()
    page.get_by_role("textbox", name="Message").fill("A message, so that it can be sent")
    open_search(page, "code")
    assert faults(page, node_modules) == []


def test_axe_finds_nothing_serious_where_a_token_is_required(page: Any, serve: Serve, node_modules: Path) -> None:
    page.goto(serve(environ={"AURA_TOKEN": "s3cret"}).url)
    page.get_by_label("Token", exact=True).wait_for()
    assert faults(page, node_modules) == []


def test_motion_is_reduced_for_those_who_ask(page: Any, serve: Serve) -> None:
    page.emulate_media(reduced_motion="reduce")
    page.goto(serve({"slow.md": "---\nprovider: echo\noptions: {delay: 60}\n---\n"}).url)
    page.wait_for_selector(".picker option", state="attached")
    page.get_by_role("textbox", name="Message").fill("Hello")
    page.keyboard.press("Enter")
    pulse = page.locator(".pulse")
    pulse.wait_for()
    assert pulse.evaluate("e => getComputedStyle(e).animationName") == "none"
