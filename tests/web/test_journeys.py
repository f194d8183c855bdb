"""End-to-end tests of the page: a real Chromium, a real Aura, and an upstream that detects hang-ups."""

import re
import threading
from typing import Any

import pytest
from chat_page import OLLAMA_END, RECORDS, WORDS, Chat, OpenChat, Serve, echo, ollama, ollama_tokens, ollama_toml

from aura_core.errors import CODES
from aura_core.problems import PROBLEMS
from aura_core.testing import Reply, Upstream


def test_a_message_is_answered_and_the_footer_says_how(open_chat: OpenChat) -> None:
    with Upstream() as upstream:
        go_on = threading.Event()
        upstream.on(
            "/api/chat", Reply([*ollama_tokens("Hello"), go_on, *ollama_tokens(" **there** friend"), OLLAMA_END])
        )
        chat = open_chat({"local.md": ollama("parrot")}, toml=ollama_toml(upstream))
        answer = chat.ask("Hello **there** my friend")
        chat.sees(answer, "Hello")
        chat.page.wait_for_timeout(100)  # below this the pace is meaningless
        go_on.set()
        text = chat.ended(answer)
    assert "Hello there friend" in text
    assert answer.locator("strong").inner_text() == "there"
    assert re.search(r"first token [\d.]+ m?s · \d+ tokens/s · 8 tokens in total", text)
    assert chat.page.locator(".question").inner_text() == "Hello **there** my friend"
    assert chat.page.locator(".behind").inner_text() == "ollama · parrot"
    assert chat.status == "Answer complete"


def test_the_history_is_sent(open_chat: OpenChat) -> None:
    chat = open_chat({"echo.md": echo("Echo")})
    chat.ended(chat.ask("one"))
    chat.ended(chat.ask("two"))
    body = chat.posts[1].post_data_json
    assert body["prompt"] == "two"
    assert body["conversationHistory"] == [{"role": "user", "content": "one"}, {"role": "assistant", "content": "one"}]


def test_enter_sends_and_shift_enter_breaks_the_line(open_chat: OpenChat) -> None:
    chat = open_chat({"echo.md": echo("Echo")})
    chat.page.get_by_role("textbox", name="Message").press_sequentially("one")
    chat.page.keyboard.press("Shift+Enter")
    chat.page.keyboard.type("two")
    chat.page.keyboard.press("Enter")
    chat.ended(chat.page.locator(".answer"))
    assert chat.posts[0].post_data_json["prompt"] == "one\ntwo"
    chat.page.keyboard.type("  ")
    chat.page.keyboard.press("Enter")
    assert len(chat.posts) == 1


def test_the_state_of_the_turn_is_always_visible(open_chat: OpenChat) -> None:
    with Upstream() as upstream:
        go_on = threading.Event()
        upstream.on("/api/chat", Reply([go_on, *ollama_tokens("Hi")], ending="stall"))
        chat = open_chat({"local.md": ollama()}, toml=ollama_toml(upstream))
        answer = chat.ask("Hello")
        chat.sees(answer, r"Waiting for qwen2.5-coder, [1-9]\d* s")
        go_on.set()
        chat.sees(answer, "Answering")
        answer.locator(".text").get_by_text("Hi", exact=True).wait_for()


@pytest.mark.parametrize("way", ["button", "Escape"])
def test_stop_closes_the_upstream_and_keeps_the_text(open_chat: OpenChat, way: str) -> None:
    with Upstream() as upstream:
        upstream.on("/api/chat", Reply(ollama_tokens("Hello", " there"), ending="stall"))
        chat = open_chat({"local.md": ollama()}, toml=ollama_toml(upstream))
        answer = chat.ask("Hello")
        chat.sees(answer, "Hello there")
        assert upstream.hangups == []
        if way == "button":
            chat.button("Stop").click()
        else:
            chat.page.keyboard.press("Escape")
        upstream.wait_hangup(timeout=30)
        text = chat.ended(answer)
        assert "Hello there" in text
        assert "Stopped" in text
        assert chat.status == "Stopped"
        assert chat.page.evaluate("document.activeElement.name") == "message"
        assert chat.button("Stop").count() == 0


def test_stop_before_the_first_token_closes_the_upstream(open_chat: OpenChat) -> None:
    with Upstream() as upstream:
        upstream.on("/api/chat", Reply(head_delay=600))
        chat = open_chat({"local.md": ollama()}, toml=ollama_toml(upstream))
        answer = chat.ask("Hello")
        chat.sees(answer, "Waiting for qwen2.5-coder")
        upstream.wait_requests(1, timeout=30)
        chat.button("Stop").click()
        upstream.wait_hangup(timeout=30)
        assert "Stopped" in chat.ended(answer)


