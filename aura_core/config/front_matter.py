"""The front matter's dialect of YAML: it holds what JSON holds, and every error has its file and line."""

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from aura_core.errors import ConfigError
from aura_core.limits import FAST_YAML
from aura_core.text import without_halves

_TAG = "tag:yaml.org,2002:"
_ODD = frozenset("*!|>?&%@`")
"""What the two parsers do not read alike, in places where hardly anybody writes it."""


class _Loader(yaml.SafeLoader):
    """Booleans are `true` and `false` only: `on`, `off`, `yes` and `no` are words."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):  # nine lines of aliases can stand for gigabytes
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]  # of its stubs
            text = "an alias is not allowed here; write its value again"
            raise yaml.composer.ComposerError(None, None, text, event.start_mark)
        return super().compose_node(parent, index)


def _text(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    r"""A string; "\ud83e\udd16" in it are the halves of one character, as JSON writes it."""
    return without_halves(str(loader.construct_scalar(node)))


def _checked(make: Callable[..., Any], kind: str) -> Callable[..., Any]:
    """PyYAML's own raise whatever Python does: KeyError (`!!bool maybe`), IndexError (`!!int ""`), OverflowError."""

    def construct(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
        try:
            return make(loader, node)
        except (ValueError, LookupError, ArithmeticError):
            text = f"a value that cannot be read as {kind}; put it in quotes if it is a text"
            raise yaml.constructor.ConstructorError(None, None, text, node.start_mark) from None

    return construct


class _FastLoader(getattr(yaml, "CSafeLoader", _Loader)):  # type: ignore[misc]  # where PyYAML has no libyaml
    """What libyaml reads: ten times as fast."""


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern) for tag, pattern in resolvers if tag.removeprefix(_TAG) not in ("bool", "timestamp", "merge")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.yaml_constructors = {
    tag: make
    for tag, make in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.removeprefix(_TAG) in ("null", "seq", "map")
}
for _name, _kind in (("bool", "true or false"), ("int", "a whole number"), ("float", "a number")):
    _Loader.yaml_constructors[_TAG + _name] = _checked(yaml.SafeLoader.yaml_constructors[_TAG + _name], _kind)
_Loader.add_constructor(_TAG + "str", _text)
_Loader.add_implicit_resolver(_TAG + "bool", re.compile(r"true|false|True|False|TRUE|FALSE"), list("tTfF"))


_FastLoader.yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers
_FastLoader.yaml_constructors = _Loader.yaml_constructors


def _composed(text: str) -> tuple[Any, yaml.Node | None]:
    """The node of a text, with the loader that made it. Raises what PyYAML's own parser in Python raises.

    libyaml has no limit to nesting but the stack, other words for what is wrong, and no way to refuse an alias: a text
    that is long, odd or wrong is left to the parser in Python.
    """
    if len(text) <= FAST_YAML and _ODD.isdisjoint(text) and text.replace("\n", " ").isprintable():
        with suppress(yaml.YAMLError, ValueError):
            fast = _FastLoader(text)
            return fast, fast.get_single_node()
    loader = _Loader(text)
    return loader, loader.get_single_node()


def yaml_mapping(text: str, path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """The keys of the front matter, and the line of each in the file, where it begins on line 2; of a list, also the
    line of each item, as `key[0]`. Raises ConfigError."""
    try:
        loader, node = _composed(text)
        if node is None:
            return {}, {}
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(f"{path}:2: the front matter must be 'key: value' lines")
        where: dict[str, int] = {}
        for key_node, value_node in node.value:
            key, line = str(loader.construct_object(key_node, deep=True)), key_node.start_mark.line + 2
            if key in where:
                raise ConfigError(f"{path}:{line}: {key!r} stands twice; it is on line {where[key]} too")
            where[key] = line
            if isinstance(value_node, yaml.SequenceNode):
                where |= {f"{key}[{n}]": item.start_mark.line + 2 for n, item in enumerate(value_node.value)}
        data: dict[Any, Any] = loader.construct_document(node)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        raise ConfigError(f"{path}:{mark.line + 2 if mark else 2}: {_yaml_hint(exc)}") from None
    except yaml.reader.ReaderError as exc:
        line = text.count("\n", 0, exc.position) + 2
        raise ConfigError(f"{path}:{line}: the character U+{exc.character:04X} is not allowed here") from None
    except (ValueError, ArithmeticError, RecursionError) as exc:  # "\UFFFFFFFF", a thousand brackets
        why = "it is nested too deeply" if isinstance(exc, RecursionError) else "an escape stands for no character"
        raise ConfigError(f"{path}:2: the front matter cannot be read: {why}") from None
    return {str(key): value for key, value in data.items()}, where


def _yaml_hint(exc: yaml.MarkedYAMLError) -> str:
    problem = exc.problem or "this is not YAML"
    if "mapping values are not allowed" in problem:
        return "a value that holds ': ' must stand in quotes"
    if "cannot start any token" in problem and "\\t" in problem:
        return "a tab is not allowed here; indent with spaces"
    return problem
