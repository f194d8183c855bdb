"""Read front matter, a dialect of YAML with the values of JSON; every error has its file and line."""

import math
import re
from collections.abc import Collection, Hashable
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from aura_core.errors import ConfigError
from aura_core.limits import FAST_YAML
from aura_core.text import printable, without_halves

_TAG = "tag:yaml.org,2002:"
_ODD = frozenset("*!|>?&%@`")
"""Characters that the two parsers treat differently in rare places."""
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)\Z")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?\Z")
# What YAML 1.1 or 1.2 takes for a number: 0100 is 64 in one and 100 in the other, 1:30 is 90 or a text.
_LIKE_A_NUMBER = re.compile(
    r"\A(?:[-+]?(?:0[box][0-9a-fA-F_]+|[0-9][0-9_:]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?"
    r"|\.[0-9_]+(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN))\Z"
)
_BOOLEAN = re.compile(r"(?:true|false|True|False|TRUE|FALSE)\Z")


class _Loader(yaml.SafeLoader):
    """Booleans are `true` and `false` only: `on`, `off`, `yes` and `no` are words. Numbers are those of JSON."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):  # nine lines of aliases can stand for gigabytes
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]  # of its stubs
            text = "an alias is not allowed here; write its value again"
            raise yaml.composer.ComposerError(None, None, text, event.start_mark)
        return super().compose_node(parent, index)


def _wrong(text: str, node: yaml.Node) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, text, node.start_mark)


def _text(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    r"""A string; "\ud83e\udd16" in it are the halves of one character, as JSON writes it."""
    return without_halves(str(loader.construct_scalar(node)))


def _number(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    """A number, written as JSON has it."""
    text = str(loader.construct_scalar(node))
    if _NUMBER.match(text) is None:
        raise _wrong("a number must be written as in JSON, such as 100 or 0.5; put it in quotes if it is a text", node)
    whole = node.tag.endswith("int") and _INTEGER.match(text)
    try:
        number = int(text) if whole else float(text)
    except ValueError:  # Python's own limit, of 4,300 digits
        number = math.inf
    if math.isinf(number):
        raise _wrong("a number is too large; put it in quotes if it is a text", node)
    return number


def _boolean(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> bool:
    text = str(loader.construct_scalar(node))
    if _BOOLEAN.match(text) is None:
        raise _wrong("a value that cannot be read as true or false; put it in quotes if it is a text", node)
    return text.lower() == "true"


def _mapping(loader: yaml.SafeLoader, node: yaml.Node) -> dict[Any, Any]:
    """A mapping; PyYAML's own takes the last of two values of one key."""
    found: dict[Any, Any] = {}
    if not isinstance(node, yaml.MappingNode):
        raise _wrong("a mapping is expected here", node)
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, Hashable):
            raise _wrong("a list or a mapping cannot be a key", key_node)
        if key in found:
            raise _wrong(f"{key!r} stands twice in one mapping", key_node)
        found[key] = loader.construct_object(value_node, deep=True)
    return found


class _FastLoader(getattr(yaml, "CSafeLoader", _Loader)):  # type: ignore[misc]  # PyYAML may lack libyaml
    """The loader on libyaml, which is ten times as fast."""


_OTHERS = {_TAG + kind for kind in ("bool", "int", "float", "timestamp", "merge")}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _OTHERS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.yaml_constructors = {
    tag: make
    for tag, make in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.removeprefix(_TAG) in ("null", "seq")
}
for _name, _make in (("str", _text), ("int", _number), ("float", _number), ("bool", _boolean), ("map", _mapping)):
    _Loader.add_constructor(_TAG + _name, _make)
for _name, _pattern, _first in (
    ("bool", _BOOLEAN, "tTfF"),
    ("int", _INTEGER, "-0123456789"),
    ("float", _LIKE_A_NUMBER, "-+.0123456789"),
):
    _Loader.add_implicit_resolver(_TAG + _name, _pattern, list(_first))
_FastLoader.yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers
_FastLoader.yaml_constructors = _Loader.yaml_constructors


def _composed(text: str) -> tuple[Any, yaml.Node | None]:
    """The node of a text, with the loader that made it. Raises what PyYAML's parser in Python raises.

    libyaml limits nesting only by the stack, words its errors differently, and cannot refuse an alias. So the parser in
    Python reads a text that is long, has odd characters, or is wrong.
    """
    if len(text) <= FAST_YAML and _ODD.isdisjoint(text) and text.replace("\n", " ").isprintable():
        with suppress(yaml.YAMLError, ValueError):
            fast = _FastLoader(text)
            return fast, fast.get_single_node()
    loader = _Loader(text)
    return loader, loader.get_single_node()


def yaml_mapping(text: str, path: Path, known: Collection[str]) -> tuple[dict[str, Any], dict[str, int]]:
    """The keys of the front matter, and the line of each in the file, where it begins on line 2; of a list, also the
    line of each item, as `key[0]`.

    Only the values of `known` keys are read; others are None. Raises ConfigError.
    """
    try:
        loader, node = _composed(text)
        if node is None:
            return {}, {}
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(f"{path}:2: the front matter must be 'key: value' lines")
        where: dict[str, int] = {}
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key, line = str(loader.construct_object(key_node, deep=True)), key_node.start_mark.line + 2
            if key in where:
                raise ConfigError(f"{path}:{line}: {key!r} stands twice; it is on line {where[key]} too")
            if printable(key) != key:
                raise ConfigError(f"{path}:{line}: the key '{printable(key)}' holds a hidden character")
            where[key] = line
            data[key] = loader.construct_object(value_node, deep=True) if key in known else None
            if isinstance(value_node, yaml.SequenceNode):
                where |= {f"{key}[{n}]": item.start_mark.line + 2 for n, item in enumerate(value_node.value)}
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        raise ConfigError(f"{path}:{mark.line + 2 if mark else 2}: {_yaml_hint(exc)}") from None
    except yaml.reader.ReaderError as exc:
        line = text.count("\n", 0, exc.position) + 2
        raise ConfigError(f"{path}:{line}: the character U+{exc.character:04X} is not allowed here") from None
    except (ValueError, ArithmeticError, RecursionError) as exc:  # "\UFFFFFFFF", a thousand brackets
        why = "it is nested too deeply" if isinstance(exc, RecursionError) else "an escape stands for no character"
        raise ConfigError(f"{path}:2: the front matter cannot be read: {why}") from None
    return data, where


def _yaml_hint(exc: yaml.MarkedYAMLError) -> str:
    problem = exc.problem or "this is not YAML"
    if "mapping values are not allowed" in problem:
        return "a value that holds ': ' must stand in quotes"
    if "cannot start any token" in problem and "\\t" in problem:
        return "a tab is not allowed here; indent with spaces"
    return problem