@pytest.mark.parametrize("way", ["close", "leave", "new chat"])
def test_leaving_stops_the_generation(open_chat: OpenChat, way: str) -> None:
    with Upstream() as upstream:
        upstream.on("/api/chat", Reply(ollama_tokens("Hello"), ending="stall"))
        chat = open_chat({"local.md": ollama()}, toml=ollama_toml(upstream))
        chat.sees(chat.ask("Hello"), "Hello")
        if way == "close":
            chat.page.close()
        elif way == "leave":
            chat.page.goto("about:blank")
        else:
            chat.button("New chat").click()
        upstream.wait_hangup(timeout=30)


def test_an_answer_that_was_running_when_its_page_was_closed_is_shown_as_stopped(open_chat: OpenChat) -> None:
    chat = open_chat({"slow.md": echo("Slow", text=WORDS, stall_after=20)})
    chat.sees(chat.ask("Hello"), "word19")
    chat.page.reload()
    text = chat.ended(chat.page.locator(".answer"))
    assert "word19" in text
    assert "Stopped: the page was closed" in text
    assert chat.button("Send").is_disabled()


def test_an_answer_whose_browser_was_killed_is_shown_as_stopped(open_chat: OpenChat) -> None:
    chat = open_chat({"echo.md": echo("Echo")})
    chat.page.evaluate("""() => {
      const answer = { role: "assistant", turn: "b".repeat(24), agent: "echo", model: "m", state: "answering" };
      Object.assign(answer, { text: "Half an", reasoning: "", began: 1, pieces: 1 });
      const messages = [{ role: "user", text: "Hello" }, answer];
      const id = "a".repeat(24); // as Aura 0.1 kept it
      localStorage.setItem(`aura.chat.${id}`, JSON.stringify({ id, agent: "echo", updated: 1, messages }));
      sessionStorage.setItem("aura.current", id);
    }""")
    chat.page.reload()
    text = chat.ended(chat.page.locator(".answer"))
    assert "Half an" in text
    assert "Stopped: the page was closed" in text


def test_a_failure_in_mid_stream_keeps_the_text_and_says_what_to_do(open_chat: OpenChat) -> None:
    chat = open_chat({"fails.md": echo("Fails", text=WORDS, fail_after=3, code="interrupted")})
    answer = chat.ask("Hello")
    text = chat.ended(answer)
    assert "word0 word1 word2" in text
    assert "The answer was interrupted" in text
    assert "The agent's options request this failure" in text
    assert chat.status.startswith("Failed: The answer was interrupted")
    # Retry sends the same question; the first attempt stays as another version, and is not sent to the model.
    answer.get_by_role("button", name="Retry").click()
    chat.page.get_by_text("2 of 2").wait_for()
    chat.ended(chat.page.locator(".answer"))
    assert chat.page.locator(".answer").count() == 1
    assert chat.page.locator(".question").count() == 1
    assert [post.post_data_json for post in chat.posts] == [{"prompt": "Hello", "conversationHistory": []}] * 2


@pytest.mark.parametrize("code", sorted(CODES))
def test_each_code_says_what_to_do_and_offers_retry_only_where_it_helps(open_chat: OpenChat, code: str) -> None:
    chat = open_chat({"fails.md": echo("Fails", text="a b c", fail_after=1, code=code)}, flags={"server.retries": 0})
    answer = chat.ask("Hello")
    chat.ended(answer)
    box = answer.locator(f".failure[data-code={code}]")
    assert len(box.locator("p").all_inner_texts()) == 3
    assert box.get_by_role("button", name="Retry").count() == int(CODES[code].retry)


def test_the_advice_covers_every_code_with_the_servers_own_word_on_retries(modules: Any) -> None:
    advice = modules.evaluate("import('/web/error-advice.js').then(({ CODES }) => CODES)")
    assert set(advice) >= set(CODES) | set(PROBLEMS)
    assert {code: advice[code]["retry"] for code in CODES} == {code: info.retry for code, info in CODES.items()}


