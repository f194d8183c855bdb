"""Find regular expressions that may take more than linear time: nested or adjacent unbounded repeats.

`findings` reads one pattern; `python_patterns` and `script_patterns` find those of Python, JavaScript and TypeScript.
It errs on the safe side: a pattern that it reports wrongly is either written anew or listed, with the reason.
"""

import ast
import importlib
import re
import string
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

_parser: Any = importlib.import_module("re._parser")  # not `sre_parse`, which is deprecated
_SAMPLE = frozenset([*map(chr, range(0x250)), *"…\u2028\u2029\ud800\udfffⅧ🤖"])
_MANY = 256
"""A repeat that may be as long as this counts as open-ended."""

Chars = frozenset[str]


class Pattern(NamedTuple):
    """A pattern in a source file; `how` is `search`, `match` or `fullmatch`."""

    place: str
    text: str
    flags: int
    how: str


class _Open(NamedTuple):
    """A repeat that may still backtrack into the items after it. The search for a
    beginning is one, too: it may begin anew at each character."""

    chars: Chars
    since: tuple[Chars, ...] = ()


def findings(pattern: Pattern) -> list[str]:
    """What may make this pattern slow; empty for a linear pattern."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `[[` may mean something in a later Python
        parsed = _parser.parse(pattern.text, pattern.flags)
    walk = _Walk(bool(parsed.state.flags & re.IGNORECASE), bool(parsed.state.flags & re.MULTILINE))
    walk.sequence(list(parsed), [_Open(_SAMPLE)] if pattern.how == "search" else [], pattern.how == "fullmatch")
    return list(dict.fromkeys(walk.found))


class _Walk:
    def __init__(self, any_case: bool, multiline: bool) -> None:
        self.found: list[str] = []
        self._any_case = any_case
        self._multiline = multiline

    def sequence(self, items: list[Any], opens: list[_Open], may_fail: bool) -> list[_Open]:
        """The repeats that are still open after these items. `may_fail`: something after them may not match."""
        for index, (name, value) in enumerate(items):
            fails = may_fail or any(_must_match(item) for item in items[index + 1 :])
            opens = self._item(str(name), value, opens, fails)
        return opens

    def _item(self, name: str, value: Any, opens: list[_Open], fails: bool) -> list[_Open]:
        if name.endswith("REPEAT"):
            return self._repeat(name, *value, opens, fails)
        if name == "SUBPATTERN":
            return self.sequence(list(value[-1]), opens, fails)
        if name == "ATOMIC_GROUP":
            self.sequence(list(value), opens, fails)
            return [_passed(each, self._chars(value)) for each in opens]
        if name == "BRANCH":
            ends = [self.sequence(list(branch), opens, fails) for branch in value[1]]
            return list(dict.fromkeys(each for end in ends for each in end))
        if name in ("ASSERT", "ASSERT_NOT"):
            if value[0] > 0:  # ahead
                self.sequence(list(value[1]), opens, True)
            return opens
        if name == "AT":
            anchored = str(value) == "AT_BEGINNING_STRING" or (str(value) == "AT_BEGINNING" and not self._multiline)
            return [] if anchored else opens
        if name.startswith("GROUPREF"):
            return opens
        return [_passed(each, self._chars([(name, value)])) for each in opens]

    def _repeat(self, name: str, low: int, high: int, body: Any, opens: list[_Open], fails: bool) -> list[_Open]:
        items, chars = list(body), self._chars(body)
        if high < _MANY:
            inside = self.sequence(items, opens, fails)
            return inside if low else list(dict.fromkeys([*opens, *inside]))
        for each in opens:
            if fails and self._fits(items, each.chars) and all(other & each.chars & chars for other in each.since):
                self.found.append("a repeat that can take what a repeat, or the search, before it can take as well")
        before = len(self.found)
        self.sequence(items * 2, [], True)
        if len(self.found) > before:
            self.found[before:] = ["a repeat in a repeat, where either can take the same"]
        after = [_passed(each, chars) for each in opens] if low else opens
        return after if name.startswith("POSSESSIVE") else [*after, _Open(chars)]

    def _fits(self, items: list[Any], chars: Chars) -> bool:
        """Whether these items can match a text that consists only of such characters."""
        for name, value in ((str(item[0]), item[1]) for item in items):
            if name.endswith("REPEAT"):
                fits = not value[0] or self._fits(list(value[2]), chars)
            elif name in ("SUBPATTERN", "ATOMIC_GROUP"):
                fits = self._fits(list(value[-1] if name == "SUBPATTERN" else value), chars)
            elif name == "BRANCH":
                fits = any(self._fits(list(branch), chars) for branch in value[1])
            elif name.startswith(("AT", "ASSERT", "GROUPREF")):
                fits = True
            else:
                fits = bool(self._chars([(name, value)]) & chars)
            if not fits:
                return False
        return True

    def _chars(self, items: Any) -> Chars:
        """All characters of the sample that a match can contain."""
        found: set[str] = set()
        for kind, value in items:
            name = str(kind)
            if name == "LITERAL":
                found.add(chr(value))
            elif name == "NOT_LITERAL":
                found |= _SAMPLE - self._cased({chr(value)})
            elif name == "ANY":
                found |= _SAMPLE
            elif name == "IN":
                inside = self._chars([item for item in value if str(item[0]) != "NEGATE"])
                found |= _SAMPLE - inside if str(value[0][0]) == "NEGATE" else inside
            elif name == "RANGE":
                found |= {char for char in _SAMPLE if value[0] <= ord(char) <= value[1]}
            elif name == "CATEGORY":
                found |= _category(str(value))
            elif name.endswith("REPEAT"):
                found |= self._chars(value[2])
            elif name == "SUBPATTERN":
                found |= self._chars(value[-1])
            elif name == "ATOMIC_GROUP":
                found |= self._chars(value)
            elif name == "BRANCH":
                found |= {char for branch in value[1] for char in self._chars(branch)}
            elif name.startswith("GROUPREF"):
                found |= _SAMPLE
        return self._cased(found)

    def _cased(self, chars: set[str]) -> Chars:
        more = {other for char in chars for other in (char.lower(), char.upper())} if self._any_case else set()
        return frozenset(chars | more)


def _passed(each: _Open, chars: Chars) -> _Open:
    return each if chars in each.since else _Open(each.chars, (*each.since, chars))


def _category(name: str) -> Chars:
    sign = {"DIGIT": "d", "SPACE": "s", "WORD": "w"}[name.rpartition("_")[2]]
    pattern = re.compile(f"\\{sign.upper() if 'NOT' in name else sign}")
    return frozenset(char for char in _SAMPLE if pattern.match(char))


def _must_match(item: Any) -> bool:
    """Whether this item of a pattern can fail to match."""
    name, value = str(item[0]), item[1]
    if name.endswith("REPEAT"):
        return value[0] > 0 and any(map(_must_match, value[2]))
    if name == "SUBPATTERN":
        return any(map(_must_match, value[-1]))
    if name == "BRANCH":
        return all(any(map(_must_match, branch)) for branch in value[1])
    if name == "ATOMIC_GROUP":
        return any(map(_must_match, value))
    return not name.startswith("GROUPREF")


# Sources


def python_patterns(sources: Mapping[str, Path]) -> Iterator[Pattern]:
    """The patterns of Python sources, by name: calls of `re`, and `pattern=` of msgspec's Meta."""
    trees = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in sources.items()}
    shared = {key: value for tree in trees.values() for key, value in _constants(tree).items()}
    for name, tree in trees.items():
        yield from _of_module(name, tree, shared | _constants(tree))


