"""Write the generated parts of these pages from the code: run `python docs/generate.py` after a change.

The text between `<!-- begin NAME -->` and `<!-- end NAME -->` in a page is generated here.
"""

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import takewhile
from pathlib import Path

import msgspec

import aura_core
from aura_core import hookspecs, streams
from aura_core.answer.events import FINISH_REASONS
from aura_core.cli import COMMANDS, aura
from aura_core.config.agents import FrontMatter
from aura_core.config.clients import ClientSettings
from aura_core.config.fields import fields
from aura_core.config.settings import SECTIONS, ProviderSettings
from aura_core.door import Encoder
from aura_core.echo import EchoOptions
from aura_core.errors import CODES
from aura_core.plugins.loader import Plugins
from aura_core.problems import PROBLEMS
from aura_core.telemetry.metrics import GAUGES, Metrics
from aura_core.testing.checks import DOOR_PROMISES, PROMISES
from aura_core.testing.door_registry import DoorPromise
from aura_core.testing.registry import PACE, Promise

FOLDER = Path(__file__).parent
CORE = FOLDER.parent / "aura_core"
BLOCK = re.compile(r"(<!-- begin (?P<name>[^>]+?) -->\n).*?(<!-- end (?P=name) -->)", re.DOTALL)
PROVIDERS = ("ollama", "openai", "azure", "anthropic")

MODULES = re.compile(r"\baura_core\.(?:\w+\.)+(?=[A-Z])|\bcollections\.abc\.|\btyping\.")
Rows = Iterator[tuple[str, ...]]


