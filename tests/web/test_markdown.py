"""What GitHub's Markdown has beyond CommonMark: tasks, footnotes, alerts, formulas; and text from right to left."""

from pathlib import Path
from typing import Any

import pytest
from chat_page import OpenChat, echo

RENDER = """async (text) => {
  const { Markdown } = await import("/web/markdown.js");
  const render = (parts) => {
    const root = document.createElement("div");
    const markdown = new Markdown(root);
    for (const part of parts) {
      markdown.write(part);
      markdown.show();
    }
    markdown.end();
    return root.innerHTML;
  };
  return [render([text]), render([...text])];
}"""

TASK = '<input type="checkbox" disabled="" aria-label="To do">'
DONE = '<input type="checkbox" disabled="" checked="" aria-label="Done">'
CASES = {
    "tasks": (
        "- [ ] one\n- [x] *two*\n- [X] three\n- [y] four\n- [ ]five\n- [ ]\n",
        f'<ul dir="ltr"><li class="task"><p>{TASK} one</p></li><li class="task"><p>{DONE} <em>two</em></p></li>'
        f'<li class="task"><p>{DONE} three</p></li><li><p>[y] four</p></li><li><p>[ ]five</p></li>'
        "<li><p>[ ]</p></li></ul>",
    ),
    "no task outside of a list": ("[ ] one", '<p dir="auto">[ ] one</p>'),
    "an alert": (
        "> [!WARNING]\n> Mind the *gap*.\n>\n> And more.\n",
        '<blockquote class="alert alert-warning" dir="ltr"><p class="title">Warning</p><p>Mind the <em>gap</em>.</p>'
        "<p>And more.</p></blockquote>",
    ),
    "no alert later in a quotation": (
        "> text\n> [!NOTE]\n\n[!TIP]\n\n> [!OTHER]\n",
        '<blockquote dir="ltr"><p>text\n[!NOTE]</p></blockquote><p dir="auto">[!TIP]</p>'
        '<blockquote dir="ltr"><p>[!OTHER]</p></blockquote>',
    ),
    "formulas in a line": (
        r"\(a_1 * b_2\) and $x_i*y_i$ and \[\frac{a}{b}\] and $$a*b*c$$.",
        r'<p dir="auto"><code class="math">\(a_1 * b_2\)</code> and <code class="math">$x_i*y_i$</code> and '
        r'<code class="math">\[\frac{a}{b}\]</code> and <code class="math">$$a*b*c$$</code>.</p>',
    ),
    "money and shell variables": (
        r"It costs $5 or $10, *not* $HOME/$USER, \$3, and a$b$c.",
        '<p dir="auto">It costs $5 or $10, <em>not</em> $HOME/$USER, $3, and a$b$c.</p>',
    ),
    "escaped brackets": (r"\(\) \[\] \(one", '<p dir="auto">() [] (one</p>'),
    "a formula of several lines": (
        "Then\n$$\na\n- b_1 * c_1\n\n= d\n$$\n\\[\n+ x \\\\\n\\]\nend",
        '<p dir="auto">Then</p><pre><code data-language="math"><span class="lines">a\n- b_1 * c_1\n\n= d\n'
        "</span></code></pre>"
        '<pre><code data-language="math"><span class="lines">+ x \\\\\n</span></code></pre><p dir="auto">end</p>',
    ),
    "footnotes": (
        "One[^1], two[^b], one again[^1], three[^3].\n\n[^1]: First *note*.\n    Goes on.\n[^b]: Second.\n",
        '<p dir="auto">One<sup><button type="button" class="note-name" aria-label="Footnote 1">1</button></sup>, '
        'two<sup><button type="button" class="note-name" aria-label="Footnote 2">2</button></sup>, '
        'one again<sup><button type="button" class="note-name" aria-label="Footnote 1">1</button></sup>, '
        "three[^3].</p>"
        '<div class="footnote" tabindex="-1" dir="ltr"><button type="button" class="note-name" '
        'aria-label="Back to mark 1">1.</button><p>First <em>note</em>.\nGoes on.</p></div>'
        '<div class="footnote" tabindex="-1" dir="ltr"><button type="button" class="note-name" '
        'aria-label="Back to mark 2">2.</button><p>Second.</p></div>',
    ),
    "a link whose text looks like a footnote": (
        "[^1](https://a.b) [^2",
        '<p dir="auto"><a href="https://a.b" rel="noopener noreferrer" target="_blank">^1</a> [^2</p>',
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_it_renders_as_on_github_however_it_is_cut(modules: Any, name: str) -> None:
    text, expected = CASES[name]
    whole, cut = modules.evaluate(RENDER, text)
    assert whole == expected
    assert cut == expected


def test_each_outermost_block_has_its_own_direction(open_chat: OpenChat) -> None:
    text = (
        "שלום עולם, *hello*\n\n- פריט `code()`\n- item\n\n> ציטוט\n\nHello שלום\n\n| א | b |\n|---|---|\n| ג | d |\n\n"
    )
    text += "> [!WARNING]\n> אזהרה\n"
    chat = open_chat({"echo.md": echo("Echo", text=text)})
    answer = chat.ask("مرحبا بالعالم")
    chat.ended(answer)
    directions = "(nodes) => nodes.map((node) => getComputedStyle(node).direction)"
    blocks = answer.locator(".text > *").evaluate_all(directions)
    assert blocks == ["rtl", "rtl", "rtl", "ltr", "rtl", "rtl"]
    assert chat.page.locator(".question p").evaluate_all(directions) == ["rtl"]
    assert answer.locator("code").evaluate_all(directions) == ["ltr"]
    # The bullet is on the right, the line of the quotation as well.
    box, item = answer.locator("ul").bounding_box(), answer.locator("li").first.bounding_box()
    assert box["x"] + box["width"] - item["x"] - item["width"] > 10
    assert answer.locator("blockquote").first.evaluate("node => getComputedStyle(node).borderRightWidth") == "3px"
    # So is the title of an alert, though it is English.
    gaps = """(title) => {
      const range = new Range();
      range.selectNodeContents(title);
      const [text, box] = [range, title].map((one) => one.getBoundingClientRect());
      return [text.left - box.left > 100, Math.abs(box.right - text.right) < 2];
    }"""
    assert answer.locator(".alert .title").evaluate(gaps) == [True, True]
    chat.message.fill("عربي")
    assert chat.message.evaluate("node => getComputedStyle(node).direction") == "rtl"


def test_a_footnote_and_its_mark_lead_to_each_other(open_chat: OpenChat) -> None:
    text = "A claim[^1].\n\n" + "Prose.\n\n" * 60 + "[^1]: Its source.\n"
    chat = open_chat({"echo.md": echo("Echo", text=text)})
    answer = chat.ask("Hello")
    chat.ended(answer)
    answer.get_by_role("button", name="Footnote 1").click()
    assert chat.page.evaluate("document.activeElement.className") == "footnote"
    chat.page.keyboard.press("Tab")
    chat.page.keyboard.press("Enter")
    assert chat.page.evaluate("document.activeElement.ariaLabel") == "Footnote 1"
    assert chat.page.url == f"{chat.server.url}/"


def test_a_mermaid_block_is_saved_as_it_is_written(open_chat: OpenChat) -> None:
    diagram = 'graph TD\n  A[`code`] --> B & C\n  B -- "it\'s <b>" --> D\n'
    chat = open_chat({"echo.md": echo("Echo", text=f"Look:\n\n```mermaid\n{diagram}```\n\n```python\nx = 1\n```\n")})
    answer = chat.ask("Hello")
    chat.ended(answer)
    save = answer.get_by_role("button", name="Save diagram: mermaid, block 1")
    with chat.page.expect_download() as download:
        save.click()
    assert download.value.suggested_filename == "diagram.mmd"
    assert Path(download.value.path()).read_text(encoding="utf-8") == diagram
    assert answer.get_by_role("button", name="Save diagram").count() == 1  # other code has none


def test_what_advice_puts_in_backticks_is_shown_as_code(open_chat: OpenChat) -> None:
    agent = echo("Refused", fail_after=0, code="auth")
    chat = open_chat({"refused.md": agent})
    answer = chat.ask("Hello")
    chat.ended(answer)
    failure = answer.locator(".failure")
    assert "`" not in failure.inner_text()
    assert failure.locator("code").all_inner_texts() == ["aura doctor"]
    assert "`" not in chat.status


def test_an_emoji_is_never_cut_in_half(modules: Any, open_chat: OpenChat) -> None:
    family = "\U0001f469\u200d\U0001f469\u200d\U0001f467"
    titles = modules.evaluate(
        """async ([emoji, family]) => {
      const { titleOf } = await import("/web/chat.js");
      const texts = ["x".repeat(79) + emoji + "y", "x".repeat(75) + family, "e\\u0301".repeat(60), emoji.repeat(100)];
      return texts.map(titleOf);
    }""",
        ["\U0001f600", family],
    )
    assert titles == ["x" * 79, "x" * 75, "e\u0301" * 40, "\U0001f600" * 40]
    # Nor in long lines of code, which go on in another element, nor where an answer becomes plain text.
    parts = modules.evaluate(
        """async () => {
      const { Markdown } = await import("/web/markdown.js");
      const cut = (text) => {
        const root = document.createElement("div");
        const markdown = new Markdown(root);
        for (let at = 0; at < text.length; at += 999) markdown.write(text.slice(at, at + 999)), markdown.show();
        markdown.end();
        return [...root.querySelectorAll(".lines, p")].filter((part) => !part.textContent.isWellFormed()).length;
      };
      const emoji = "\\u{1f600}";
      return [cut("```\\nx" + emoji.repeat(20000)), cut("x" + emoji.repeat(600_000)), cut(emoji.repeat(600_000))];
    }"""
    )
    assert parts == [0, 0, 0]
