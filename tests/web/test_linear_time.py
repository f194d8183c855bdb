"""A megabyte of hostile text costs the page about what a megabyte of prose does."""

from typing import Any

import pytest

MEGABYTE = 1_000_000
# What made, or could make, a pattern or a loop of the renderer go over the same text again and again.
HOSTILE = {
    "spaces before a line's end": ("a" + " " * 1000 + "x\n" + "x\n" * 500),
    "delimiters of a table that do not end": "a | b\n|-" + " " * 3900 + "x\n\n",
    "a rule that is none": "* " * 1900 + "x\n\n",
    "a heading's closing marks": "# " + " #" * 900 + "x\n\n",
    "an address and closing brackets": "https://a" + ")" * 2000 + "\n",
    "an address and full stops": "https://a" + "." * 2000 + "x\n",
    "pointed brackets": "<" * 2000 + "\n",
    "addresses in pointed brackets": "<a:" * 700 + "\n",
    "mail addresses that are none": "<" + "a" * 1000 + "<" + "a@" * 400 + "\n",
    "labels of a mail address": "<a@" + "a-" * 30 + "." * 2 + "a" * 1800 + "\n",
    "titles of links that do not end": '[a](b "' * 300 + "\n",
    "titles with escapes": "[a](b '\\" * 200 + "\\" * 200 + "\n",
    "destinations that do not end": "[a](" + "(" * 31 + "a" * 1500 + "\n",
    "entities that are none": "&#x" * 600 + "&aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" * 4 + "\n",
    "backticks of every length": " ".join("`" * length for length in range(1, 60)) + "\n",
    "letters that may begin an address": "h" * 2000 + "\n",
    "cells with escaped borders": "a | b\n- | -\n" + "\\|" * 1900 + "\n\n",
    "short rows of a wide table": "|" + "a|" * 900 + "\n|" + "-|" * 900 + "\n" + ("x" * 60 + "\n") * 600 + "\n",
    "an info string of spaces": "```" + " " * 3900 + "x\n```\n",
    "quotations in quotations": "> " * 60 + "x\n",
    "items in items": "- " * 60 + "x\n",
    "numbers that are not list items": "123456789" * 400 + "\n",
    "one word": "x" * 100_000,
    "fences that do not end": "`" * 3900 + "\n\n",
    "dollars that open nothing": "$a " * 1300 + "\n",
    "dollars that open everything": "$a" * 1900 + "\n",
    "formulas that do not end": "\\(a \\[b $$c " * 280 + "\n",
    "formulas that are escapes": "\\(\\!" * 900 + "\\)\n",
    "marks of footnotes": "[^a" * 1200 + "\n",
    "marks of footnotes that end": "[^a]" * 900 + "\n",
    "footnotes": "[^a]: b[^a]\n",
    "names of footnotes": "[^" + "a" * 3900 + "]: b\n",
    "alerts that are none": "> [!note" + " " * 3000 + "x\n",
    "tasks that are none": "- [ ]" + " " * 3000 + "\n",
}

RENDER = """async ([text, size]) => {
  const { Markdown } = await import("/web/markdown.js");
  const root = document.createElement("div");
  const whole = text.repeat(Math.ceil(size / text.length)).slice(0, size);
  const began = performance.now();
  const markdown = new Markdown(root);
  for (let at = 0; at < size; at += 8192) {
    markdown.write(whole.slice(at, at + 8192));
    markdown.show();
  }
  markdown.end();
  return performance.now() - began;
}"""

PROSE = "Prose with *some* `code`, [a link](https://example.com) and a comma.\n" * 12 + "\n"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_megabyte_of_hostile_text_costs_about_what_prose_does(modules: Any, name: str) -> None:
    prose = modules.evaluate(RENDER, [PROSE, MEGABYTE])
    hostile = modules.evaluate(RENDER, [HOSTILE[name], MEGABYTE])
    assert hostile < 8 * prose + 1000, f"{hostile:.0f} ms, and {prose:.0f} ms for prose"


def test_other_patterns_over_foreign_text_are_linear(modules: Any) -> None:
    took = modules.evaluate(
        """async (size) => {
      const { unescape } = await import("/web/escapes.js");
      const { fileName } = await import("/web/exports.js");
      const { titleOf } = await import("/web/chat.js");
      const { isId } = await import("/web/records.js");
      const { SseParser } = await import("/web/sse.js");
      const { beginning } = await import("/web/characters.js");
      const { withCode } = await import("/web/dom.js");
      const { tokenize } = await import("/web/tokenizer.js");
      const bytes = new TextEncoder();
      const stream = (text) => {
        const parser = new SseParser();
        const all = bytes.encode(text);
        for (let at = 0; at < all.length; at += 100) parser.push(all.subarray(at, at + 100));
      };
      const took = {};
      const units = [
        "\\\\", "&#", "&a", "&#x1", " ", "a", "-", "\\n", "\\r", ": ", "data:", "\\n\\n", "0", "*", "`", '"',
        "'", "/*", "//", "#", "@", "A", "Aa ", "<a", "<", "$", "f(", "f (", "a:", "\\\"", "0x", "1e", "+",
        "e\u0301",
      ];
      const runs = { unescape, fileName: (text) => fileName(text, "md"), titleOf, isId, stream, withCode };
      runs.beginning = (text) => beginning(text, 2000);
      for (const language of ["js", "python", "html", "sql", "yaml", "css", "rust", "diff", "json"]) {
        runs[language] = (text) => tokenize(text, language);
      }
      for (const unit of units) {
        const text = unit.repeat(size / unit.length);
        for (const [name, run] of Object.entries(runs)) {
          const began = performance.now();
          run(text);
          took[`${name} ${JSON.stringify(unit)}`] = performance.now() - began;
        }
      }
      return took;
    }""",
        MEGABYTE,
    )
    prose = modules.evaluate(RENDER, [PROSE, MEGABYTE])
    assert {name: ms for name, ms in took.items() if ms > prose + 1000} == {}
