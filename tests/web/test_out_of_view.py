"""What the browser does not render while it is out of view keeps its place, and is found, copied and printed."""

from typing import Any

from chat_page import Chat, OpenChat, echo, open_search

PROSE = "Prose that takes more than one line of a narrow window.\n\n"
# One of each kind. Their number does not divide that of a part, so each of them is somewhere at the end of a part.
KINDS = [
    "A paragraph.",
    "## A heading",
    "- a list\n- of two",
    "```python\nprint(1)\n```",
    "> A quotation",
    "---",
    "| a |\n| - |\n| b |",
    "# A larger heading",
    "1. a numbered list",
    "$$\nx\n$$",
    "> [!NOTE]\n> An alert",
]
SKIPPED = """(selector) => [...document.querySelectorAll(`.answer ${selector}`)]
  .map((one) => !one.checkVisibility({ contentVisibilityAuto: true }))"""

# Some frames later, when all that follows from a change is done.
FRAMES = """() => new Promise((done) => {
  let left = 10;
  const next = () => (left-- ? requestAnimationFrame(next) : done(true));
  next();
})"""


def blocks() -> str:
    """No part begins with a footnote or ends with one, so there are some where one could; 900 blocks in all."""
    notes = [f"[^{number}]: A footnote." for number in range(3)]
    return "\n\n".join(["A paragraph."] * 64 + notes + [KINDS[number % len(KINDS)] for number in range(833)])


def test_a_long_text_is_cut_into_the_same_parts_however_it_arrives(modules: Any) -> None:
    whole, cut = modules.evaluate(
        """async (text) => {
      const { Markdown } = await import("/web/markdown.js");
      return [[text], [...text]].map((pieces) => {
        const root = document.createElement("div");
        const markdown = new Markdown(root);
        for (const piece of pieces) markdown.write(piece), markdown.show();
        markdown.end();
        return [[...root.querySelectorAll(".part")].map((part) => part.childElementCount), root.innerHTML];
      });
    }""",
        blocks(),
    )
    assert whole == cut
    assert len(whole[0]) == 13
    assert all(64 <= count <= 67 for count in whole[0][:-1]), whole[0]


def test_the_parts_of_a_long_answer_are_skipped_and_move_nothing(open_chat: OpenChat) -> None:
    chat = open_chat({"echo.md": echo("Echo", text=blocks() + "\n\n[a link](https://example.com)")})
    answer = chat.ask("Hello")
    chat.ended(answer)
    chat.page.wait_for_function(f"() => ({SKIPPED})('.part > :first-child').filter(Boolean).length >= 10")
    tops = """(text) => [...text.querySelectorAll(":scope > :not(.part), .part > *")].map((block) => {
      const { left, width, top, height } = block.getBoundingClientRect();
      return [left, width, top - text.getBoundingClientRect().top, height].map(Math.round);
    })"""
    text = answer.locator(".text")
    # All rendered now: the browser estimates the height of what it has not rendered before.
    text.evaluate(
        "text => text.querySelectorAll('.part').forEach((part) => (part.style.contentVisibility = 'visible'))"
    )
    in_parts = text.evaluate(tops)
    text.evaluate("""(text) => {
      for (const part of text.querySelectorAll(".part")) part.replaceWith(...part.childNodes);
    }""")
    assert len(in_parts) == 901
    assert in_parts == text.evaluate(tops)


def three_long_answers(open_chat: OpenChat) -> Chat:
    """The first one is out of view, and so is a part of the last one."""
    chat = open_chat({"echo.md": echo("Echo")})
    for number in range(3):
        chat.ended(chat.ask(f"# Part {number}\n\n{PROSE * 80}\n\nmiddle {number}\n\n{PROSE * 120}\n\nneedle {number}"))
    chat.page.wait_for_function(f"() => ({SKIPPED})('.text h1')[0]")
    chat.page.wait_for_function(f"() => ({SKIPPED})('.part > :first-child')[6]")
    return chat


def test_the_search_of_the_browser_finds_what_is_skipped(open_chat: OpenChat) -> None:
    page = three_long_answers(open_chat).page
    for word, answer in (("Part 0", 0), ("middle 0", 0), ("needle 1", 1), ("middle 2", 2)):
        page.evaluate("getSelection().removeAllRanges()")
        where = """(word) => window.find(word) && window.find(word)
          && [...document.querySelectorAll(".answer")].findIndex((one) => one.contains(getSelection().anchorNode))"""
        assert page.evaluate(where, word) == answer, word  # the first is in the question
        # The browser shows what it has found, and there it stays, whatever the heights above it turn out to be.
        page.evaluate("getSelection().anchorNode.parentElement.scrollIntoView({ block: 'center' })")
        inside = """() => {
          const log = document.querySelector(".log").getBoundingClientRect();
          const { top, bottom } = getSelection().getRangeAt(0).getBoundingClientRect();
          return top >= log.top && bottom <= log.bottom;
        }"""
        page.wait_for_function(FRAMES)
        assert page.evaluate(inside), word


