"""axe-core finds nothing serious, in each state of the page and each colour scheme."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aura_core.testing import AuraServer

Serve = Callable[..., AuraServer]

DEMO = Path(__file__).parents[2] / "aura_core" / "demo"


def faults(page: Any, node_modules: Path) -> list[str]:
    page.evaluate((node_modules / "axe-core" / "axe.min.js").read_text(encoding="utf-8"))
    result = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{violation['id']}: {violation['help']}: {[node['html'] for node in violation['nodes']][:3]}"
        for violation in result["violations"]
        if violation["impact"] in ("moderate", "serious", "critical")
    ]


@pytest.mark.parametrize("colours", ["light", "dark", "high contrast"])
def test_axe_finds_nothing_serious(page: Any, serve: Serve, node_modules: Path, colours: str) -> None:
    agents = {file.name: file.read_text(encoding="utf-8") for file in DEMO.glob("*.md")}
    agents["broken.md"] = "---\ntemprature: 1\n---\n"
    forced = "active" if colours == "high contrast" else "none"
    page.emulate_media(color_scheme="dark" if colours == "dark" else "light", forced_colors=forced)
    page.goto(serve(agents).url)
    page.wait_for_selector(".picker option", state="attached")
    assert faults(page, node_modules) == []
    for number, agent in enumerate(["tour", "fails-midway", "rate-limited", "silent", "thinker", "broken"]):
        page.get_by_label("Agent").select_option(agent)
        page.get_by_role("textbox", name="Message").fill("Hello")
        page.keyboard.press("Enter")
        page.locator(".answer").nth(number).locator("xpath=self::*[@data-state]").wait_for()
    page.get_by_text("Thought for").click()
    assert faults(page, node_modules) == []
    page.get_by_label("Agent").select_option("stalls")
    page.get_by_role("textbox", name="Message").fill("Hello")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Stop").wait_for()
    page.get_by_role("button", name="Chats").click()
    assert faults(page, node_modules) == []


def test_axe_finds_nothing_serious_where_a_token_is_required(page: Any, serve: Serve, node_modules: Path) -> None:
    page.goto(serve(environ={"AURA_TOKEN": "s3cret"}).url)
    page.get_by_label("Token", exact=True).wait_for()
    assert faults(page, node_modules) == []


def test_motion_is_reduced_for_those_who_ask(page: Any, serve: Serve) -> None:
    page.emulate_media(reduced_motion="reduce")
    page.goto(serve({"slow.md": "---\nprovider: echo\noptions: {delay: 60}\n---\n"}).url)
    page.wait_for_selector(".picker option", state="attached")
    page.get_by_role("textbox", name="Message").fill("Hello")
    page.keyboard.press("Enter")
    pulse = page.locator(".pulse")
    pulse.wait_for()
    assert pulse.evaluate("e => getComputedStyle(e).animationName") == "none"
