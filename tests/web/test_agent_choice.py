"""The selected agent stays the one that the reader chose last, however the server's list changes."""

from chat_page import Chat, OpenChat, echo

LOOK = "document.dispatchEvent(new Event('visibilitychange'))"  # the effect of returning to the tab


def look_until(chat: Chat, condition: str) -> None:
    """Return to the tab until the list has changed, which the server reads from its folder."""
    chat.page.wait_for_function(f"() => {{ {LOOK}; return {condition}; }}", polling=200)


def test_a_choice_survives_a_new_list_of_agents(open_chat: OpenChat) -> None:
    chat = open_chat({"a.md": echo("Alpha"), "b.md": echo("Beta")})
    chat.ended(chat.ask("Hello", agent="a"))
    picker = chat.page.get_by_label("Agent")
    picker.select_option("b")
    agents = chat.server.folder / "agents"
    (agents / "c.md").write_text(echo("Gamma"))
    look_until(chat, "document.querySelector('option[value=c]')")
    assert picker.input_value() == "b"
    # Nor is it forgotten while the agent does not exist.
    (agents / "b.md").rename(agents / "_b.md")
    look_until(chat, "!document.querySelector('option[value=b]')")
    assert picker.input_value() == "a"
    (agents / "_b.md").rename(agents / "b.md")
    look_until(chat, "document.querySelector('option[value=b]')")
    assert picker.input_value() == "b"


def test_the_last_used_agent_is_selected_next(open_chat: OpenChat) -> None:
    chat = open_chat({"a.md": echo("Alpha"), "b.md": echo("Beta")})
    chat.ended(chat.ask("Hello", agent="b"))
    agents = chat.server.folder / "agents"
    (agents / "b.md").rename(agents / "_b.md")
    look_until(chat, "!document.querySelector('option[value=b]')")
    chat.ended(chat.ask("Hello"))
    (agents / "_b.md").rename(agents / "b.md")
    look_until(chat, "document.querySelector('option[value=b]')")
    assert chat.page.get_by_label("Agent").input_value() == "a"


def test_a_reopened_chat_continues_with_its_agent(open_chat: OpenChat) -> None:
    chat = open_chat({"a.md": echo("Alpha"), "b.md": echo("Beta")})
    chat.ended(chat.ask("Hello", agent="b"))
    chat.page.reload()
    chat.page.wait_for_selector(".picker option", state="attached")
    assert chat.page.get_by_label("Agent").input_value() == "b"