def table(header: str, rows: Rows) -> str:
    """A Markdown table; the header's columns are separated by ` | `."""
    names = header.split(" | ")
    lines = [names, ["---"] * len(names), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def code(text: str) -> str:
    """The text as code, or a dash for none."""
    return f"`{text}`" if text else "–"


def section(name: str) -> str:
    """The settings of a section of aura.toml."""
    return table(
        "key | default | type | meaning | variable",
        (
            (code(f.key), code(f.default), f.kind, f.description, code(f"AURA_{name}__{f.key}".upper()))
            for f in fields(SECTIONS[name])
        ),
    )


def clients() -> str:
    """The settings of `[clients.NAME]`."""
    return table(
        "key | default | type | meaning | variable",
        (
            (code(f.key), code(f.default), f.kind, f.description, code(f"AURA_CLIENTS__NAME__{f.key}".upper()))
            for f in fields(ClientSettings)
        ),
    )


def provider(name: str) -> str:
    """The settings of `[providers.NAME]`."""
    struct = Plugins().hooks[name].settings_type
    assert struct is not None
    rows = []
    for f in fields(struct):
        variables = [f"AURA_PROVIDERS__{name}__{f.key}".upper(), *([f.variable] if f.variable else [])]
        rows.append((code(f.key), code(f.default), f.kind, f.description, ", ".join(map(code, variables))))
    for f in fields(ProviderSettings):
        if all(row[0] != code(f.key) for row in rows):
            variable = code(f"AURA_PROVIDERS__{name}__{f.key}".upper())
            rows.append((code(f.key), code(f.default), f.kind, f.description, variable))
    return table("key | default | type | meaning | variables", iter(rows))


def options(name: str) -> str:
    """The names of the `options` that a provider's plugin checks."""
    struct = Plugins().hooks[name].options_type
    assert struct is not None
    # A key of any type is declared only to be refused: it belongs to Aura.
    return ", ".join(code(f.key) for f in fields(struct) if f.kind) + "\n"


def keys_of(struct: type[msgspec.Struct]) -> str:
    """The keys of an agent file, or of echo's options."""
    return table(
        "key | default | type | meaning",
        ((code(f.key), code(f.default), f.kind, f.description) for f in fields(struct)),
    )


def error_codes() -> str:
    """The codes of an `error` event."""
    return table(
        "code | retry? | status of /chat | meaning",
        ((code(name), "yes" if i.retry else "no", str(i.status), i.title) for name, i in CODES.items()),
    )


def problem_codes() -> str:
    """The codes of a refusal."""
    return table(
        "code | status | meaning",
        ((code(name), str(status), title) for name, (status, title) in PROBLEMS.items()),
    )


def help_of(command: str) -> str:
    """The output of `aura COMMAND --help` on a terminal with 80 columns; click leaves two of them free."""
    context = aura.make_context("aura", [], resilient_parsing=True, terminal_width=78)
    if command:
        found = aura.get_command(context, command)
        assert found is not None
        context = found.make_context(command, [], context, resilient_parsing=True)
    return f"```text\n{context.get_help()}\n```\n"


def metrics() -> str:
    """The names in `GET /metrics`."""
    shown = Metrics(str, dict.fromkeys(GAUGES, int), {"abandonments": {}, "lines_dropped": int, "restarts": int})
    shown.look(0.0)
    rendered = shown.render().decode()
    found = re.findall(r"^# HELP (\S+) (.+)\n# TYPE \S+ (\S+)$", rendered, re.MULTILINE)
    return table("name | type | meaning", ((code(name), kind, text) for name, text, kind in found))


def hooks() -> str:
    """Every hook: its signature and its promise, from aura_core/hookspecs.py."""
    found = [spec for name, spec in vars(hookspecs).items() if hasattr(spec, "aura_spec")]
    return "\n".join(f"### {spec.__name__}\n\n```python\n{signature(spec)}\n```\n\n{prose(spec)}\n" for spec in found)


def types() -> str:
    """The types of `aura_core.__all__` that a provider needs, with their fields."""
    return listed(of_door=False)


def door_types() -> str:
    """The types of `aura_core.__all__` that only a door needs."""
    return listed(of_door=True)


def listed(of_door: bool) -> str:
    """The types of `aura_core.__all__` that are, or are not, for doors alone."""
    found = [each for name in aura_core.__all__ if isinstance(each := getattr(aura_core, name), type)]
    found = [each for each in found if (each.__module__ in ("aura_core.door", "aura_core.problems")) == of_door]
    return "\n".join(f"```python\n{call(each)}\n```\n\n{prose(each)}\n" for each in found)


def readers() -> str:
    """The functions and types in `aura_core.streams.__all__`."""
    found = [
        each for name in streams.__all__ if inspect.isclass(each := getattr(streams, name)) or inspect.isfunction(each)
    ]
    heads = (call(each) if isinstance(each, type) else signature(each) for each in found)
    return "\n".join(
        f"```python\n{MODULES.sub('', head)}\n```\n\n{prose(each)}\n" for head, each in zip(heads, found, strict=True)
    )


def causes() -> str:
    """The table that maps a failure to a code, in its order."""
    return table("code | where one of these is said | with which status", (cause(row) for row in streams.CAUSES))


def cause(row: streams.Cause) -> tuple[str, str, str]:
    """A row of that table, in words."""
    said = ", ".join([*(f"`{each}`" for each in sorted(row.codes)), *row.phrases]) or "anything"
    if row.wordless:
        said = "nothing but “Not found”"
    if row.named:
        said = "the model's name"
    statuses = "any" if row.statuses is None else ranges(row.statuses)
    if row.never:
        statuses += f", but not {ranges(row.never)}"
    return code(row.code), said + (", and not when to come back" if row.patient else ""), statuses


def ranges(statuses: frozenset[int]) -> str:
    """Statuses as a text; 0 stands for an error inside the stream."""
    found: list[list[int]] = []
    for status in sorted(statuses):
        if found and found[-1][-1] == status - 1:
            found[-1].append(status)
        else:
            found.append([status])
    texts = [f"{run[0]}–{run[-1]}" if len(run) > 1 else str(run[0]) for run in found]
    return ", ".join("in the stream" if text == "0" else text for text in texts)


def finish_words() -> str:
    """The meaning of a provider's word for the end of an answer."""
    rows: dict[str, list[str]] = {}
    for word, meaning in FINISH_REASONS.items():
        rows.setdefault(meaning, []).append(code(word))
    ends = {"interrupted": "error `interrupted`", "llm_error": "error `llm_error`"}
    return table("becomes | words", ((ends.get(means, code(means)), ", ".join(words)) for means, words in rows.items()))


def promises() -> str:
    """Every check of the conformance kit."""
    return "\n".join(map(promise, PROMISES.values()))


def door_promises() -> str:
    """Every check of a door."""
    return "\n".join(map(promise, DOOR_PROMISES.values()))


def encoder() -> str:
    """The methods and attributes of an encoder."""
    methods = [each for name, each in vars(Encoder).items() if inspect.isfunction(each) and not name.startswith("_")]
    rows = (
        (
            code(re.sub(r"^def (.+) -> bytes$", r"\1", signature(each)).replace("self, ", "").replace("self", "")),
            " ".join(prose(each).split()),
        )
        for each in methods
    )
    return table("method | returns", rows)


def promise(each: Promise | DoorPromise) -> str:
    """A check: its promise, what it builds on, and what it takes to keep it."""
    needs = [name for name in each.needs if name not in PACE]
    builds_on = f" (Builds on {', '.join(map(code, needs))}.)" if needs else ""
    more = f"\n{each.more}\n" if each.more else ""
    return f"### {each.name}\n\n{each.promise}{builds_on}\n{more}"


def modules() -> str:
    """Every module of the core and its first sentence, a table for each package."""
    folders = sorted({path.parent for path in _sources()}, key=lambda folder: (folder != CORE, folder))
    parts = []
    for folder in folders:
        rows = ((code(path.name), _opening(path)) for path in _sources() if path.parent == folder)
        name = folder.relative_to(CORE.parent).as_posix()
        parts.append(f"### {name}\n\n{table('module | what it is for', rows)}")
    return "\n".join(parts)


def _sources() -> list[Path]:
    found = [path for pattern in ("*.py", "web/*.js") for path in CORE.rglob(pattern)]
    own = (path for path in found if not any(part.startswith("template") for part in path.parts))
    return sorted(path for path in own if _opening(path))


def _opening(path: Path) -> str:
    """The first sentence of a module: of its docstring, or of the comment on top of a script."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        said = (ast.get_docstring(ast.parse(text)) or "").partition("\n\n")[0]
    else:
        lines = text.removeprefix("// @ts-check\n").split("\n")
        said = "\n".join(line.removeprefix("//") for line in takewhile(lambda line: line.startswith("//"), lines))
    return " ".join(said.split())


def exceptions() -> str:
    """The core's exceptions below those that they are made from, with their first sentences."""
    found: dict[str, list[tuple[str, str]]] = {}
    for path in CORE.rglob("*.py"):
        if not {"testing", "template", "template_door"} & set(path.parts):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef) and node.bases and not node.name.startswith("_"):
                    place = f"{path.relative_to(CORE.parent).as_posix()}::{node.name}"
                    said = " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
                    found.setdefault(ast.unparse(node.bases[0]), []).append((place, said))
    return "".join(_below("Exception", found, 0))


