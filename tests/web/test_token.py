"""The page asks for the server's token, until it gets one or the user has no token."""

from typing import Any

import pytest
from chat_page import Serve, echo


@pytest.mark.parametrize(("keep", "token"), [(False, "s3cret"), (True, "correct horse battery staple")])
def test_the_page_asks_for_a_required_token(page: Any, serve: Serve, keep: bool, token: str) -> None:
    server = serve({"echo.md": echo("Echo")}, environ={"AURA_TOKEN": token})
    page.goto(server.url)
    page.get_by_label("Token", exact=True).fill("wrong")
    page.keyboard.press("Enter")
    page.get_by_text("The server does not accept this token.").wait_for()
    page.get_by_label("Token", exact=True).fill(token)
    if keep:
        page.get_by_label("Remember it").check()
    page.get_by_role("button", name="Continue").click()
    page.wait_for_selector(".picker option", state="attached")
    assert page.get_by_role("dialog").count() == 0
    page.get_by_role("textbox", name="Message").fill("Hello")
    page.keyboard.press("Enter")
    page.locator(".answer footer").wait_for()
    assert page.evaluate("'aura.token' in localStorage") is keep
    assert page.evaluate("'aura.token' in sessionStorage") is not keep


def test_escape_leaves_the_dialog_and_the_token_can_be_entered_later(page: Any, serve: Serve) -> None:
    page.goto(serve({"echo.md": echo("Echo")}, environ={"AURA_TOKEN": "s3cret"}).url)
    page.get_by_label("Token", exact=True).press_sequentially("s3c")
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")  # a closed one has no role, and is there a moment longer
    page.get_by_text("This server requires a token").wait_for()
    # It does not open by itself again, for example when the tab is shown.
    with page.expect_response("**/api/agents"):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.get_by_role("button", name="Enter the token").click()
    assert page.get_by_role("dialog").count() == 1
    page.keyboard.type("s3cret")
    page.keyboard.press("Enter")
    page.wait_for_selector(".picker option", state="attached")
    assert page.get_by_role("dialog").count() == 0


def test_a_token_that_no_request_can_carry_is_refused_where_it_is_typed(page: Any, serve: Serve) -> None:
    page.goto(serve({"echo.md": echo("Echo")}, environ={"AURA_TOKEN": "s3cret"}).url)
    token = page.get_by_label("Token", exact=True)
    token.fill("s3cret’")
    page.get_by_role("button", name="Continue").click()
    assert "curly quotes" in token.evaluate("input => input.validationMessage")
    assert page.evaluate("'aura.token' in sessionStorage || 'aura.token' in localStorage") is False
    token.fill(" s3cret ")
    page.get_by_role("button", name="Continue").click()
    page.wait_for_selector(".picker option", state="attached")


@pytest.mark.parametrize("storage", ["localStorage", "sessionStorage"])
def test_a_kept_token_that_no_request_can_carry_is_asked_for_again(page: Any, serve: Serve, storage: str) -> None:
    server = serve({"echo.md": echo("Echo")}, environ={"AURA_TOKEN": "s3cret"})
    page.goto(f"{server.url}/health")
    page.evaluate(f"{storage}.setItem('aura.token', 's3cret’')")
    page.goto(server.url)
    page.get_by_label("Token", exact=True).fill("s3cret")
    page.keyboard.press("Enter")
    page.wait_for_selector(".picker option", state="attached")
