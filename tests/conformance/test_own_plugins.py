"""Our own plugins keep every promise of a provider, or of a door."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from aura_core.config.fields import fields
from aura_core.plugins.loader import Plugins
from aura_core.testing.checks import DOOR_PROMISES, PROMISES
from aura_core.testing.conformance import GROUP
from aura_core.testing.door_conformance import DOOR_GROUP

PROVIDERS = sorted(ep.name for ep in entry_points(group=GROUP))
DOORS = sorted(ep.name for ep in entry_points(group=DOOR_GROUP))
ALL = [(name, promise) for name in PROVIDERS for promise in PROMISES]
ALL += [(name, promise) for name in DOORS for promise in DOOR_PROMISES]
Report = dict[str, dict[str, Any]]


def _examine(name: str) -> Report:
    """What `aura test-plugin` says of a plugin, by promise."""
    command = [sys.executable, "-m", "aura_core", "test-plugin", name, "--json"]
    done = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return {each["name"]: each for each in json.loads(done.stdout)["checks"]}


@pytest.fixture(scope="module")
def reports() -> Iterator[dict[str, Future[Report]]]:
    """The report of each plugin, all at the same time: a kit mostly waits."""
    names = {*PROVIDERS, *DOORS}
    with ThreadPoolExecutor(len(names)) as pool:
        yield {name: pool.submit(_examine, name) for name in names}


def test_each_of_our_plugins_publishes_its_description() -> None:
    assert {"echo", "ollama", "openai", "azure", "anthropic"} <= set(PROVIDERS)
    assert "openai_api" in DOORS


@pytest.mark.parametrize("name", ["ollama", "openai", "azure", "anthropic"])
def test_the_readme_of_each_plugin_names_its_settings_variables_options_and_how_to_install_it(name: str) -> None:
    readme = (Path(__file__).parents[2] / "plugins" / name / "README.md").read_text(encoding="utf-8")
    hooks = Plugins([name]).hooks[name]
    assert hooks.settings_type is not None
    assert hooks.options_type is not None
    words = ["default_model"]
    for field in fields(hooks.settings_type):
        words += [field.key, field.variable or field.key]
        words += [field.default.strip('"')] if field.key.endswith("_env") else []
    if name != "azure":  # whose options are OpenAI's
        words += hooks.options_type.__struct_fields__
    assert [word for word in words if f"`{word}`" not in readme] == []
    assert f"./plugins/{name}" in readme


@pytest.mark.parametrize(("name", "promise"), ALL, ids=[f"{name}-{promise}" for name, promise in ALL])
def test_promise(name: str, promise: str, reports: dict[str, Future[Report]]) -> None:
    found = reports[name].result()[promise]
    assert found["status"] != "failed", found["detail"]
    if name != "echo":  # which has no server
        assert found["status"] == "ok", found["detail"]