def _constants(tree: ast.Module) -> dict[str, ast.expr]:
    return {ast.unparse(node.targets[0]): node.value for node in ast.walk(tree) if isinstance(node, ast.Assign)}


def _of_module(name: str, tree: ast.Module, names: dict[str, ast.expr]) -> Iterator[Pattern]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        place = f"{name}:{node.lineno}"
        for keyword in node.keywords:
            if keyword.arg == "pattern":
                yield Pattern(place, _text(keyword.value, names), 0, "search")
        if not (isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "re"):
            continue
        method = node.func.attr
        if method in ("escape", "purge"):
            continue
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        flags = sum(getattr(re, word) for arg in given for word in re.findall(r"\bre\.([A-Z]+)", ast.unparse(arg)))
        yield Pattern(place, _text(node.args[0], names), flags, _how(method, node, tree))


def _text(node: ast.expr, names: dict[str, ast.expr]) -> str:
    """The text of a pattern, which may be a concatenation of constants."""
    if isinstance(node, ast.Name) and node.id in names:
        return _text(names[node.id], names)
    if isinstance(node, ast.JoinedStr):
        return "".join(
            _text(part.value if isinstance(part, ast.FormattedValue) else part, names) for part in node.values
        )
    value = ast.literal_eval(node)
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _how(method: str, call: ast.Call, tree: ast.Module) -> str:
    """How a pattern is used: a compiled one through its module's name, or through `pattern` for those in a table."""
    methods = {method}
    if method == "compile":
        owner = next((name for name, value in _constants(tree).items() if value is call), "pattern")
        used = re.finditer(rf"(?<![\w.]){owner}\.(\w+)\(", ast.unparse(tree))
        methods = {found[1] for found in used}
    if methods and methods <= {"match", "fullmatch"}:
        return methods.pop() if len(methods) == 1 else "fullmatch"
    return "search"