def test_retry_waits_as_long_as_the_provider_asks(page: Any, open_chat: OpenChat) -> None:
    page.clock.install()
    agent = echo("Limited", fail_after=0, code="rate_limited", retry_after=600)
    chat = open_chat({"limited.md": agent}, flags={"server.retries": 0})
    answer = chat.ask("Hello")
    chat.ended(answer)
    button = answer.locator("button.retry")
    assert button.is_disabled()
    assert re.fullmatch(r"Retry in (600|5\d\d) s", button.inner_text())
    page.clock.fast_forward(400_000)
    answer.get_by_role("button", name=re.compile(r"Retry in (200|1\d\d) s")).wait_for()
    assert button.is_disabled()
    page.clock.fast_forward(200_000)
    answer.get_by_role("button", name="Retry", exact=True).click()
    page.get_by_text("2 of 2").wait_for()
    chat.ended(page.locator(".answer"))
    assert len(chat.posts) == 2


def test_a_lost_server_is_shown_and_found_again(page: Any, serve: Serve) -> None:
    chat = Chat(page, serve({"slow.md": echo("Slow", text=WORDS, stall_after=5)}))
    server = chat.server
    answer = chat.ask("Hello")
    chat.sees(answer, "word4")
    server.__exit__(None, None, None)
    text = chat.ended(answer)
    assert "word4" in text
    assert "Aura is shutting down" in text or "The connection was lost" in text
    lost = chat.ask("Are you there?")
    assert "Aura cannot be reached" in chat.ended(lost)
    assert lost.get_by_role("button", name="Retry").is_enabled()
    serve({"slow.md": echo("Slow", text="Here again")}, flags={"server.port": server.port})
    lost.get_by_role("button", name="Retry").click()
    assert "Here again" in chat.ended(page.locator(".answer", has_text="Here again"))


def test_a_stream_that_is_cut_is_a_lost_connection(page: Any, serve: Serve) -> None:
    chat = Chat(page, serve({"echo.md": echo("Echo")}))
    cut = ': ok\n\nevent: token\ndata: {"content": "Half an"}\n\n'
    page.route("**/chat/stream", lambda route: route.fulfill(body=cut, content_type="text/event-stream"))
    answer = chat.ask("Hello")
    text = chat.ended(answer)
    assert "Half an" in text
    assert "The connection was lost" in text
    assert len(chat.posts) == 1


def test_something_else_than_aura_is_recognised(page: Any, serve: Serve) -> None:
    chat = Chat(page, serve({"echo.md": echo("Echo")}))
    page.route("**/chat/stream", lambda route: route.fulfill(body="<b>Log in</b>", content_type="text/html"))
    text = chat.ended(chat.ask("Hello"))
    assert "The response did not come from Aura" in text
    assert "Log in" not in text


def test_a_stall_is_shown_while_it_lasts(open_chat: OpenChat) -> None:
    chat = open_chat({"stalls.md": echo("Stalls", text=WORDS, stall_after=5)})
    answer = chat.ask("Hello")
    chat.sees(answer, r"Answering; no new text for \d+ s")
    assert "word4" in answer.inner_text()


def test_reasoning_is_collapsed_and_can_be_read(open_chat: OpenChat) -> None:
    with Upstream() as upstream:
        go_on = threading.Event()
        thoughts = b'{"message":{"content":"","thinking":"First this, then that."},"done":false}\n'
        upstream.on("/api/chat", Reply([thoughts, go_on, *ollama_tokens("42 it is"), OLLAMA_END]))
        chat = open_chat({"local.md": ollama("thinker")}, toml=ollama_toml(upstream))
        answer = chat.ask("Hello")
        chat.sees(answer, r"thinker is thinking, \d+ s")
        go_on.set()
        chat.ended(answer)
    assert answer.locator(".text").inner_text() == "42 it is"
    assert not answer.locator(".thoughts").is_visible()
    answer.get_by_text(re.compile(r"Thought for \d+ s")).click()
    assert answer.locator(".thoughts").inner_text() == "First this, then that."


@pytest.mark.parametrize(
    ("finish", "explanation"),
    [("tool_calls", "only requested tool calls"), ("length", "token limit"), ("content_filter", "content filter")],
)
def test_an_answer_without_text_is_explained(open_chat: OpenChat, finish: str, explanation: str) -> None:
    chat = open_chat({"silent.md": echo("Silent", text="", finish_reason=finish)})
    answer = chat.ask("Hello")
    text = chat.ended(answer)
    assert "No text" in text
    assert explanation in text
    assert chat.status == answer.locator(".note").inner_text()


