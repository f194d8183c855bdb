"""The files of `aura init`: each line and each block that is uncommented alone lands where it is meant to."""

import re
import tomllib
from pathlib import Path

import pytest

from aura_core.cli.init import ASSISTANT, aura_toml
from aura_core.config import settings
from aura_core.config.agents import parse
from aura_core.runtime import Runtime

COMMENTED = re.compile(r"# (?=[a-z_]+ = )")


def _table(lines: list[str], index: int) -> list[str]:
    """The table that is meant, by the header above: that is what a person sees."""
    header = next(line for line in reversed(lines[: index + 1]) if re.match(r"(# )?\[", line))
    return header.removeprefix("# ").strip("[]").split(".")


def _lines() -> list[str]:
    return aura_toml().split("\n")


def _load(tmp_path: Path, text: str) -> Runtime:
    (file := tmp_path / "aura.toml").write_text(text, encoding="utf-8")
    return Runtime(settings.load({}, {}, file), {})


def test_as_it_is_it_sets_the_folder_of_the_agents_alone(tmp_path: Path) -> None:
    (tmp_path / "agents").mkdir()
    runtime = _load(tmp_path, aura_toml())
    assert list(runtime.settings.origins) == ["agents.directory"]
    assert not any(runtime.settings.tables.values())
    assert runtime.warnings == []
    assert {name for name, instance in runtime.providers.instances.items() if instance.configured} == set()
    assert len([line for line in _lines() if COMMENTED.match(line)]) > 20


def test_each_key_alone_lands_in_its_table(tmp_path: Path) -> None:
    (tmp_path / "agents").mkdir()
    lines = _lines()
    for index, line in enumerate(lines):
        if not COMMENTED.match(line):
            continue
        key = line.removeprefix("# ").partition(" = ")[0]
        text = "\n".join([*lines[:index], line.removeprefix("# "), *lines[index + 1 :]])
        table = data = tomllib.loads(text)
        for name in _table(lines, index):
            table = table[name]
        del table[key]
        assert data == tomllib.loads(aura_toml()), line
        assert "unknown key" not in str(_load(tmp_path, text).warnings)


def test_each_block_alone_lands_in_its_table(tmp_path: Path) -> None:
    (tmp_path / "agents").mkdir()
    lines = _lines()
    headers = [index for index, line in enumerate(lines) if re.match(r"(# )?\[", line)]
    assert len(headers) >= 6
    for begin, end in zip(headers, [*headers[1:], len(lines)], strict=True):
        block = [COMMENTED.sub("", line) for line in lines[begin:end]]
        block[0] = block[0].removeprefix("# ")
        text = "\n".join([*lines[:begin], *block, *lines[end:]])
        table = tomllib.loads(text)
        for name in _table(lines, begin):
            table = table[name]
        meant = {line.partition(" = ")[0] for line in block if re.match(r"[a-z_]+ = ", line)}
        assert meant
        assert meant == {*table}
        assert "unknown key" not in str(_load(tmp_path, text).warnings)


def test_each_key_of_the_agents_file_alone_is_read() -> None:
    lines = ASSISTANT.split("\n")
    commented = [index for index, line in enumerate(lines) if re.match(r"# [a-z_]+: ", line)]
    assert len(commented) == 3
    for index in commented:
        key = lines[index].removeprefix("# ").partition(":")[0]
        text = "\n".join([*lines[:index], lines[index].removeprefix("# "), *lines[index + 1 :]])
        agent = parse("a", text, Path("a.md"))
        assert getattr(agent.front_matter, key) is not None
        assert agent.notes == ()


@pytest.mark.parametrize("name", ["ollama", "openai", "azure", "anthropic"])
def test_an_empty_table_of_a_plugin_that_is_switched_off_is_not_a_warning(name: str, tmp_path: Path) -> None:
    (file := tmp_path / "aura.toml").write_text(f"[providers.{name}]\n")
    loaded = settings.load({}, {}, file)
    assert Runtime(loaded, {"AURA_PLUGINS": "echo"}).warnings == []
