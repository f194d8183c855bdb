"""Run every attack in its full size, and put the figures into docs/security-testing.md: `just attack`.

    uv run --all-groups python tests/attack/run.py [--no-docs]

Everything is on loopback: a real `aura serve`, a provider's server, and the attackers in this process. It takes less
than ten minutes, and exits with 1 when an attack has succeeded. Linux only (/proc).
"""

import argparse
import asyncio
import datetime
import platform
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from attacks import (
    Figure,
    all_at_once,
    idle_connections,
    long_prompts,
    more_descriptors,
    never_read,
    strange_requests,
    unfinished_bodies,
    unfinished_heads,
    unread_answers,
    upstream_faults,
)
from siege import GIGABYTE, Siege, siege

Attack = Callable[[Siege], Awaitable[Figure]]

USUAL: list[Attack] = [
    lambda aura: idle_connections(aura, 9000),
    lambda aura: unfinished_heads(aura, 5000),
    lambda aura: unfinished_bodies(aura, 1000),
    lambda aura: never_read(aura, 300, "ollama-tiny"),
    lambda aura: never_read(aura, 1000, "ollama-endless"),
    lambda aura: never_read(aura, 1000, "openai-endless"),
    lambda aura: never_read(aura, 1000, "ollama-wide"),
    lambda aura: never_read(aura, 1000, "openai-wide"),
    lambda aura: unread_answers(aura, 1000, "chat"),
    lambda aura: unread_answers(aura, 1000, "chat/stream"),
    lambda aura: long_prompts(aura, 200, "ollama-stall"),
    lambda aura: long_prompts(aura, 200, "openai-stall"),
    lambda aura: strange_requests(aura, 20_000),
    lambda aura: upstream_faults(aura, 2000, "ollama"),
    lambda aura: upstream_faults(aura, 2000, "openai"),
]
LITTLE: list[Attack] = [
    lambda aura: never_read(aura, 1000, "openai-wide"),
    lambda aura: unfinished_bodies(aura, 1000),
    lambda aura: long_prompts(aura, 200, "openai-stall"),
    lambda aura: all_at_once(aura, 3000),
]
HEAD = (
    "| attack | tried | outcome | server's memory at most, MiB | others served meanwhile"
    " | their first token, median / slowest, ms |\n|---|---|---|---|---|---|\n"
)
BEGIN, END = "<!-- figures: just attack -->\n", "<!-- end of figures -->\n"
PAGE = Path(__file__).parents[2] / "docs/security-testing.md"


def row(figure: Figure) -> str:
    """A line of the table."""
    waits = f"{figure.median * 1000:.0f} / {figure.slowest * 1000:.0f}"
    told = (figure.attack, figure.tried, figure.outcome, str(figure.peak), f"{figure.served:,}", waits)
    return f"| {' | '.join(told)} |\n"


def besiege(attacks: list[Attack], address_space: int | None) -> str:
    """Run them in turn: each against a server of its own, or all against one where memory is short. Gives the table."""
    lines = HEAD
    groups = [[attack] for attack in attacks] if address_space is None else [attacks]
    for group in groups:
        with tempfile.TemporaryDirectory() as folder, siege(Path(folder), address_space) as aura:
            for attack in group:
                line = row(asyncio.run(attack(aura)))  # type: ignore[arg-type]
                print(line, end="", flush=True)
                lines += line
    return lines


def main() -> None:
    """Print the tables, and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-docs", action="store_true", help="leave docs/security-testing.md as it is")
    given = parser.parse_args()
    more_descriptors()
    begin = time.monotonic()
    print(HEAD, end="")
    usual = besiege(USUAL, None)
    print("\nIn a gigabyte of address space:\n")
    little = besiege(LITTLE, GIGABYTE)
    minutes = (time.monotonic() - begin) / 60
    figures = (
        f"The last run: {datetime.date.today():%d %B %Y}, Python {platform.python_version()}, two cores that the"
        f" attackers, the\nserver and the provider's server shared; {minutes:.0f} minutes.\n\n{usual}\n"
        f"In a gigabyte of address space (`RLIMIT_AS`):\n\n{little}"
    )
    if not given.no_docs:
        page = PAGE.read_text(encoding="utf-8")
        before, _, rest = page.partition(BEGIN)
        _, mark, after = rest.partition(END)
        assert mark, f"{PAGE} has no place for the figures"
        PAGE.write_text(f"{before}{BEGIN}\n{figures}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