def test_an_answer_cut_by_length_is_marked(open_chat: OpenChat) -> None:
    chat = open_chat({"cut.md": echo("Cut", text=WORDS, tokens=4)})
    assert "the token limit was reached" in chat.ended(chat.ask("Hello"))
    assert chat.status.startswith("Cut off: the token limit was reached")


def test_an_agent_that_cannot_stream_gets_a_request_for_the_complete_answer(open_chat: OpenChat) -> None:
    chat = open_chat({"whole.md": echo("Whole", text="All at once", streaming=False)})
    assert "All at once" in chat.ended(chat.ask("Hello"))
    assert [post.url.rpartition("/")[2] for post in chat.posts] == ["chat"]


def test_an_agent_that_stopped_streaming_is_asked_again_before_a_token(open_chat: OpenChat) -> None:
    chat = open_chat({"whole.md": echo("Whole", text="All at once")})
    file = chat.server.folder / "agents" / "whole.md"
    file.write_text(echo("Whole", text="All at once", streaming=False))
    for _ in range(300):
        if chat.server.post("whole").status_code == 400:
            break
        chat.page.wait_for_timeout(100)
    assert "All at once" in chat.ended(chat.ask("Hello"))
    assert [post.url.rpartition("/")[2] for post in chat.posts] == ["stream", "chat"]


def test_a_broken_agent_is_listed_with_its_error(open_chat: OpenChat) -> None:
    chat = open_chat({"a.md": "---\ntemprature: 1\n---\n", "echo.md": echo("Echo")})
    picker = chat.page.get_by_label("Agent")
    assert picker.input_value() == "echo"
    picker.select_option("a")
    assert "temperature" in chat.page.locator(".agent-error").inner_text()
    text = chat.ended(chat.ask("Hello"))
    assert "This agent's file is invalid" in text


def test_ten_thousand_tokens_arrive_whole(open_chat: OpenChat) -> None:
    chat = open_chat({"long.md": echo("Long", text=WORDS, tokens=10_000)})
    answer = chat.ask("Hello")
    chat.ended(answer)
    words = answer.locator(".text").text_content().split()
    expected = WORDS.split()
    assert words == [expected[number % 60] for number in range(10_000)]


def test_the_page_follows_the_end_only_while_the_reader_is_there(open_chat: OpenChat) -> None:
    chat = open_chat({"slow.md": echo("Slow", text="line  \n" * 3000, tokens=30_000, tokens_per_second=300)})
    answer = chat.ask("Hello")
    log = chat.page.locator(".log")
    distance = "log => log.scrollHeight - log.scrollTop - log.clientHeight"
    chat.page.wait_for_function("() => document.querySelector('.log').scrollTop > 300")
    assert log.evaluate(distance) <= 24
    log.hover()
    chat.page.mouse.wheel(0, -200)
    chat.button("Jump to latest ↓").wait_for()
    at = log.evaluate("log => log.scrollTop")
    chat.page.wait_for_function("height => document.querySelector('.log').scrollHeight > height + 200", arg=at + 900)
    assert log.evaluate("log => log.scrollTop") == at
    chat.button("Jump to latest ↓").click()
    chat.page.wait_for_function(f"() => ({distance})(document.querySelector('.log')) <= 24")
    chat.page.wait_for_function("height => document.querySelector('.log').scrollTop > height", arg=at + 900)
    assert chat.page.locator(".jump").is_hidden()
    chat.button("Stop").click()
    chat.ended(answer)


# A pane that VS Code opens below the chat shrinks it once a frame, before the scroll event of the frame before.
RESIZED_IN_STEPS = """([from, to]) => new Promise((resolve) => {
  const log = document.querySelector(".log");
  let height = from;
  const between = (then) => requestAnimationFrame(() => setTimeout(then));
  const step = () => {
    height += Math.sign(to - from) * 30;
    log.style.height = `${height}px`;
    between(height === to ? () => between(resolve) : step);
  };
  between(step);
})"""


def test_the_end_is_not_lost_while_the_view_changes_its_size(open_chat: OpenChat) -> None:
    chat = open_chat({"long.md": echo("Long", text="line  \n" * 100, tokens=100)})
    chat.ended(chat.ask("Hello"))
    log = chat.page.locator(".log")
    distance = "log => log.scrollHeight - log.scrollTop - log.clientHeight"
    for sizes in ([480, 180], [180, 480], [480, 180]):
        log.evaluate(f"(_, sizes) => ({RESIZED_IN_STEPS})(sizes)", sizes)
        assert log.evaluate("log => log.clientHeight") == sizes[1]
        assert log.evaluate(distance) <= 24
        assert chat.page.locator(".jump").is_hidden()
    log.hover()
    chat.page.mouse.wheel(0, -200)
    chat.button("Jump to latest ↓").wait_for()
    at = log.evaluate("log => log.scrollTop")
    log.evaluate(f"(_, sizes) => ({RESIZED_IN_STEPS})(sizes)", [180, 240])
    assert log.evaluate("log => log.scrollTop") == at