_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*|/\*(?:[^*]|\*(?!/))*\*/)|(?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    |(?P<pattern>/(?:\\[^\n]|\[(?:\\[^\n]|[^\]\\\n])*\]|[^/*\\\[\n])(?:\\[^\n]|\[(?:\\[^\n]|[^\]\\\n])*\]|[^/\\\[\n])*/[a-z]*)
    |(?P<word>[\w$#]+)|(?P<sign>[^`])""",
    re.DOTALL | re.VERBOSE,
)
_BEFORE_A_PATTERN = {"return", "typeof", "case", "in", "of", "do", "else", "void", "delete", "throw", "new", "await"}


def script_patterns(path: Path, name: str) -> Iterator[Pattern]:
    """The patterns of a JavaScript or TypeScript source. A `/` after a value is a division."""
    text = path.read_text(encoding="utf-8")
    at, after_value, braces = 0, False, list[bool]()  # of each open brace: whether it is a template's `${`
    while at < len(text):
        if text[at] == "`" or (text[at] == "}" and braces and braces.pop()):
            at = _template(text, at + 1)
            if text[at - 1] == "{":
                braces.append(True)
            after_value = text[at - 1] == "`"
            continue
        found = _TOKEN.match(text, at)
        assert found is not None, f"{name}: {text[at : at + 20]!r} is not understood"
        kind, word = str(found.lastgroup), found[0]
        if kind == "pattern" and after_value:
            kind, word = "sign", "/"
        at += len(word)
        if kind == "space":
            continue
        if kind == "pattern":
            yield _script_pattern(f"{name}:{text.count(chr(10), 0, at) + 1}", word)
        if word == "{":
            braces.append(False)
        after_value = kind in ("string", "pattern") or word in (")", "]", "}")
        after_value |= kind == "word" and word not in _BEFORE_A_PATTERN


def _template(text: str, at: int) -> int:
    """The position after a template's end, or after the first `${` in it."""
    while text[at] != "`":
        if text.startswith("${", at):
            return at + 2
        at += 2 if text[at] == "\\" else 1
    return at + 1


def _script_pattern(place: str, literal: str) -> Pattern:
    body, _, letters = literal[1:].rpartition("/")
    body = body.replace("[^]", r"[\s\S]").replace("\\/", "/")
    body = re.sub(r"\\p\{[PS]\}", lambda _: re.escape(string.punctuation), body)
    body = re.sub(r"\\[pP]\{\w+\}", lambda _: r"\w", body)
    body = re.sub(r"\(\?<(?=\w)", "(?P<", body)
    body = re.sub(r"\\u\{(\w+)\}", lambda found: re.escape(chr(int(found[1], 16))), body)
    flags = sum({"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL}.get(letter, 0) for letter in letters)
    return Pattern(place, body, flags, "match" if "y" in letters else "search")
