"""The pages' claims about vendors' servers: the named tests exist, tables load, the named models are not shut down."""

import importlib
import inspect
import re
import typing
from pathlib import Path

import pytest
from doc_pages import DOCS, Block, blocks

from aura_core.config import settings
from aura_core.runtime import Runtime

ROOT = DOCS.parent
READMES = sorted(ROOT.glob("plugins/*/README.md"))
TRIED = re.compile(r"^\| (?P<server>[^|]+) \| (?P<tried>[^|]*) \| [^|]*\|$", re.MULTILINE)
OPENAI_MODEL = re.compile(r"""["':/ ](?P<name>(?:gpt-|o\d)[a-z0-9.-]*)["'\s]""")


def _section() -> str:
    page = (DOCS / "providers.md").read_text(encoding="utf-8")
    return page.partition("## Servers that were tried")[2].partition("\n## ")[0]


def test_everything_that_was_tried_is_in_the_tests() -> None:
    rows = [row for row in TRIED.finditer(_section()) if row["server"] not in ("server", "---")]
    assert len(rows) > 20
    there = {path.stem for path in ROOT.glob("plugins/*/tests/re*/*.bin")}
    there |= {path.name for path in ROOT.glob("plugins/openai/tests/test_*.py")}
    for row in rows:
        names = re.findall(r"`([^`]+)`", row["tried"])
        assert names, f"{row['server']} was tried with nothing"
        assert set(names) <= there, f"{row['server']}: {set(names) - there}"


def test_the_streams_of_vendors_are_those_of_the_page() -> None:
    source = (ROOT / "plugins/openai/tests/test_vendors.py").read_text(encoding="utf-8")
    streams = set(re.findall(r'^    "([^"]+)": \(', source, re.MULTILINE))
    named = {
        row["server"].removesuffix("'s proxy") for row in TRIED.finditer(_section()) if "test_vendors" in row["tried"]
    }
    assert named == streams


@pytest.mark.parametrize(
    "server", ["llama.cpp", "vLLM", "LM Studio", "OpenRouter", "Groq", "DeepSeek", "Mistral", "Gemini"]
)
def test_a_server_that_was_tried_has_a_table_to_copy(server: str) -> None:
    name = server.lower().replace(" ", "").replace(".", "")
    assert f'[providers.{name}]\nplugin = "openai"\nbase_url = "http' in _section()


README_BLOCKS = [(page.parent.name, block) for page in READMES for block in blocks(page) if block.language == "toml"]


@pytest.mark.parametrize(("plugin", "block"), README_BLOCKS, ids=lambda each: getattr(each, "place", each))
def test_tables_in_the_readmes_load(plugin: str, block: Block, tmp_path: Path) -> None:
    file = tmp_path / "aura.toml"
    file.write_text(block.text, encoding="utf-8")
    environ = {"AZURE_OPENAI_ENDPOINT": "https://my-resource.openai.azure.com"}
    loaded = settings.load({}, environ, file)
    runtime = Runtime(loaded, environ)
    errors = {name: runtime.providers.instances[name].error for name in loaded.tables}
    assert errors == dict.fromkeys(loaded.tables)
    assert runtime.providers.warnings == []


def test_openais_models_in_the_pages_are_not_about_to_be_shut_down() -> None:
    """The SDK knows every model's name, and its documentation gives their shutdown dates."""
    module = importlib.import_module("openai.types.shared.chat_model")
    known = set(typing.get_args(module.ChatModel))
    dated = set(re.findall(r'"([^"]+)"', inspect.getsource(module).partition("Deprecated values:")[2]))
    assert "gpt-5-mini" in dated
    named: dict[str, str] = {}
    for page in [*DOCS.glob("*.md"), *READMES, ROOT / "README.md"]:
        for block in blocks(page):
            if block.language in ("toml", "markdown"):
                named |= {each["name"]: block.place for each in OPENAI_MODEL.finditer(block.text)}
    assert named, "no page names a model of OpenAI's"
    assert {name: place for name, place in named.items() if name not in known or name in dated} == {}
