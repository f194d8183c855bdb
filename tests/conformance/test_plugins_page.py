"""docs/plugins.md shows only tested code, and covers everything that is public."""

import asyncio
import importlib.util
import re
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

import aura_core
import aura_core.testing
from aura_core import ProviderError, Token, hookspecs
from aura_core.cli.new_plugin import DOOR_TEMPLATE, TEMPLATE
from aura_core.streams import Endpoint, Scrub
from aura_core.testing import AuraServer
from aura_core.testing.checks import DOOR_PROMISES, PROMISES

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs/plugins.md").read_text(encoding="utf-8")
GENERATED = re.compile(r"<!-- begin ([^>]+?) -->\n.*?<!-- end \1 -->", re.DOTALL)
WRITTEN = GENERATED.sub("", PAGE)
TESTED = [
    *(path for folder in (TEMPLATE, DOOR_TEMPLATE) for path in folder.rglob("*") if path.suffix in (".py", ".toml")),
    *(HERE.parents[1] / "docs/examples/telex_provider").rglob("*.py"),
    HERE / "shouting.py",
    HERE / "named_events.py",
]


@pytest.mark.parametrize("language", ["python", "ini"])
def test_every_example_stands_in_a_tested_file(language: str) -> None:
    examples = re.findall(rf"^```{language}\n(.*?)^```$", WRITTEN, re.MULTILINE | re.DOTALL)
    sources = [path.read_text(encoding="utf-8") for path in TESTED]
    assert len(examples) >= (9 if language == "python" else 1)
    lost = [text for text in examples if not any(textwrap.dedent(text) in source for source in sources)]
    assert lost == []


def test_the_wrapper_of_the_page_wraps(tmp_path: Path, fake_plugin: Callable[..., None]) -> None:
    fake_plugin("shout", (HERE / "shouting.py").read_text(encoding="utf-8"))
    with AuraServer(tmp_path, {"e.md": "---\nprovider: echo\n---\n"}) as aura:
        assert aura.ask("e", "quiet")[0].data == {"content": "QUIET"}


def test_the_reader_of_named_events_reads_them() -> None:
    spec = importlib.util.spec_from_file_location("named_events", HERE / "named_events.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    server = Endpoint("Acme", Scrub(""), "check the key", "is base_url right?", "Acme's protocol")
    pieces = [b"event: ping\ndata: {}\n\nevent: delta\nda", b'ta: {"text": "Hi"}\n\nevent: end\ndata: {}\n\n']
    failing = [b'event: error\ndata: {"type": "overloaded_error", "message": "Overloaded"}\n\n']

    async def read_all(body: list[bytes]) -> list[Token]:
        left = iter([*body, b""])

        async def read() -> bytes:
            return next(left)

        return [token async for token in module.tokens(read, server)]

    assert asyncio.run(read_all(pieces)) == [Token("Hi"), Token(finish_reason="stop")]
    with pytest.raises(ProviderError, match="Acme is overloaded: Overloaded"):
        asyncio.run(read_all(failing))


def test_every_hook_type_and_check_has_its_place() -> None:
    hooks = [name for name, spec in vars(hookspecs).items() if hasattr(spec, "aura_spec")]
    headings = re.findall(r"^### (.+)$", PAGE, re.MULTILINE)
    assert [name for name in [*hooks, *PROMISES, *DOOR_PROMISES] if headings.count(name) != 1] == []
    code = " ".join(re.findall(r"`[^`\n]+`|^\w+\(.*$", PAGE, re.MULTILINE))
    assert [name for name in aura_core.__all__ if not re.search(rf"\b{name}\b", code)] == []


def test_every_public_name_of_the_kit_is_explained() -> None:
    helpers = {"Request", "Reply", "SseEvent", "events", "split_at", "Check"}  # of Upstream, AuraServer and checks()
    names = set(aura_core.testing.__all__) - helpers
    assert [name for name in sorted(names) if not re.search(rf"\b{name}\b", WRITTEN)] == []
