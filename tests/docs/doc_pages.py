"""Read the pages of docs/ as their fenced blocks.

The word after the fence is the block's language. It may be followed by the name of the file whose text the block is,
and by a mark: `broken` (an agent file with an intended error), `fails` (the last command exits with an error),
`install` (only for a newcomer without an environment), `not run: REASON`.
"""

import re
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.glob("*.md"))
FENCE = re.compile(r"^( *)(`{3,})(?P<info>[^`\n]*)\n(?P<text>.*?)^\1\2$", re.MULTILINE | re.DOTALL)
MARKS = {"broken", "fails", "install"}


class Block(NamedTuple):
    """One fenced block."""

    page: Path
    line: int
    language: str
    file: str | None
    marks: frozenset[str]
    reason: str | None
    text: str

    @property
    def place(self) -> str:
        """`page.md:12`."""
        return f"{self.page.name}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in their order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for fence in FENCE.finditer(text):
        info, _, reason = fence["info"].partition("not run:")
        language, *words = info.split() or [""]
        files = [word for word in words if word not in MARKS]
        assert len(files) <= 1, f"{page.name}: what is {words}?"
        line = text.count("\n", 0, fence.start()) + 1
        marks = frozenset(words) & MARKS
        found.append(Block(page, line, language, *(files or [None]), marks, reason.strip() or None, fence["text"]))
    return found


def without_blocks(page: Path) -> str:
    """A page's prose and tables."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def all_blocks() -> list[Block]:
    """The blocks of every page."""
    return [block for page in PAGES for block in blocks(page)]
