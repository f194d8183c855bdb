"""The pages are correct: generated parts are up to date, nothing public is missing, every block runs."""

import os
import re
import shutil
import subprocess
import sys
import typing
from pathlib import Path

import click
import generate
import msgspec
import pytest
from doc_pages import DOCS, PAGES, Block, all_blocks, blocks, without_blocks
from doc_session import Session

import aura_core
from aura_core.answer.events import Event
from aura_core.answer.stream_record import StreamRecord
from aura_core.cli import COMMANDS, aura
from aura_core.config import agents, settings
from aura_core.config.fields import fields
from aura_core.door import AgentInfo
from aura_core.doors.native import OK, PING, Answer, ChatBody, HistoryMessage
from aura_core.errors import CODES
from aura_core.plugins.infos import ProviderInfo
from aura_core.plugins.loader import Plugins
from aura_core.problems import PROBLEMS, ProblemBody
from aura_core.runtime import Runtime
from aura_core.server.app import create_app
from aura_core.testing import Upstream

# Languages of blocks that are only shown.
# extension/test/unit reads the yaml, tests/telemetry/test_prometheus.py the promql
SHOWN = {"text", "nginx", "ini", "yaml", "promql"}
RUN = {"console", "sh", "log", "python", "js", "markdown", "toml", "json"}
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")


README = DOCS.parent / "README.md"


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def lacks(text: str, names: typing.Iterable[str]) -> list[str]:
    """The names that the text does not contain as code."""
    code = " ".join(re.findall(r"`[^`\n]+`|^ .*$|^\{.*$", text, re.MULTILINE))
    return [name for name in names if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", code)]


# Nothing is missing


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_generated_parts_are_as_generated(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert generate.renewed(text) == text, "run: python docs/generate.py"


def test_every_generated_part_stands_in_a_page() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in PAGES)
    assert [name for name in generate.PARTS if f"<!-- begin {name} -->" not in text] == []


def test_every_installed_provider_has_settings_options_and_a_section() -> None:
    names = set(Plugins().hooks) - {"echo"}
    assert names == set(generate.PROVIDERS)
    assert lacks(page("providers.md"), names) == []


def test_every_variable_is_documented() -> None:
    assert lacks(page("settings.md"), settings.VARIABLES) == []


def test_every_route_is_documented() -> None:
    app = typing.cast("typing.Any", create_app(Runtime(settings.load({}, {}), {})))
    while not hasattr(app, "routes"):  # what the application is wrapped in
        app = app._app
    routes = {
        f"{method} {re.sub(r':[a-z]+}', '}', route.path)}"
        for route in app.routes
        for method in route.methods
        if method not in ("OPTIONS", "HEAD")
    }
    routes.remove("GET /schema/{path}")  # Litestar's own 404
    assert len(routes) > 8
    assert lacks(page("http-api.md"), routes) == []


def test_every_event_comment_and_field_of_the_wire_is_documented() -> None:
    names = {comment.decode().strip() for comment in (OK, PING)}
    for event in typing.get_args(Event):
        names |= {event.__struct_config__.tag, *event.__struct_encode_fields__}
    for struct in (ChatBody, HistoryMessage, Answer, AgentInfo, ProviderInfo, ProblemBody):
        names |= set(struct.__struct_encode_fields__)
    assert lacks(page("http-api.md"), names) == []


def test_every_code_has_a_heading_in_troubleshooting() -> None:
    headings = set(re.findall(r"^### (.+)$", page("troubleshooting.md"), re.MULTILINE))
    assert headings == set(CODES) | set(PROBLEMS)


def test_every_demo_agent_is_documented() -> None:
    demo = Path(aura_core.__file__).parent / "demo"
    assert lacks(page("http-api.md"), [path.stem for path in demo.glob("*.md")]) == []


def test_every_command_has_a_heading() -> None:
    assert set(re.findall(r"^## aura (.+)$", page("cli.md"), re.MULTILINE)) == set(COMMANDS)


def test_help_in_the_pages_is_what_the_command_prints() -> None:
    command = [sys.executable, "-m", "aura_core", "doctor", "--help"]
    shown = subprocess.run(command, env=os.environ | {"COLUMNS": "80"}, capture_output=True, text=True, check=True)
    assert generate.help_of("doctor") == f"```text\n{shown.stdout}```\n"


def test_every_option_of_a_command_has_a_help_text() -> None:
    context = click.Context(aura)
    silent = [
        f"{name} {option.opts[0]}"
        for name in COMMANDS
        for option in typing.cast("click.Command", aura.get_command(context, name)).params
        if isinstance(option, click.Option) and not option.help
    ]
    assert silent == []


def test_every_setting_and_key_has_a_description() -> None:
    structs = [*settings.SECTIONS.values(), agents.FrontMatter]
    structs += [struct for hooks in Plugins().hooks.values() if (struct := hooks.settings_type)]
    assert [f"{s.__name__}.{f.key}" for s in structs for f in fields(s) if not f.description] == []


def test_every_field_of_a_log_line_is_documented() -> None:
    (example,) = [block.text for block in blocks(DOCS / "monitoring.md") if block.language == "json"]
    extra = ["time", "level", "logger", "message"]
    assert list(msgspec.json.decode(example)) == extra + list(StreamRecord.__struct_fields__)


def test_every_page_is_linked_from_the_readme() -> None:
    linked = {target for target, _ in LINK.findall(README.read_text(encoding="utf-8"))}
    assert [path.name for path in PAGES if f"docs/{path.name}" not in linked] == []


def test_links_lead_somewhere() -> None:
    lost = []
    for path in [README, *PAGES]:
        for target, anchor in LINK.findall(without_blocks(path)):
            aim = path.parent / target if target else path
            if not aim.exists() or (anchor and aim.suffix == ".md" and anchor not in _anchors(aim)):
                lost.append(f"{path.name}: {target}#{anchor}")
    assert lost == []


def _anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", without_blocks(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# Everything runs


def test_every_language_has_a_reader() -> None:
    assert {
        f"{block.place}: {block.language!r}" for block in all_blocks() if block.language not in SHOWN | RUN
    } == set()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_page_does_what_it_says(path: Path, tmp_path: Path, ollama: Upstream) -> None:
    found = [block for block in blocks(path) if "install" not in block.marks]
    if any(line.startswith("$ node ") for block in found for line in block.text.splitlines()):
        _need("node")
    environ = {**os.environ, "OLLAMA_HOST": ollama.url}
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    with Session(tmp_path, environ) as session:
        for block in found:
            session.follow(block)


def _need(tool: str) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"needs {tool}")


