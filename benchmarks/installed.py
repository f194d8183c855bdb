"""The size of an installation: a distribution with all its dependencies, without compiled files."""

import importlib.metadata
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

AURA = {f"aura-{name}": ["aura-server", f"aura-{name}"] for name in ("ollama", "openai", "anthropic")}
PEERS = {"litellm": ["litellm[proxy]"], "tensorzero": ["tensorzero"]}
EDITABLE = {"aura-server": "aura_core"} | {name: name.replace("-", "_") for name in AURA}

Found = dict[str, importlib.metadata.Distribution]


def all_of_them(peers_python: str) -> dict[str, list[dict[str, float]]]:
    """MiB and packages of Aura with one plugin, and of the peers that are installed."""
    weights = {}
    for python, wanted in ((sys.executable, AURA), (peers_python, PEERS)):
        present = distributions(python)
        for name, roots in wanted.items():
            if all(canonicalize_name(Requirement(root).name) in present for root in roots):
                closure = needed(present, roots)
                size = sum(weight(name, present[name]) for name in closure)
                weights[name] = [{"mib": size / 2**20, "packages": float(len(closure))}]
    return weights


def versions(peers_python: str) -> dict[str, str]:
    """Versions of the contenders."""
    present = distributions(sys.executable) | distributions(peers_python)
    return {name: present[name].version for name in ("aura-server", "litellm", "tensorzero") if name in present}


def distributions(python: str) -> Found:
    """The distributions installed for a Python."""
    told = subprocess.run(
        [python, "-c", "import json, sys; print(json.dumps(sys.path[1:]))"], capture_output=True, text=True, check=True
    )
    every = importlib.metadata.distributions(path=json.loads(told.stdout))
    return {canonicalize_name(each.metadata["Name"]): each for each in every}


def needed(present: Found, roots: list[str]) -> set[str]:
    """Names of all distributions that these require, extras included."""
    done: set[tuple[str, str]] = set()
    todo = [(canonicalize_name(r.name), extra) for r in map(Requirement, roots) for extra in ("", *r.extras)]
    while todo:
        name, extra = todo.pop()
        if (name, extra) in done or name not in present:
            continue
        done.add((name, extra))
        for line in present[name].requires or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                todo += [(canonicalize_name(requirement.name), each) for each in ("", *requirement.extras)]
    return {name for name, _ in done}


def weight(name: str, distribution: importlib.metadata.Distribution) -> int:
    """Bytes of its files, or of its source where it is installed from here."""
    files = [Path(str(distribution.locate_file(file))) for file in distribution.files or []]
    if (package := EDITABLE.get(name)) and (spec := importlib.util.find_spec(package)) and spec.origin:
        files += Path(spec.origin).parent.rglob("*")
    real = {file for file in files if file.suffix != ".pyc" and file.is_file()}
    return sum(file.stat().st_size for file in real)


if __name__ == "__main__":
    for who, (figures,) in all_of_them(sys.argv[1] if sys.argv[1:] else sys.executable).items():
        print(f"{who}: {figures['mib']:.0f} MiB in {figures['packages']:.0f} packages")
