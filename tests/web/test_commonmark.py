"""CommonMark's own examples, at once and character by character; what we leave out is listed here and in the docs."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

HERE = Path(__file__).parent

LEFT_OUT = {"HTML blocks", "Raw HTML", "Link reference definitions", "Images"}
"""Sections of constructs that docs/page.md says we leave out."""

EXCEPTIONS = {
    25: "rare named entities",
    491: "raw HTML",
    494: "raw HTML",
    602: "bare addresses are links, as on GitHub",
    608: "bare addresses are links, as on GitHub",
    611: "bare addresses are links, as on GitHub",
}


class Example(NamedTuple):
    number: int
    section: str
    markdown: str
    html: str

    @property
    def supported(self) -> bool:
        """Whether it contains nothing that we leave out: definitions, images, raw HTML."""
        definition = re.search(r"^[ >]*\[[^\]]*\]:", self.markdown, re.MULTILINE)
        raw_html = re.search(r"<(?:a |bar |b>|!--)", self.markdown)
        return (
            self.section not in LEFT_OUT and self.number not in EXCEPTIONS and not definition and not raw_html
        ) and "<img" not in self.html


@pytest.fixture(scope="session")
def examples(node_modules: Path) -> list[Example]:
    text = (
        (node_modules / "commonmark-spec" / "spec.txt").read_text(encoding="utf-8").partition("<!-- END TESTS -->")[0]
    )
    found: list[Example] = []
    section = ""
    flags = re.MULTILINE | re.DOTALL
    for match in re.finditer(
        r"^`{32} example\n(.*?)^\.\n(.*?)^`{32}$|^#{1,6} *(.*?)$", text.partition("<!-- END TESTS -->")[0], flags
    ):
        markdown, html, heading = match.groups()
        if heading is not None:
            section = heading
        else:
            found.append(Example(len(found) + 1, section, markdown.replace("→", "\t"), html.replace("→", "\t")))
    return found


RENDER = """async ([examples, source]) => {
  const { Markdown } = await import("/web/markdown.js");
  const { canonical } = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  const render = (parts) => {
    const root = document.createElement("div");
    root.dataset.ours = "";
    const markdown = new Markdown(root);
    for (const part of parts) {
      markdown.write(part);
      markdown.show();
    }
    markdown.end();
    return canonical(root);
  };
  return examples.map(([markdown, html]) => {
    const expected = canonical(new DOMParser().parseFromString(html, "text/html").body);
    const threes = markdown.match(/[^]{1,3}/g) ?? [];
    const ways = [[markdown], [...markdown], threes, [...markdown.replaceAll("\\n", "\\r\\n")]];
    return [expected, ...ways.map(render)];
  });
}"""


def render(modules: Any, examples: list[Example]) -> list[list[str]]:
    source = (HERE / "canonical.js").read_text(encoding="utf-8")
    result: list[list[str]] = modules.evaluate(RENDER, [[[e.markdown, e.html] for e in examples], source])
    return result


def test_the_examples_of_what_we_support_render_as_specified(modules: Any, examples: list[Example]) -> None:
    supported = [example for example in examples if example.supported]
    assert len(supported) > 450
    wrong = [
        f"{example.number} {example.section}: {example.markdown!r}\n  wanted {expected!r}\n  got    {whole!r}"
        for example, (expected, whole, *_) in zip(supported, render(modules, supported), strict=True)
        if whole != expected
    ]
    assert not wrong, "\n".join(wrong)


def test_every_example_renders_the_same_however_it_is_cut(modules: Any, examples: list[Example]) -> None:
    assert len(examples) == 652
    for example, (_, whole, *cuts) in zip(examples, render(modules, examples), strict=True):
        for cut in cuts:
            assert cut == whole, example.markdown


def test_what_we_leave_out_is_in_the_docs() -> None:
    text = (HERE.parents[1] / "docs" / "page.md").read_text(encoding="utf-8")
    for construct in ["raw HTML", "reference", "images", "named entities", "bare addresses"]:
        assert construct in text.lower() or construct in text, construct


TABLE = """
| left | right | both | none |
|:-----|------:|:----:|------|
| a `b|c` \\| d | **b** | c |
| 1 | `2\\|2` | 3 | 4 | dropped |
next line of the table
> a quotation ends it
"""


def test_tables_are_those_of_github(modules: Any) -> None:
    result = modules.evaluate(
        """async (text) => {
      const { Markdown } = await import("/web/markdown.js");
      const root = document.createElement("div");
      const markdown = new Markdown(root);
      for (const char of text) markdown.write(char);
      markdown.end();
      const write = (cell) => cell.className + ":" + cell.textContent;
      return [...root.querySelectorAll("tr")].map((row) => [...row.cells].map(write));
    }""",
        TABLE,
    )
    assert result[0] == ["left:left", "right:right", "center:both", ":none"]
    assert result[1][1] == "right:c` | d"
    assert result[2] == ["left:1", "right:2|2", "center:3", ":4"]
    assert result[3][0] == "left:next line of the table"
    assert len(result) == 4
    assert all(len(row) == 4 for row in result)
