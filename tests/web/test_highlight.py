"""Code is coloured when its block closes and while it is in view, without an element for each word."""

from typing import Any

import pytest
from chat_page import OpenChat, echo

COLOURED = """() => Object.fromEntries([...CSS.highlights].filter(([name]) => name.startsWith("aura-"))
  .map(([name, ranges]) => [name.slice(5), [...ranges].map((range) => range.startContainer.data
    .slice(range.startOffset, range.endOffset))]).filter(([, words]) => words.length))"""

CASES = {
    "python": (
        'def f(a):  # why\n    """a\n    b"""\n    return Path("x") or None + 1.5e3\n@cached\n',
        {
            "comment": ["# why"],
            "keyword": ["def", "return", "or"],
            "string": ['"""a\n    b"""', '"x"'],
            "function": ["f", "Path", "@cached"],
            "number": ["None", "1.5e3"],
        },
    ),
    "ts": (
        "const a: Map<string> = `x\n${y}`; /* b\n */ it's // c\n",
        {
            "keyword": ["const", "string"],
            "type": ["Map"],
            "string": ["`x\n${y}`", "'s // c"],
            "comment": ["/* b\n */"],
        },
    ),
    "yaml": (
        '# top\nname: "x"\non-push: true\nurl: http://a#b\n',
        {
            "comment": ["# top"],
            "variable": ["name", "on-push", "url", "http"],
            "string": ['"x"'],
            "number": ["true"],
        },
    ),
    "json": ('{"a": [1, "b", null]}', {"variable": ['"a"'], "number": ["1", "null"], "string": ['"b"']}),
    "html": (
        '<!-- c --><a href="x">text</a>',
        {"comment": ["<!-- c -->"], "keyword": ["a", "a"], "variable": ["href"], "string": ['"x"']},
    ),
    "SQL": ("select * FROM t -- c\n", {"keyword": ["select", "FROM"], "comment": ["-- c"]}),
    "diff": (
        "--- a\n+++ b\n-old\n+new\n same\n",
        {"keyword": ["--- a", "+++ b"], "removed": ["-old"], "added": ["+new"]},
    ),
    "rust": ("fn f(x: &'a str) {}", {"keyword": ["fn", "str"], "function": ["f"]}),
    "nonsense": ("def x", {}),
}


@pytest.mark.parametrize("language", CASES)
def test_words_are_found(modules: Any, language: str) -> None:
    code, expected = CASES[language]
    found = modules.evaluate(
        """async ([code, language]) => {
      const { tokenize } = await import("/web/tokenizer.js");
      const kinds = {};
      for (const { kind, start, end } of tokenize(code, language) ?? []) {
        (kinds[kind] ??= []).push(code.slice(start, end));
      }
      return kinds;
    }""",
        [code, language],
    )
    if language == "rust":
        found.pop("type", None)
    assert found == expected


def test_a_block_is_coloured_when_it_closes_and_while_it_is_in_view(open_chat: OpenChat) -> None:
    text = "```python\nreturn 1\n```\n\n" + "Prose.\n\n" * 200 + "```js\nconst two = 2;\n```\n\n```python\ndef open"
    chat = open_chat({"echo.md": echo("Echo", text=text)})
    answer = chat.ask("Hello")
    chat.ended(answer)
    chat.page.wait_for_function(f"() => JSON.stringify(({COLOURED})()).includes('const')")
    assert chat.page.evaluate(COLOURED) == {"keyword": ["const", "def"], "number": ["2"]}
    assert answer.locator("pre span").evaluate_all("all => all.map((one) => one.className)") == ["lines"] * 3
    # Above, the first block comes into view, and the others leave it.
    chat.page.locator(".log").evaluate("log => (log.scrollTop = 0)")
    chat.page.wait_for_function(f'() => JSON.stringify(({COLOURED})()) === \'{{"keyword":["return"],"number":["1"]}}\'')
    # What is removed is not coloured any more.
    chat.button("New chat").click()
    chat.page.wait_for_function(f"() => JSON.stringify(({COLOURED})()) === '{{}}'")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_colour_has_enough_contrast(page: Any, open_chat: OpenChat, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    chat = open_chat({"echo.md": echo("Echo", text="```js\nx\n```\n\n> [!NOTE]\n> x\n")})
    chat.ended(chat.ask("Hello"))
    low = page.evaluate("""() => {
      const channels = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map(Number);
      const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
      const light = (colour) => channels(colour).map((c) => linear(c / 255))
        .reduce((sum, c, index) => sum + c * [0.2126, 0.7152, 0.0722][index], 0);
      const ground = light(getComputedStyle(document.querySelector(".code")).backgroundColor);
      const low = [];
      for (const name of "comment keyword string number type function variable added removed".split(" ")) {
        const probe = document.querySelector("pre code");
        probe.style.color = `var(--token-${name})`;
        const text = light(getComputedStyle(probe).color);
        const ratio = (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
        if (!(ratio >= 4.5)) low.push([name, ratio]);
      }
      return low;
    }""")
    assert low == []
