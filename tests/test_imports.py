"""The rules for imports within the core: which package may import which, and no import cycles."""

import ast
from collections.abc import Iterator
from pathlib import Path

import aura_core

ROOT = Path(aura_core.__file__).parent

# Each package, and the packages that its modules may import; top-level modules outside of packages are `core`.
# `assembly` are the top-level modules that put the packages together.
ALLOWED = {
    "core": set[str](),
    "streams": {"core"},
    "config": {"core"},
    "telemetry": {"core", "answer"},
    "answer": {"core"},
    "doors": {"core", "answer"},
    "plugins": {"core", "config", "doors"},
    "assembly": {"core", "streams", "config", "telemetry", "answer", "doors", "plugins"},
    "server": {"core", "config", "telemetry", "answer", "doors", "plugins", "assembly"},
    "testing": {"core", "streams", "config", "telemetry", "answer", "doors", "plugins", "assembly", "server"},
    "cli": {"core", "config", "telemetry", "answer", "doors", "plugins", "assembly", "server", "testing"},
}
ASSEMBLY = {"aura_core.bindings", "aura_core.runtime", "aura_core.client"}
START = {"aura_core.__main__"}  # `python -m aura_core` is the command


def _modules() -> dict[str, Path]:
    paths = [path for path in ROOT.rglob("*.py") if not {"template", "template_door"} & {*path.relative_to(ROOT).parts}]
    return {".".join(("aura_core", *path.relative_to(ROOT).with_suffix("").parts)): path for path in paths}


MODULES = {name.removesuffix(".__init__"): path for name, path in _modules().items()}


def _imports(module: str) -> Iterator[str]:
    """The modules of the core that a module imports, at any place in it."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] == "aura_core")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "aura_core":
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else str(node.module)


def _room(module: str) -> str:
    if module in ASSEMBLY:
        return "assembly"
    room = module.split(".")[1] if module.count(".") else ""
    return room if (ROOT / room).is_dir() and room else "core"


GRAPH = {module: set(_imports(module)) - {module} for module in MODULES}


def test_the_graph_is_read() -> None:
    assert len(GRAPH) > 60
    assert "aura_core.answer.relay" in GRAPH["aura_core.runtime"]
    assert "aura_core.server.serve" in GRAPH["aura_core.cli.serve"], "an import in a function counts, too"


def test_packages_import_only_what_is_allowed() -> None:
    wrong = [
        f"{module} imports {other}: {_room(module)} does not know {_room(other)}"
        for module in sorted(GRAPH.keys() - START)
        for other in sorted(GRAPH[module])
        if _room(other) not in ALLOWED[_room(module)] | {_room(module)}
    ]
    assert wrong == []


def test_no_import_goes_up() -> None:
    order = list(ALLOWED)
    for room, below in ALLOWED.items():
        assert room not in below
        assert all(room not in ALLOWED[other] for other in below), room
    assert order[-1] == "cli"


def test_there_is_no_import_cycle() -> None:
    done: set[str] = set()
    path: list[str] = []

    def visit(module: str) -> None:
        if module in path:
            raise AssertionError(" -> ".join([*path[path.index(module) :], module]))
        if module in done:
            return
        path.append(module)
        for other in sorted(GRAPH[module]):
            visit(other)
        path.pop()
        done.add(module)

    for module in sorted(GRAPH):
        visit(module)
    assert done == GRAPH.keys()
