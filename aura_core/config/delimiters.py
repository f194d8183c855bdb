"""Split an agent file at its `---` lines; what only looks like front matter is an error, not a part of the prompt."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from aura_core.errors import ConfigError
from aura_core.text import printable, visible

DELIMITER = "---"
_DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
# Such lines in editors, other formats and Markdown: hyphens or what autocorrection makes of them, `+++`, a code fence.
_LIKE = re.compile("[-\u2010-\u2015\u2212\ufe58\ufe63\uff0d]{2}|[\u2012-\u2015]|\\+{3}|`{3}|~{3}")
_KEY = re.compile(r"([A-Za-z_][\w-]*)\s*[:=](?:\s|$)")
_COMMON = {"name", "description", "tags", "options"}
"""Keys that a prompt may begin with as well."""
_BLOCKS = ("|", ">", "|-", ">-", "|+", ">+")
_SHOWN = 40


def split(text: str, path: Path, known: Collection[str]) -> tuple[str | None, str]:
    """The front matter of a file, None where it has none, and the prompt; `known` are the keys of front matter.

    Raises ConfigError with file and line.
    """
    lines = text.split("\n")
    if lines[0].rstrip() != DELIMITER:
        _check_prompt(lines, path, known)
        return None, text
    block = False
    for index in range(1, len(lines)):
        line = lines[index]
        if line.rstrip() == DELIMITER:
            return "\n".join(lines[1:index]), "\n".join(lines[index + 1 :])
        # Indented it may be part of a block of text. Anywhere else YAML would read on, and take the prompt for a value.
        if _bare(line) == DELIMITER and not (block and line[0].isspace()):
            raise _not_alone(path, index, line, "closes")
        block = block or line.rstrip().endswith(_BLOCKS)
    raise ConfigError(f"{path}:1: the front matter is not closed; end it with a line '---'")


def _check_prompt(lines: Sequence[str], path: Path, known: Collection[str]) -> None:
    """Refuse a file whose front matter would be read as its prompt, which another provider would then get."""
    first = next((index for index, line in enumerate(lines) if visible(line).strip()), 0)
    if lines[first].rstrip() == DELIMITER:
        raise ConfigError(f"{path}:{first + 1}: the line '---' that opens the front matter must be the first")
    if _bare(lines[first]) == DELIMITER:
        raise _not_alone(path, first, lines[first], "opens")
    begin = _behind_titles(lines, first)
    head = visible(lines[begin]).strip()
    opened, fenced = _is_like(head), head.startswith(("```", "~~~"))
    inside = begin + opened
    if fenced and inside < len(lines) and _is_like(lines[inside]):
        fenced, inside = False, inside + 1
    keys, end = _keys(lines, inside, blank=opened)
    if opened and (match := _KEY.match(head.lstrip(_DASHES + " "))):
        keys.append(match[1])
    # A prompt may begin with an example of YAML in a code fence.
    closed = not fenced and end < len(lines) and _is_like(lines[end])
    ours = {key for key in keys if (key.lower() if closed else key) in known}
    if ours if closed else ours - _COMMON:
        raise ConfigError(f"{path}:{begin + 1}: this looks like front matter; the first line of the file must be '---'")


def _behind_titles(lines: Sequence[str], index: int) -> int:
    """The index of the first line from here on that is not blank, a title or an HTML comment; else of the last line."""
    while index < len(lines) - 1:
        line = visible(lines[index]).strip()
        if line.startswith("<!--"):
            while "-->" not in lines[index] and index < len(lines) - 1:
                index += 1
        elif line and not line.startswith("#"):
            break
        index = min(index + 1, len(lines) - 1)
    return index


def _keys(lines: Sequence[str], begin: int, blank: bool) -> tuple[list[str], int]:
    """The keys of the lines from `begin` on that look like YAML or TOML, and the index of the line behind these.

    `blank`: whether blank lines may be among them.
    """
    found = []
    for index in range(begin, len(lines)):
        line = visible(lines[index])
        if match := _KEY.match(line):
            found.append(match[1])
        elif not line.startswith((" ", "\t", "#", "- ", "]", "}")) and (line or not blank):
            return found, index
    return found, len(lines)


def _is_like(line: str) -> bool:
    return _LIKE.match(visible(line).strip()) is not None


def _bare(line: str) -> str:
    """A line without hidden characters, the white space around it, and a comment at its end."""
    return visible(line).partition(" #")[0].strip()


def _not_alone(path: Path, index: int, line: str, does: str) -> ConfigError:
    shown = printable(line.rstrip())[:_SHOWN]
    return ConfigError(f"{path}:{index + 1}: the line that {does} the front matter must be '---' alone, not '{shown}'")