def _below(base: str, found: dict[str, list[tuple[str, str]]], depth: int) -> Iterator[str]:
    for place, said in sorted(found.get(base, [])):
        yield f"{'  ' * depth}- {code(place)}: {said}\n"
        yield from _below(place.rpartition("::")[2], found, depth + 1)


def signature(function: Callable[..., object]) -> str:
    """A function's first line."""
    text = f"def {function.__name__}{inspect.signature(function)}"
    return re.sub(r"\b(collections\.abc|contextlib|typing|aura_core\.types|msgspec)\.", "", text)


def call(kind: type) -> str:
    """The call that creates a value of this type."""
    parameters = re.sub(r" -> None$", "", str(inspect.signature(kind)))
    return f"{kind.__name__}{re.sub(r'(typing|aura_core[.]types)[.]', '', parameters)}".replace("'", '"').replace(
        "<factory>", "{}"
    )


def prose(documented: object) -> str:
    """A docstring as paragraphs."""
    return inspect.getdoc(documented) or ""


def deployed(name: str) -> str:
    """A file of deploy/."""
    text = (FOLDER.parent / name).read_text(encoding="utf-8")
    return f"```nginx\n{text}```\n"


PARTS: dict[str, Callable[[], str]] = {
    **{f"section {name}": partial(section, name) for name in SECTIONS},
    "clients": clients,
    **{f"provider {name}": partial(provider, name) for name in PROVIDERS},
    **{f"options {name}": partial(options, name) for name in PROVIDERS},
    **{f"help {name}": partial(help_of, name) for name in COMMANDS},
    "help": partial(help_of, ""),
    "front matter": partial(keys_of, FrontMatter),
    "options echo": partial(keys_of, EchoOptions),
    "error codes": error_codes,
    "problem codes": problem_codes,
    "metrics": metrics,
    "hooks": hooks,
    "types": types,
    "streams": readers,
    "causes": causes,
    "finish words": finish_words,
    "promises": promises,
    "door types": door_types,
    "door promises": door_promises,
    "encoder": encoder,
    "modules": modules,
    "deploy/nginx/aura.conf": partial(deployed, "deploy/nginx/aura.conf"),
    "exceptions": exceptions,
}


def renewed(text: str) -> str:
    """A page's text with its generated parts up to date."""
    return BLOCK.sub(lambda match: match[1] + PARTS[match["name"]]() + match[3], text)


def main() -> None:
    """Update every page, and print which ones changed."""
    for path in sorted(FOLDER.glob("*.md")):
        before = path.read_text(encoding="utf-8")
        after = renewed(before)
        if after != before:
            path.write_text(after, encoding="utf-8")
            sys.stdout.write(f"{path.name}: renewed\n")


if __name__ == "__main__":
    main()
