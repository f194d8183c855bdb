"""A real Chromium for the tests of the chat view; without one they are skipped, but never on CI."""

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aura_core.testing import AuraServer

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # for the module that the tests of this folder share

from chat_page import FLAGS, PATIENCE, Chat, OpenChat  # noqa: E402


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The packages that `npm ci --prefix tests/web` installed."""
    folder = HERE / "node_modules"
    return folder if folder.is_dir() else pytest.skip("needs tests/web/node_modules: npm ci --prefix tests/web")


@pytest.fixture(scope="session")
def node() -> str:
    """Node.js, which runs the type checker."""
    return shutil.which("node") or pytest.skip("needs node: apt-get install nodejs")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium, driven by playwright; per module, or its event loop would keep running in other tests."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs chromium: apt-get install chromium fonts-dejavu-core")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        pytest.skip("needs playwright: uv run --all-groups pytest")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS, timeout=120_000)
        yield browser
        browser.close()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., AuraServer]]:
    """Start a server with these agents: `serve({"echo.md": "..."})`; stopped after the test."""
    running: list[AuraServer] = []

    def start(agents: dict[str, str] | None = None, **options: Any) -> AuraServer:
        folder = tmp_path / f"aura{len(running)}"
        folder.mkdir()
        server = AuraServer(folder, agents or {"echo.md": echo()}, **options)
        running.append(server.__enter__())
        return server

    yield start
    for server in running:
        server.__exit__(None, None, None)


def echo(name: str = "Echo", **options: Any) -> str:
    """An agent file for echo with these options."""
    import json

    return f"---\nname: {name}\nprovider: echo\noptions: {json.dumps(options)}\n---\n"


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A fresh profile's only tab. A script error or a refused policy in it fails the test."""
    context = browser.new_context(viewport={"width": 900, "height": 700})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if "Content Security" in message.text else None)
    yield page
    context.close()
    assert faults == []


@pytest.fixture
def open_chat(page: Any, serve: Callable[..., AuraServer]) -> OpenChat:
    """Serve these agents and open the page: `open_chat({"echo.md": "..."})`."""
    return lambda agents, **options: Chat(page, serve(agents, **options))


@pytest.fixture(scope="module")
def modules(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A tab in which tests import the modules of `/web/`; it does not show our page, so no policy applies."""
    with AuraServer(tmp_path_factory.mktemp("modules")) as server:
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{server.url}/health")
        yield page
        context.close()
