"""Draw a benchmark's figures, a panel for each measure, a dot for each contender; needs matplotlib.

The picture has its own background, so that it is readable on light and dark pages.
"""

import statistics
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "aura", "font.family": ["sans-serif"], "font.size": 10}

from matplotlib import pyplot as plt  # noqa: E402  # after the choice of the back end
from report import NAMES, Results, number, of  # noqa: E402

WHO = {name: label for name, label in NAMES.items() if name != "no server" and not {"*", "+"} & set(name)}
PANELS = [
    ("CPU for a token, µs: 200 streams at 50 tokens/s", "sat200", "cpu"),
    ("CPU for a token, µs: 50 bursts", "burst50", "cpu"),
    ("First token, ms: the last of 200 at once", "first200", "first_max"),
    ("Provider to client, ms: 99 of 100 tokens", "delay50", "delay_p99"),
    ("Memory, KiB a stream: 1,000 open", "crowd1000", "kib"),
    ("50 hang-ups until the provider sees them, ms", "hangup50", "hangup_p50"),
]
PAPER, INK, DIM, GRID, AURA, OTHER = "#fbfbf9", "#24292f", "#57606a", "#e2e4e7", "#2f6fde", "#7d8792"
CLEAR = {"facecolor": PAPER, "edgecolor": "none", "pad": 1.5}


def panel(axes: Any, title: str, results: Results, scenario: str, key: str) -> None:
    """One figure, a dot for each contender's median, and a line from its lowest to its highest round."""
    found = {name: values for name in WHO if (values := of(results, scenario, name, key))}
    every = [value for values in found.values() for value in values if value > 0] or [1, 10]
    axes.set_xscale("log")
    axes.set_xlim(min(every) / 1.6, max(every) * 4)
    for place, (name, label) in enumerate(reversed(WHO.items())):
        colour, weight = (AURA, "bold") if "aura" in name else (OTHER, "normal")
        axes.axhline(place, color=GRID, linewidth=0.8, zorder=0)
        axes.text(-0.02, place, label, va="center", ha="right", color=INK, transform=axes.get_yaxis_transform())
        if name in found:
            values = found[name]
            middle = statistics.median(values)
            axes.plot([min(values), max(values)], [place, place], color=colour, linewidth=3, alpha=0.5)
            axes.plot([middle], [place], "o", color=colour, markersize=9)
            beside: dict[str, Any] = {"textcoords": "offset points", "xytext": (9, 0), "va": "center", "bbox": CLEAR}
            axes.annotate(number(middle), (max(values), place), color=INK, fontweight=weight, **beside)
        else:
            unseen = any(run.get("unseen") for run in results.get(scenario, {}).get(name, []))
            said = "never" if unseen else "cannot hold them" if scenario.startswith("crowd") else "no figure"
            axes.text(0.02, place, said, va="center", color=INK, transform=axes.get_yaxis_transform(), bbox=CLEAR)
    axes.set_title(title, loc="left", color=INK, fontsize=10.5, fontweight="bold")
    axes.set_yticks([])
    axes.set_ylim(-0.6, len(WHO) - 0.4)
    axes.xaxis.set_major_formatter(lambda value, _: number(value))
    axes.tick_params(axis="x", which="both", length=0, labelcolor=DIM, labelsize=8.5)
    axes.tick_params(axis="x", which="minor", labelbottom=False)
    axes.grid(axis="x", which="major", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)


def draw(whole: dict[str, Any], picture: Path) -> None:
    """Draw all panels of a run."""
    figure, grid = plt.subplots(3, 2, figsize=(11, 8.6), facecolor=PAPER)
    for axes, (title, scenario, key) in zip(grid.flat, PANELS, strict=True):
        axes.set_facecolor(PAPER)
        panel(axes, title, whole["results"], scenario, key)
    about = whole["about"]
    note = f"Medians of {about['rounds']} interleaved rounds, {about['cores']} cores, {about['date']}."
    figure.text(0.015, 0.012, f"{note} Scales are logarithmic; further left is better.", color=INK, fontsize=9)
    figure.subplots_adjust(left=0.16, right=0.985, top=0.955, bottom=0.075, wspace=0.42, hspace=0.3)
    figure.savefig(picture, facecolor=PAPER, metadata={"Date": None, "Creator": None})
    text = "\n".join(line.rstrip() for line in picture.read_text().splitlines())
    picture.write_text(text + "\n")
