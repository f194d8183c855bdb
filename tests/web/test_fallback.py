"""Who stands behind an agent, and who is asked instead while the reader waits."""

from chat_page import OpenChat

TOML = '[providers.ollama]\nplugin = "echo"\n\n[providers.openai]\nplugin = "echo"\n'
AGENT = """\
---
name: Steady
provider: openai
model: large
options: {stall_after: 0}
first_token_timeout: 2
fallback:
  - {provider: ollama, options: {delay: 4, tokens_per_second: 2, text: here I am}}
---
"""
SAID = """() => {
  window.said = [];
  const status = document.querySelector("p.status");
  new MutationObserver(() => window.said.push(status.textContent)).observe(status, { childList: true });
}"""


def test_the_picker_shows_who_is_asked_next(open_chat: OpenChat) -> None:
    chat = open_chat({"steady.md": AGENT}, toml=TOML)
    assert chat.page.locator(".behind").inner_text() == "openai · large, then ollama"


def test_the_page_says_who_is_asked_instead_while_one_waits(open_chat: OpenChat) -> None:
    chat = open_chat({"steady.md": AGENT}, toml=TOML)
    chat.page.evaluate(SAID)
    answer = chat.ask("Hello")
    chat.sees(answer, r"Waiting for large, \d+ s")
    chat.sees(answer, r"Asking ollama, as openai does not answer, \d+ s")
    assert "here I am" in chat.ended(answer)
    assert chat.page.evaluate("window.said") == [
        "Waiting for large",
        "Asking ollama, as openai does not answer",
        "Steady is answering",
        "Answer complete",
    ]
