"""Our own plugins keep every promise of a provider."""

from importlib.metadata import entry_points
from pathlib import Path

import anthropic  # noqa: F401  # takes longer on a busy machine than a client may take to open
import pytest

from aura_core.config.fields import fields
from aura_core.plugins.loader import Plugins
from aura_core.testing import Check, Conformance
from aura_core.testing.conformance import GROUP

PUBLISHED: dict[str, Conformance] = {ep.name: ep.load() for ep in entry_points(group=GROUP)}
CHECKS = [check for _, conformance in sorted(PUBLISHED.items()) for check in conformance.checks()]


def test_each_of_our_plugins_publishes_its_description() -> None:
    assert {"echo", "ollama", "openai", "azure", "anthropic"} <= set(PUBLISHED)
    assert all(conformance.plugin == name for name, conformance in PUBLISHED.items())


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


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: f"{check.kit.conformance.plugin}-{check}")
def test_promise(check: Check) -> None:
    check.run()


@pytest.mark.parametrize("name", ["ollama", "openai", "azure", "anthropic"])
def test_nothing_is_skipped(name: str) -> None:
    kit = next(check.kit for check in CHECKS if check.kit.conformance.plugin == name)
    assert [result.name for result in kit.results() if result.status == "skipped"] == []
