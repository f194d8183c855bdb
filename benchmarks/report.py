"""Tables of a benchmark's figures, in Markdown: the median, with the lowest and highest value in brackets."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple

Results = dict[str, dict[str, list[dict[str, float]]]]
Failures = dict[str, dict[str, str]]


NAMES = {
    "no server": "no server at all",
    "nginx": "nginx (bytes only)",
    "bare relay": "bare relay (bytes only)",
    "aura-ollama": "Aura, Ollama",
    "aura-ollama+v1": "Aura, Ollama, through the OpenAI API",
    "aura-openai": "Aura, OpenAI",
    "aura-anthropic": "Aura, Anthropic",
    "aura-ollama*2": "Aura, Ollama, two workers",
    "aura-openai*2": "Aura, OpenAI, two workers",
    "tensorzero": "TensorZero (Rust)",
    "litellm": "LiteLLM proxy",
}


class Column(NamedTuple):
    """A figure of a scenario."""

    title: str
    scenario: str
    key: str


TABLES = {
    "CPU for a token, µs": [
        Column("50 streams at 50 tokens/s", "paced50", "cpu"),
        Column("200 streams at 50 tokens/s", "sat200", "cpu"),
        Column("50 streams as fast as possible", "burst50", "cpu"),
        Column("a request with one token", "request", "cpu"),
    ],
    "The first token, ms": [
        Column("one stream", "first1", "first_p50"),
        Column("50 at once: median", "first50", "first_p50"),
        Column("worst", "first50", "first_max"),
        Column("200 at once: median", "first200", "first_p50"),
        Column("worst", "first200", "first_max"),
    ],
    "From the provider's write to the client, ms": [
        Column("50 streams at 50 tokens/s: median", "delay50", "delay_p50"),
        Column("99 of 100", "delay50", "delay_p99"),
    ],
    "Memory": [
        Column("KiB a stream, 200 open", "crowd200", "kib"),
        Column("1,000 open", "crowd1000", "kib"),
        Column("3,000 open", "crowd3000", "kib"),
        Column("MiB of growth, four clients never read", "stalled4", "growth"),
    ],
    "A crowd, every token checked: seconds": [
        Column("1,000 streams (at least 10 s)", "crowd1000", "elapsed"),
        Column("3,000 streams (at least 18 s)", "crowd3000", "elapsed"),
        Column("delay of 3,000 streams' tokens: 99 of 100, ms", "crowd3000", "delay_p99"),
    ],
    "Until the provider sees a hang-up, ms": [
        Column("one", "hangup1", "hangup_p50"),
        Column("50 at once: median", "hangup50", "hangup_p50"),
        Column("worst", "hangup50", "hangup_max"),
        Column("50 before their first token: median", "hangup50-before", "hangup_p50"),
        Column("worst", "hangup50-before", "hangup_max"),
    ],
    "Tokens a second of 50 bursts, ends made cheap": [Column("tokens/s", "bulk50", "throughput")],
    "Start-up": [Column("ms", "startup", "ms"), Column("MiB", "startup", "mib")],
    "Seconds until it listens": [Column("s", "crowd200", "started")],
    "Installed": [Column("MiB", "installed", "mib"), Column("packages", "installed", "packages")],
}


def tables(results: Results, failed: Failures) -> dict[str, str]:
    """All tables that have figures, by their titles."""
    found = {title: _table(columns, results, failed) for title, columns in TABLES.items()}
    return {title: table for title, table in found.items() if table}


def _table(columns: list[Column], results: Results, failed: Failures) -> str:
    columns = [column for column in columns if column.scenario in {*results, *failed}]
    named = [name for c in columns for name in (*results.get(c.scenario, {}), *failed.get(c.scenario, {}))]
    if not columns:
        return ""
    lines = [f"| | {' | '.join(column.title for column in columns)} |", "|---" * len(columns) + "|---|"]
    for name in sorted(set(named), key=[*NAMES, *named].index):
        cells = (_cell(column, name, results, failed) for column in columns)
        lines.append(f"| {NAMES.get(name, name)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(column: Column, name: str, results: Results, failed: Failures) -> str:
    runs = results.get(column.scenario, {}).get(name, [])
    if name in failed.get(column.scenario, {}):
        return "failed"
    if values := of(results, column.scenario, name, column.key):
        return spread(values)
    if column.key == "kib" and runs:
        return "not all were open"
    return "never" if any(run.get("unseen") for run in runs) else ""


def of(results: Results, scenario: str, name: str, key: str) -> list[float]:
    """The values of all rounds."""
    return [run[key] for run in results.get(scenario, {}).get(name, []) if key in run]


def spread(values: Sequence[float]) -> str:
    """Median, lowest and highest."""
    middle = number(statistics.median(values))
    low, high = number(min(values)), number(max(values))
    return middle if low == high else f"{middle} ({low}–{high})"


def number(value: float) -> str:
    """Two or three significant digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}" if abs(value) >= 10 else f"{value:.2g}"