def test_chats_are_kept_in_the_browser_and_can_be_opened_and_deleted(open_chat: OpenChat) -> None:
    chat = open_chat({"echo.md": echo("Echo")})
    chat.ended(chat.ask("The first chat"))
    chat.button("New chat").click()
    assert chat.page.locator(".answer").count() == 0
    chat.ended(chat.ask("The second chat"))
    chat.page.reload()
    chat.page.locator(".question", has_text="The second chat").wait_for()
    chat.button("Chats").click()
    chat.page.get_by_role("button", name=re.compile("^The first chat")).click()
    chat.page.locator(".question", has_text="The first chat").wait_for()
    chat.page.locator(".answer .text", has_text="The first chat").wait_for()  # it is painted in the next frame
    chat.more("The first chat", "Delete")
    assert chat.page.locator(".question").count() == 0
    assert [turn["question"]["text"] for turn in chat.page.evaluate(RECORDS, "turns")] == ["The second chat"]


def test_the_model_gets_no_empty_answers(modules: Any) -> None:
    said = modules.evaluate("""async () => {
      const { history } = await import("/web/chat.js");
      const turn = (asked, text) => ({ question: { text: asked }, answer: { text } });
      return history([turn("a", "whole"), turn("b", " "), turn("c", "d")]).map(({ content }) => content);
    }""")
    assert said == ["a", "whole", "c", "d"]


def test_copy_takes_the_markdown_of_an_answer_and_the_text_of_a_block(open_chat: OpenChat) -> None:
    chat = open_chat({"code.md": echo("Code", text="Use **this**:\n\n```python\nprint(1)\nprint(2)\n```\n")})
    chat.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    answer = chat.ask("Hello")
    chat.ended(answer)
    clipboard = "navigator.clipboard.readText()"
    answer.locator(".code .copy").click()
    answer.get_by_text("Copied").wait_for()
    assert chat.page.evaluate(clipboard) == "print(1)\nprint(2)\n"
    answer.locator("footer .copy").click()
    answer.locator("footer").get_by_text("Copied").wait_for()
    assert chat.page.evaluate(clipboard).startswith("Use **this**:")


def test_everything_is_reached_by_keyboard(open_chat: OpenChat) -> None:
    chat = open_chat({"code.md": echo("Code", text="Hi\n\n```\ncode\n```\n\n[link](https://example.com)")})
    chat.ended(chat.ask("Hello"))
    chat.page.get_by_role("textbox", name="Message").fill("again")
    seen = []
    for _ in range(14):
        chat.page.keyboard.press("Tab")
        seen.append(
            chat.page.evaluate(
                "(e => e.getAttribute('aria-label') ?? e.textContent.trim().slice(0, 20))(document.activeElement)"
            )
        )
    code = ["Copy: code, block 1", "Code: code, block 1"]
    for name in ["Agent", "Chats", "New chat", "Conversation", *code, "link", "Ask again", "Message", "Send"]:
        assert name in seen


def test_the_end_is_announced_and_the_tokens_are_not(open_chat: OpenChat) -> None:
    with Upstream() as upstream:
        begin, go_on = threading.Event(), threading.Event()
        parts = [begin, *ollama_tokens("one", " two"), go_on, *ollama_tokens(" three"), OLLAMA_END]
        upstream.on("/api/chat", Reply(parts))
        chat = open_chat({"local.md": ollama("parrot")}, toml=ollama_toml(upstream))
        assert chat.page.get_by_role("log").get_attribute("aria-live") == "off"
        chat.page.evaluate("""() => {
          window.said = [];
          const status = document.querySelector("p.status");
          new MutationObserver(() => window.said.push(status.textContent)).observe(status, { childList: true });
        }""")
        answer = chat.ask("Hello")
        chat.sees(answer, "Waiting for parrot")
        begin.set()
        chat.sees(answer, "one two")
        go_on.set()
        chat.ended(answer)
    assert chat.page.evaluate("window.said") == ["Waiting for parrot", "Local is answering", "Answer complete"]
