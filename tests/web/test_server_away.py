"""A server that is not there, or not yet: the page says so, loses nothing, and finds it again by itself."""

from typing import Any

from chat_page import Chat, OpenChat, Serve, echo


def test_an_agent_that_cannot_stream_is_unreachable_with_its_server(page: Any, serve: Serve) -> None:
    whole = echo("Whole", streaming=False)
    chat = Chat(page, serve({"whole.md": whole}))
    chat.server.__exit__(None, None, None)
    text = chat.ended(chat.ask("Hello"))
    assert "Aura cannot be reached" in text
    assert "kept above" not in text
    # The page looks for the server by itself.
    serve({"whole.md": whole, "new.md": echo("New")}, flags={"server.port": chat.server.port})
    page.wait_for_selector("option[value=new]", state="attached")


def test_a_whole_answer_is_visibly_waited_for(open_chat: OpenChat) -> None:
    chat = open_chat({"whole.md": echo("Whole", "slow-model", streaming=False, delay=600)})
    answer = chat.ask("Hello")
    chat.sees(answer, r"Waiting for slow-model, [1-9]\d* s")
    chat.button("Stop").click()
    assert "Stopped" in chat.ended(answer)


def test_the_page_looks_again_after_an_answer_that_is_not_auras(page: Any, serve: Serve) -> None:
    server = serve({"echo.md": echo("Echo")})
    page.route("**/api/agents", lambda route: route.fulfill(status=502, content_type="text/html", body="<h1>Bad"))
    page.goto(server.url)
    page.get_by_text("This was not Aura's answer").wait_for()
    page.unroute("**/api/agents")
    page.wait_for_selector(".picker option", state="attached")
    assert page.get_by_text("This was not Aura's answer").count() == 0
