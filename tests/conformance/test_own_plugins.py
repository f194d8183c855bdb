"""Our own plugins keep every promise of a provider."""

from importlib.metadata import entry_points

import pytest

from aura_core.testing import Check, Conformance
from aura_core.testing.conformance import GROUP

PUBLISHED: dict[str, Conformance] = {ep.name: ep.load() for ep in entry_points(group=GROUP)}
CHECKS = [check for _, conformance in sorted(PUBLISHED.items()) for check in conformance.checks()]


def test_each_of_our_plugins_publishes_its_description() -> None:
    assert {"echo", "ollama", "openai", "azure"} <= set(PUBLISHED)
    assert all(conformance.plugin == name for name, conformance in PUBLISHED.items())


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: f"{check.kit.conformance.plugin}-{check}")
def test_promise(check: Check) -> None:
    check.run()


@pytest.mark.parametrize("name", ["ollama", "openai", "azure"])
def test_nothing_is_skipped(name: str) -> None:
    kit = next(check.kit for check in CHECKS if check.kit.conformance.plugin == name)
    assert [result.name for result in kit.results() if result.status == "skipped"] == []