@pytest.mark.parametrize("block", [b for b in all_blocks() if b.reason], ids=lambda block: block.place)
def test_what_is_not_run(block: Block) -> None:
    if block.language == "sh":
        subprocess.run(["bash", "-n"], input=block.text, text=True, check=True)
    pytest.skip(f"{block.place} is read by bash, but not run: {block.reason}")


@pytest.mark.parametrize(
    "block", [b for b in all_blocks() if b.language == "markdown"], ids=lambda block: f"{block.place}"
)
def test_agents_in_the_pages_are_valid(block: Block, tmp_path: Path) -> None:
    folder = tmp_path / "agents"
    folder.mkdir()
    (folder / Path(block.file or "it.md").name).write_text(block.text, encoding="utf-8")
    # Providers that need an address get one here.
    environ = {"AZURE_OPENAI_ENDPOINT": "https://my-resource.openai.azure.com"}
    runtime = Runtime(settings.load({"agents.directory": str(folder)}, environ), environ)
    errors = [info.error for info in runtime.bindings.agent_infos() if info.error]
    assert bool(errors) == ("broken" in block.marks), errors
    assert not any(entry.agent.notes for entry in runtime.agents.entries.values() if entry.agent)


@pytest.mark.parametrize("block", [b for b in all_blocks() if b.language == "toml"], ids=lambda block: block.place)
def test_settings_in_the_pages_load(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "aura.toml"
    file.write_text(block.text, encoding="utf-8")
    loaded = settings.load({}, {}, file)
    runtime = Runtime(loaded, {})
    assert [runtime.providers.instances[name].error for name in loaded.tables] == [None] * len(loaded.tables)
    assert runtime.providers.warnings == []


@pytest.mark.parametrize("block", [b for b in all_blocks() if b.language == "json"], ids=lambda block: block.place)
def test_json_in_the_pages_is_json(block: Block) -> None:
    value = msgspec.json.decode(block.text)
    if "prompt" in value:
        msgspec.json.decode(block.text, type=ChatBody)
