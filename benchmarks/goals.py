"""Aura's performance goals, and whether a run of the benchmark met them."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from contenders import DIRECT, DOOR, RELAY
from report import NAMES, Failures, Results, of, spread
from startup import ALL_READY

OLLAMA, OPENAI, ANTHROPIC = "aura-ollama", "aura-openai", "aura-anthropic"
BOTH = (OLLAMA, OPENAI)
DOOR_SCENARIOS = {"sat200": "200 paced streams", "burst50": "bursts", "request": "a request with one token"}


class Verdict(NamedTuple):
    """A goal, whether it was met (None: not measured), and the figure."""

    goal: str
    met: bool | None
    figure: str

    def __str__(self) -> str:
        word = {True: "met", False: "NOT MET", None: "not measured"}[self.met]
        return f"{word}: {self.goal}" + (f" — {self.figure}" if self.figure else "")


def verdicts(results: Results, failed: Failures) -> list[Verdict]:
    """Every goal."""
    found = []

    def at_most(goal: str, limit: float, scenario: str, name: str, key: str, unit: str, less: str = "") -> None:
        values = of(results, scenario, name, key)
        if less:
            base = of(results, scenario, less, key)
            values = [value - statistics.median(base) for value in values] if base else []
        missed = name in failed.get(scenario, {}) or any(
            run.get("unseen") for run in results.get(scenario, {}).get(name, [])
        )
        met = (statistics.median(values) <= limit and not missed) if values else False if missed else None
        found.append(Verdict(goal, met, f"{spread(values)} {unit}" if values else ""))

    def times(goal: str, limit: float, scenario: str, key: str, over: str, under: str, least: bool = False) -> None:
        above, below = of(results, scenario, over, key), of(results, scenario, under, key)
        broken = any("aura" in name and name in failed.get(scenario, {}) for name in (over, under))
        if not above or not below or broken:
            found.append(Verdict(goal, False if broken else None, "failed" if broken else ""))
            return
        ratio = statistics.median(above) / max(statistics.median(below), 1e-9)
        figure = f"{ratio:.2f}x ({spread(above)} / {spread(below)}; {_each(above, below)})"
        found.append(Verdict(goal, ratio >= limit if least else ratio <= limit, figure))

    for scenario, said in {"sat200": "200 paced streams", "burst50": "bursts"}.items():
        times(f"Aura, Ollama, {said}: at most 5x the relay's CPU for a token", 5, scenario, "cpu", OLLAMA, RELAY)
        times(f"Aura, OpenAI, {said}: less CPU for a token than TensorZero", 1, scenario, "cpu", OPENAI, "tensorzero")
        times(f"Aura, OpenAI, {said}: at most 2x Ollama's CPU for a token", 2, scenario, "cpu", OPENAI, OLLAMA)
        goal = f"Aura, Anthropic, {said}: at most 1.2x OpenAI's CPU for a token"
        times(goal, 1.2, scenario, "cpu", ANTHROPIC, OPENAI)
    for scenario, said in DOOR_SCENARIOS.items():
        goal = f"Through the OpenAI API, {said}: CPU within 15 % of the native route's"
        times(goal, 1.15, scenario, "cpu", f"{OLLAMA}{DOOR}", OLLAMA)
    at_most("Aura with all plugins: ready within 500 ms of its start", 500, "startup", ALL_READY, "ms", "ms")
    for name in BOTH:
        goal = f"{NAMES[name]}, 50 paced streams: CPU for a token at least 8x below LiteLLM's"
        times(goal, 8, "paced50", "cpu", "litellm", name, least=True)
    for name, most in ((OLLAMA, 1), (OPENAI, 1.5)):
        goal = f"{NAMES[name]}: CPU for a request at most {most:g}x TensorZero's"
        times(goal, most, "request", "cpu", name, "tensorzero")
    for name, most in ((OLLAMA, 60), (OPENAI, 90)):
        goal = f"{NAMES[name]}: 200 at once, each has its first token within {most} ms"
        at_most(goal, most, "first200", name, "first_max", "ms")
    for name in BOTH:
        goal = f"{NAMES[name]}: a first token at most 5 ms after the provider's own"
        at_most(goal, 5, "first1", name, "first_p50", "ms", less=DIRECT)
        at_most(f"{NAMES[name]}: at most 48 KiB a stream, 200 open", 48, "crowd200", name, "kib", "KiB")
        at_most(f"{NAMES[name]}: at most 25 KiB a stream, 1,000 open", 25, "crowd1000", name, "kib", "KiB")
        goal = f"{NAMES[name]}: four clients that never read: less than 16 MiB in 5 s"
        at_most(goal, 16, "stalled4", name, "growth", "MiB")
        for scenario, said in {"hangup50": "in mid-stream", "hangup50-before": "before the first token"}.items():
            goal = f"{NAMES[name]}: 50 hang-ups at once {said} reach the provider within 6 ms, median"
            at_most(goal, 6, scenario, name, "hangup_p50", "ms")
        goal = f"{NAMES[name]}: two workers serve at least 1.4 times the bursts of one"
        times(goal, 1.4, "bulk50", "throughput", f"{name}*2", name, least=True)
        for scenario, said in {"crowd1000": "1,000", "crowd3000": "3,000"}.items():
            goal = f"{NAMES[name]}: {said} streams at once, every token there and in order"
            elapsed = of(results, scenario, name, "elapsed")
            why = failed.get(scenario, {}).get(name)
            found.append(Verdict(goal, False if why else True if elapsed else None, why or _seconds(elapsed)))
    return found


def _each(above: Sequence[float], below: Sequence[float]) -> str:
    ratios = [one / max(other, 1e-9) for one, other in zip(above, below, strict=False)]
    return f"by round {min(ratios):.2f}–{max(ratios):.2f}"


def _seconds(values: Sequence[float]) -> str:
    return f"{spread(values)} s" if values else ""
