"""An unreachable server: the page shows it, loses nothing, and reconnects by itself."""

from typing import Any

from chat_page import Chat, OpenChat, Serve, echo


def test_an_agent_that_cannot_stream_is_unreachable_with_its_server(page: Any, serve: Serve) -> None:
    whole = echo("Whole", streaming=False)
    chat = Chat(page, serve({"whole.md": whole}))
    chat.server.__exit__(None, None, None)
    text = chat.ended(chat.ask("Hello"))
    assert "Aura cannot be reached" in text
    assert "kept above" not in text
    # The page polls the server by itself.
    serve({"whole.md": whole, "new.md": echo("New")}, flags={"server.port": chat.server.port})
    page.wait_for_selector("option[value=new]", state="attached")


def test_the_wait_for_a_complete_answer_is_visible(open_chat: OpenChat) -> None:
    chat = open_chat({"whole.md": echo("Whole", "slow-model", streaming=False, delay=600)})
    answer = chat.ask("Hello")
    chat.sees(answer, r"Waiting for slow-model, [1-9]\d* s")
    chat.button("Stop").click()
    assert "Stopped" in chat.ended(answer)


def test_the_page_polls_again_after_a_response_that_is_not_auras(page: Any, serve: Serve) -> None:
    server = serve({"echo.md": echo("Echo")})
    page.route("**/api/agents", lambda route: route.fulfill(status=502, content_type="text/html", body="<h1>Bad"))
    page.goto(server.url)
    page.get_by_text("The response did not come from Aura").wait_for()
    page.unroute("**/api/agents")
    page.wait_for_selector(".picker option", state="attached")
    assert page.get_by_text("The response did not come from Aura").count() == 0


def test_a_message_without_an_available_agent_stays_in_the_field(page: Any, serve: Serve) -> None:
    server = serve({"echo.md": echo("Echo")})
    page.route("**/api/agents", lambda route: route.abort())
    page.goto(server.url)
    page.get_by_text("Aura cannot be reached").wait_for()
    message = page.get_by_role("textbox", name="Message")
    message.fill("Hello")
    page.keyboard.press("Enter")
    assert message.input_value() == "Hello"
    assert "Aura cannot be reached" in page.get_by_role("status").text_content()
    page.unroute("**/api/agents")
    page.wait_for_selector(".picker option", state="attached")
    page.get_by_role("button", name="Send").click()
    page.locator(".answer[data-state=done]").wait_for()


def test_a_message_that_could_not_be_sent_remains_the_draft(page: Any, serve: Serve) -> None:
    page.goto(f"{serve().url}/health")
    drafts, saved = page.evaluate("""async () => {
      const { mount } = await import("/web/view.js");
      const drafts = [];
      const saved = [];
      let tell;
      mount(document.body, {
        load: async () => ({ chats: [] }),
        onEvent: (listener) => (tell = listener),
        keepDraft: (chat, text) => drafts.push(text),
        save: ({ chat }) => saved.push(chat),
        stop() {},
      });
      tell({ type: "attach", label: "notes", text: "some notes" });
      document.querySelector("textarea").value = "Hello";
      document.querySelector("form").requestSubmit();
      return [drafts, saved];
    }""")
    assert drafts[-1] == "Hello"
    assert saved[-1]["attached"] == [{"label": "notes", "text": "some notes"}]


def test_a_failure_of_the_server_is_said_once_with_what_can_be_done(page: Any, modules: Any) -> None:
    shown = modules.evaluate("""async () => {
      document.body.replaceChildren();
      const { mount } = await import("/web/view.js");
      let tell;
      let id;
      mount(document.body, {
        load: async () => ({ chats: [] }),
        onEvent: (listener) => (tell = listener),
        keepDraft() {}, save() {}, stop() {},
        send: ({ turn }) => (id = turn),
        remedies: [{ label: "Set Token", codes: ["unauthorized", "wrong_token"], run() {} }],
      });
      const look = () => {
        const text = document.querySelector("main").innerText;
        return [text.split("does not accept this token").length - 1, text.split("Set Token").length - 1];
      };
      const ask = async (...events) => {
        document.querySelector("textarea").value = "Hello";
        document.querySelector("form").requestSubmit();
        await new Promise((done) => setTimeout(done));
        for (const event of events) tell({ ...event, turn: id });
        await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
      };
      const wrong = { code: "wrong_token", message: "It is another one." };
      tell({ type: "agents", agents: [{ id: "a", name: "A" }] });
      await ask({ type: "token", content: "Hello" }, { type: "done", finishReason: "stop" });
      const seen = [look()];
      tell({ type: "offline", ...wrong });
      seen.push(look()); // below an answer that did not fail
      await ask({ type: "error", ...wrong });
      seen.push(look()); // in the answer
      tell({ type: "agents", agents: [{ id: "a", name: "B" }] });
      tell({ type: "offline", ...wrong });
      return [...seen, look()];
    }""")
    assert shown == [[0, 0], [1, 1], [1, 1], [1, 1]]


def test_no_button_of_an_answer_has_a_partial_effect_without_an_available_agent(page: Any, serve: Serve) -> None:
    server = serve({"echo.md": echo("Echo"), "stalls.md": echo("Stalls", text="one two", tokens=9, stall_after=2)})
    chat = Chat(page, server)
    first = chat.ask("Hello", agent="stalls")
    chat.sees(first, "one two")
    chat.button("Stop").click()
    chat.ended(first)
    chat.ended(chat.ask("Bye", agent="echo"))
    page.route("**/api/agents", lambda route: route.abort())
    page.reload()
    first.get_by_role("button", name="Retry").wait_for()
    message = page.get_by_role("textbox", name="Message")
    message.fill("What I am writing")
    first.get_by_role("button", name="Retry").click()
    first.get_by_role("button", name="Continue").click()
    page.locator(".agent-error").get_by_text("Aura cannot be reached").wait_for()
    assert page.locator(".question").all_inner_texts() == ["Hello", "Bye"]
    assert message.input_value() == "What I am writing"
    page.unroute("**/api/agents")
    page.wait_for_selector(".picker option", state="attached")
    page.locator(".agent-error").wait_for(state="hidden")
