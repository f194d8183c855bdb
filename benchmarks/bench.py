"""Measure Aura's cost of streaming next to peers, in one interleaved run: `uv run --all-groups just bench`.

Prints medians with their spread, and whether each goal is met; every figure goes to a file as JSON, from which
`benchmarks/chart.py` draws. All scenarios are in measures.py, all goals in goals.py. Linux only (/proc).
"""

import argparse
import json
import os
import platform
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path

import installed
import startup
from contenders import DIRECT, DOOR, Contender, add_options, all_of_them, raw
from goals import DOOR_SCENARIOS, verdicts
from measures import SCENARIOS, WARM, Failed, Scenario, measure
from processes import Missing, ServerProcess
from report import NAMES, Results, tables

SLOW = 15  # seconds; a scenario that takes a contender longer, and twice as long as the fastest, is not repeated


def takes(contender: Contender, name: str, scenario: Scenario) -> bool:
    """Whether a scenario applies to a contender."""
    if contender.name == DIRECT:
        return name.startswith(("first", "delay", "hangup"))
    if DOOR in contender.name:
        return name in DOOR_SCENARIOS
    return name == "bulk50" if "*" in contender.name else True


class Run:
    """All rounds and their results."""

    def __init__(self, contenders: list[Contender], scenarios: dict[str, Scenario], port: int) -> None:
        self.contenders, self.scenarios, self.port = contenders, scenarios, port
        self.servers: dict[str, ServerProcess] = {}
        self.results: Results = {}
        self.failed: dict[str, dict[str, str]] = {}
        self.quickest: dict[str, float] = {}
        self.enough: set[tuple[str, str]] = set()

    def start(self) -> None:
        """Start the servers that stay up, and warm them up."""
        for contender in list(self.contenders):
            wanted = [n for n, s in self.scenarios.items() if takes(contender, n, s)]
            if all(self.scenarios[name].fresh for name in wanted):
                continue
            try:
                server = self.servers[contender.name] = contender.start()
                for scenario in (WARM, SCENARIOS["first200"]):
                    measure(contender, server, scenario, self.port)
            except (Missing, Failed) as why:
                print(f"left out: {contender.name}: {why}", file=sys.stderr)
                self.contenders.remove(contender)

    def round(self) -> None:
        """Every scenario once, for all contenders in turn."""
        for name, scenario in self.scenarios.items():
            for contender in self.contenders * scenario.repeats:
                if not takes(contender, name, scenario) or (name, contender.name) in self.enough:
                    continue
                if name == "bulk50" and ("burst50", contender.name) in self.enough:
                    continue  # this is twice as much
                self.once(name, scenario, contender)

    def once(self, name: str, scenario: Scenario, contender: Contender) -> None:
        """One scenario with one contender."""
        server = None if scenario.fresh else self.servers[contender.name]
        begin = time.monotonic()
        try:
            found = measure(contender, server, scenario, self.port)
        except (Failed, Missing) as why:
            print(f"{name}, {contender.name}: {why}", file=sys.stderr)
            self.failed.setdefault(name, {})[contender.name] = str(why)
        else:
            self.results.setdefault(name, {}).setdefault(contender.name, []).append(found)
        took = time.monotonic() - begin
        print(f"{time.strftime('%H:%M:%S')} {name}, {contender.name}: {took:.1f} s", file=sys.stderr)
        self.quickest[name] = min(took, self.quickest.get(name, took))
        if took > max(SLOW, 2 * self.quickest[name]):
            self.enough.add((name, contender.name))
            if server is not None:
                server.settle(30)

    def stop(self) -> None:
        for name, server in self.servers.items():
            if name != DIRECT:
                server.stop()


def main() -> None:
    """Run, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help=f"by comma: {', '.join(SCENARIOS)}, startup, installed")
    parser.add_argument("--json", type=Path, default=Path(".cache/bench.json"), help="where every figure goes")
    add_options(parser)
    options = parser.parse_args()
    only = set(filter(None, options.only.split(",")))
    if unknown := only - {*SCENARIOS, "startup", "installed"}:
        parser.error(f"no such scenario: {', '.join(unknown)}")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    startup.use_compiled_files()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # and so stop what was started
    chosen = {n: s for n, s in SCENARIOS.items() if not only or n in only}
    models = list(dict.fromkeys(scenario.model for scenario in (*SCENARIOS.values(), WARM)))
    sizes = installed.all_of_them(options.peers_python) if not only or "installed" in only else {}
    about = {
        "date": time.strftime("%Y-%m-%d"),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": installed.versions(options.peers_python),
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    upstream, port = raw("upstream")
    with tempfile.TemporaryDirectory() as folder:
        run = Run(all_of_them(Path(folder), upstream, port, models, options), chosen, port)
        if sizes:
            run.results["installed"] = sizes
        try:
            run.start()
            if not only or "startup" in only:
                startup.once(Path(folder))  # compiled files, and a warm cache
            for number in range(1, options.rounds + 1):
                print(f"round {number} of {options.rounds}", file=sys.stderr)
                run.round()
                if not only or "startup" in only:
                    for name, figures in startup.once(Path(folder)).items():
                        run.results.setdefault("startup", {}).setdefault(name, []).append(figures)
                whole = {"about": about | {"rounds": number}, "results": run.results, "failed": run.failed}
                options.json.write_text(json.dumps(whole, indent=1))
        finally:
            run.stop()
            upstream.stop()
    for title, table in tables(run.results, run.failed).items():
        print(f"## {title}\n\n{table}")
    for scenario, name in sorted(run.enough):
        print(f"not repeated, for it took {NAMES.get(name, name)} far longer than others: {scenario}")
    for scenario, why in run.failed.items():
        for name, reason in why.items():
            print(f"failed: {scenario}, {NAMES.get(name, name)}: {reason}")
    print("\n## Goals\n")
    for verdict in verdicts(run.results, run.failed):
        print(f"- {verdict}")


if __name__ == "__main__":
    main()
