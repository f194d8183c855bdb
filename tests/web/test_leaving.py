"""What happens to an answer when its chat is deleted."""

from chat_page import OpenChat, echo, ollama, ollama_tokens, ollama_toml

from aura_core.testing import Reply, Upstream

KEPT = "Object.keys(localStorage).map((key) => JSON.parse(localStorage[key]).messages[0].text)"


def test_a_chat_deleted_while_it_answers_is_stopped_and_gone(open_chat: OpenChat) -> None:
    with Upstream() as upstream:
        upstream.on("/api/chat", Reply(ollama_tokens("Hello"), ending="stall"))
        chat = open_chat({"local.md": ollama(), "echo.md": echo("Echo")}, toml=ollama_toml(upstream))
        chat.sees(chat.ask("A secret", agent="local"), "Hello")
        chat.button("Chats").click()
        chat.button("Delete A secret").click()
        upstream.wait_hangup(timeout=30)
        assert chat.status == "Stopped"
    chat.page.keyboard.press("Escape")
    chat.ended(chat.ask("Something else", agent="echo"))  # by now the page has heard the last of the stopped turn
    assert chat.page.evaluate(KEPT) == ["Something else"]
    chat.button("Chats").click()
    assert chat.page.locator(".chats .open span").all_inner_texts() == ["Something else"]
    chat.page.reload()
    chat.page.locator(".question").wait_for()
    assert chat.page.locator(".question").all_inner_texts() == ["Something else"]
