"""Write a benchmark's figures into docs/performance.md: its tables, the goals and the chart; `just figures`."""

import argparse
import json
import re
from pathlib import Path

from chart import draw
from goals import verdicts
from report import tables


def fill(page: str, title: str, lines: str, start: str) -> str:
    """The page with the lines below a heading that start this way replaced."""
    shape = re.compile(
        rf"(^## {re.escape(title)}\n(?:(?!## ).*\n)*?)(?:{re.escape(start)}.*\n(?:  .*\n)*)+", re.MULTILINE
    )
    filled, count = shape.subn(lambda found: found[1] + lines, page)
    if count != 1:
        raise SystemExit(f"the page has no place for {title!r}")
    return filled


def main() -> None:
    """Write the page and the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figures", type=Path, nargs="?", default=Path(".cache/bench.json"))
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    given = parser.parse_args()
    whole = json.loads(given.figures.read_text())
    path = given.docs / "performance.md"
    page = path.read_text(encoding="utf-8")
    for title, table in tables(whole["results"], whole["failed"]).items():
        page = fill(page, title, table, "|")
    goals = "".join(f"- {verdict}\n" for verdict in verdicts(whole["results"], whole["failed"]))
    path.write_text(fill(page, "Goals", goals, "- "), encoding="utf-8")
    draw(whole, given.docs / "images/performance.svg")


if __name__ == "__main__":
    main()