def test_what_is_skipped_is_copied_whole(open_chat: OpenChat) -> None:
    page = three_long_answers(open_chat).page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])

    def copied() -> str:
        page.keyboard.press("Control+c")
        page.wait_for_function("() => navigator.clipboard.readText()")
        text = str(page.evaluate("() => navigator.clipboard.readText()"))
        page.evaluate("() => navigator.clipboard.writeText('')")
        return text

    page.locator(".log").focus()
    page.keyboard.press("Control+a")
    text = copied()
    words = ["Part 0", "middle 0", "needle 0", "Part 1", "middle 1", "needle 1", "Part 2", "middle 2", "needle 2"]
    assert [text.count(word) for word in words] == [2] * len(words)
    assert text.count("Prose") == 2 * 3 * 200
    # From the first answer to the last one with the mouse, over all that is between them.
    log = page.locator(".log")
    page.evaluate("getSelection().removeAllRanges()")
    log.evaluate("log => (log.scrollTop = document.querySelector('.answer').offsetTop - log.offsetTop)")
    page.wait_for_function(FRAMES)
    box = page.locator(".answer h1").first.bounding_box()
    page.mouse.move(box["x"] + 1, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 100, box["y"] + box["height"] * 2, steps=3)
    log.evaluate("log => (log.scrollTop = log.scrollHeight)")
    page.wait_for_function(FRAMES)
    box = page.get_by_text("needle 2").last.bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + box["height"] / 2, steps=3)
    page.mouse.up()
    text = copied()
    assert [text.count(word) for word in words] == [1] * 3 + [2] * 6
    assert text.count("Prose") == 200 + 2 * 2 * 200


def test_an_answer_that_the_browser_skips_keeps_its_place_and_is_found(open_chat: OpenChat) -> None:
    """An earlier answer is not rendered while it is out of view, and neither the reader nor a search notices it."""
    chat = open_chat({"echo.md": echo("Echo")})
    page = chat.page
    lines = "Prose that takes more than one line of a narrow window.\n\n" * 60
    for number in range(3):
        chat.ended(chat.ask(f"# Part {number}\n\n{lines}\n\nneedle {number}"))
    skipped = """() => [...document.querySelectorAll(".answer .text h1")]
      .map((head) => !head.checkVisibility({ contentVisibilityAuto: true }))"""
    at_end = "() => (log => log.scrollHeight - log.scrollTop - log.clientHeight < 2)(document.querySelector('.log'))"
    page.wait_for_function(f"() => ({skipped})()[0]")
    page.wait_for_function(at_end)
    # Another width makes the heights estimates, and a reload even more so.
    page.set_viewport_size({"width": 400, "height": 700})
    page.wait_for_function(at_end)
    page.reload()
    page.locator(".answer[data-state]").nth(2).wait_for()
    page.wait_for_function(f"() => ({skipped})()[0] && ({at_end})()")
    # A shortcut leads to the beginning of a message, however high those before it are.
    for number in (2, 1, 0):
        page.keyboard.press("Alt+ArrowUp")
        top = """number => (log => document.querySelectorAll(".answer")[number].getBoundingClientRect().top
          - log.getBoundingClientRect().top)(document.querySelector(".log"))"""
        page.wait_for_function(f"number => Math.abs(({top})(number) - 8) < 2", arg=number)
        page.keyboard.press("Alt+ArrowUp")
    # Tab then leads to the buttons of the message, which are brought into view.
    page.keyboard.press("Alt+ArrowDown")
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('.answer').contains(document.activeElement)")
    assert page.evaluate("document.activeElement.ariaLabel") == "Copy: answer"
    page.wait_for_function("""() => {
      const log = document.querySelector(".log").getBoundingClientRect();
      const { top, bottom } = document.activeElement.getBoundingClientRect();
      return top >= log.top && bottom <= log.bottom;
    }""")
    page.get_by_role("textbox", name="Message").focus()
    page.locator(".log").evaluate("log => (log.scrollTop = log.scrollHeight)")
    page.wait_for_function(f"() => ({skipped})()[0]")
    open_search(page, "part 0")
    page.keyboard.press("Enter")  # the first is in the question
    assert page.locator(".find .count").inner_text() == "2 of 2"
    page.locator(".answer h1").first.wait_for()
    page.wait_for_function(f"() => !({skipped})()[0]")
    box, log = page.locator(".answer h1").first.bounding_box(), page.locator(".log").bounding_box()
    assert log["y"] <= box["y"] <= log["y"] + log["height"]
