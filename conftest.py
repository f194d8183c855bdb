"""Fixtures for the tests of every distribution: a clean environment, and a third-party provider server."""

import json
import logging
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from aura_core.testing import Upstream

FOREIGN = ("AURA_", "OLLAMA_", "OPENAI_", "AZURE_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "XDG_CONFIG")
NOWHERE = "http://127.0.0.1:1"
"""Where nobody answers. At the default address of Ollama a developer's own may, with a model that never ends."""
AIMOCK = Path(__file__).parent / "tests/aimock/node_modules/@copilotkit/aimock/dist/cli.js"


def pytest_configure() -> None:
    """Let Ctrl-C reach processes that tests start: a shell's background job ignores SIGINT, as do its children."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the developer's own variables, configuration and servers out of every test and its subprocesses."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.upper().startswith(FOREIGN):
                patch.delenv(name)
        patch.setenv("OLLAMA_HOST", NOWHERE)
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "no-config"))
        yield


@pytest.fixture(autouse=True)
def same_log_levels() -> Iterator[None]:
    """A command in this process sets the levels of our loggers; the next test has its own."""
    levels = _levels()
    yield
    for name, level in _levels().items():
        if level != levels.get(name, logging.NOTSET):
            logging.getLogger(name).setLevel(levels.get(name, logging.NOTSET))


def _levels() -> dict[str, int]:
    ours = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "aura"]
    return {name: logging.getLogger(name).level for name in ours}


@pytest.fixture(scope="module")
def upstream() -> "Iterator[Upstream]":
    """A provider's server that answers as the tests of a module tell it."""
    from aura_core.testing import Upstream  # after clean_environment

    with Upstream() as upstream:
        yield upstream


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test without its tool skips itself, with a reason that starts with "needs". In CI no tool may be missing."""
    report = yield
    if report.skipped and os.environ.get("CI") and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if reason.startswith(("needs ", "could not import ")):
            report.outcome, report.longrepr = "failed", f"CI lacks something: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Escape what a report quotes of hostile texts: pytest-xdist cannot send half a surrogate pair."""
    return _escaped((yield))


def _escaped(data: Any) -> Any:
    if isinstance(data, str):
        return data.encode(errors="backslashreplace").decode()
    if isinstance(data, dict):
        return {_escaped(key): _escaped(value) for key, value in data.items()}
    return type(data)(_escaped(each) for each in data) if type(data) in (list, tuple) else data


@pytest.fixture
def aimock(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Start @copilotkit/aimock with an answer for the prompt `hello`; return its address. Other arguments go to it."""
    node = shutil.which("node")
    if node is None or not AIMOCK.exists():
        pytest.skip("needs aimock: npm ci --prefix tests/aimock")
    running: list[subprocess.Popen[str]] = []

    def start(answer: str, *arguments: str) -> str:
        fixtures = tmp_path / "aimock.json"
        fixtures.write_text(
            json.dumps({"fixtures": [{"match": {"userMessage": "hello"}, "response": {"content": answer}}]})
        )
        command = [str(node), str(AIMOCK), "-p", "0", "-f", str(fixtures), *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        running.append(process)
        assert process.stdout is not None
        for line in process.stdout:
            if address := re.search(r"listening on (http://\S+)", line):
                return address[1]
        raise AssertionError("aimock did not start")

    yield start
    for process in running:
        process.kill()
        process.communicate()
