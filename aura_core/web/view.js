// @ts-check
// The chat view: transcript, composer and agent picker in one element. It does no I/O; its host does.

import { AgentPicker } from "./agents.js";
import { AnswerView } from "./answer.js";
import { history, isRunning, newAnswer, newChat, take } from "./chat.js";
import { ChatList } from "./chats.js";
import { about, ending } from "./error-advice.js";
import { Composer } from "./composer.js";
import { h } from "./dom.js";
import { Follow } from "./scroll.js";

/** @typedef {import("./chat.js").Answer} Answer */
/** @typedef {import("./chat.js").Chat} Chat */
/** @typedef {import("./chat.js").Question} Question */
/** @typedef {import("./host-types.js").Host} Host */
/** @typedef {import("./host-types.js").HostEvent} HostEvent */

/** Milliseconds of a frame that painting may take; the rest of a flood waits for the next one. */
const BUDGET = 8;

/**
 * Show the view in an element.
 * @param {HTMLElement} root
 * @param {Host} host
 */
export function mount(root, host) {
  return new View(root, host);
}

class View {
  #host;
  #root;
  #picker = new AgentPicker(() => this.#agentChosen());
  #chats = new ChatList((chat) => this.#show(chat), (chat) => this.#forget(chat)); // prettier-ignore
  #composer = new Composer(
    (text) => this.#ask(text),
    () => this.stop(),
    (draft) => this.#host.draft?.(draft),
  );
  #welcome = h("div", { class: "welcome" });
  #messages = h("div", { class: "messages" });
  #log = h("div", { class: "log", role: "log", "aria-live": "off", "aria-label": "Conversation", tabindex: "0" });
  #jump = h("button", { type: "button", class: "jump", hidden: true }, "Jump to latest ↓");
  #status = h("p", { class: "status", role: "status" });
  #follow = new Follow(this.#log, this.#jump);
  /** @type {Chat} */
  #chat = newChat("");
  /** @type {Map<string, { answer: Answer, chat: Chat }>} what is running, in this chat or one shown before */
  #running = new Map();
  /** @type {Map<string, AnswerView>} the answers on the page, by turn */
  #views = new Map();
  /** @type {Set<AnswerView>} */
  #unpainted = new Set();
  #frame = 0;
  #offline = "";

  /**
   * @param {HTMLElement} root
   * @param {Host} host
   */
  constructor(root, host) {
    this.#host = host;
    this.#root = root;
    const fresh = h("button", { type: "button", class: "quiet", onclick: () => this.newChat() }, "New chat");
    const header = h("header", {}, this.#picker.element, h("div", { class: "actions" }, this.#chats.button, fresh));
    this.#log.append(this.#welcome, this.#messages);
    const foot = h("div", { class: "foot" }, this.#jump, this.#picker.error, this.#composer.element);
    root.classList.add("aura");
    root.append(header, this.#chats.panel, h("main", {}, this.#log, foot), this.#status);
    root.addEventListener("keydown", (event) => this.#key(event));
    setInterval(() => this.#tick(), 1000);
    host.onEvent((event) => this.#hear(event));
    this.#greet();
    void this.#load();
  }

  async #load() {
    const { chats, current, draft } = await this.#host.load();
    for (const chat of chats) this.#chats.keep(chat);
    const shown = chats.find((chat) => chat.id === current);
    if (shown && this.#chat.messages.length === 0) this.#show(shown);
    else this.#host.shown?.(this.#chat.id);
    if (draft && !this.#composer.input.value) this.#composer.draft = draft;
    // A frame that is loaded again, as in VS Code, must not take the focus from where one is writing.
    if (document.hasFocus()) this.#composer.input.focus();
  }

  /** Begin another conversation; a running answer is stopped. */
  newChat() {
    this.#show(newChat(this.#picker.chosen?.id ?? ""));
    this.#composer.input.focus();
  }

  /** Stop the running answer, if there is one. */
  stop() {
    for (const turn of this.#running.keys()) this.#host.stop(turn);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.key !== "Escape" || event.defaultPrevented || this.#running.size === 0) return;
    if (this.#chats.panel.matches(":popover-open")) return; // it closes first
    event.preventDefault();
    this.stop();
  }

  /** @param {HostEvent} event */
  #hear(event) {
    if (event.type === "agents") {
      this.#offline = "";
      this.#picker.agents = event.agents;
      this.#agentChosen();
    } else if (event.type === "offline") {
      const { title, todo } = about(event.code);
      this.#offline = `${title}. ${todo}`;
      this.#greet();
    } else if (event.type === "chat") {
      this.#show(event.chat);
    } else if (event.type === "kept") {
      if (event.chat.id !== this.#chat.id) this.#chats.keep(event.chat);
    } else if (event.type === "attach") {
      this.#composer.attached.add({ label: event.label, text: event.text });
      this.#composer.input.focus();
    } else {
      this.#turn(event);
    }
  }

  /** @param {import("./host-types.js").TurnEvent & { turn: string }} event */
  #turn(event) {
    const found = this.#running.get(event.turn);
    if (!found || !take(found.answer, event)) return;
    const { answer, chat } = found;
    const view = this.#views.get(event.turn);
    view?.hear(event);
    if (view) this.#paint(view);
    if (answer.pieces === 1 && event.type === "token") this.#say(`${this.#picker.name(answer.agent)} is answering`);
    if (isRunning(answer)) return;
    this.#running.delete(event.turn);
    this.#composer.running = this.#running.size > 0;
    this.#keep(chat);
    const failure = answer.failure && about(answer.failure.code);
    this.#say(failure ? `Failed: ${failure.title}. ${failure.todo}` : ending(answer) || "Answer complete");
  }

  /** Whether something can be asked now: nothing else is, and there is an agent. Where there is none, say why. */
  #ready() {
    if (this.#running.size) return false;
    if (this.#picker.chosen) return true;
    this.#say(this.#offline || "There is no agent to ask");
    return false;
  }

  /** @param {string} text */
  #ask(text) {
    const attached = this.#composer.attached.list;
    if (!this.#ready()) {
      this.#composer.draft = { text, attached }; // back where it was
      return;
    }
    const before = history(this.#chat.messages);
    const asked = { role: /** @type {const} */ ("user"), text, ...(attached.length ? { attached } : {}) };
    this.#composer.attached.list = [];
    this.#chat.messages.push(asked);
    this.#add(question(asked));
    this.#send(asked, before);
  }

  /** Ask the question before this answer again; the answer stays.
   * @param {Answer} answer */
  #retry(answer) {
    if (!this.#ready()) return;
    const { messages } = this.#chat;
    let at = messages.indexOf(answer);
    while (at >= 0 && messages[at]?.role !== "user") at--;
    const asked = messages[at];
    if (asked?.role !== "user") return;
    const last = messages.slice(at + 1).every((message) => message.role === "assistant");
    if (!last) {
      messages.push(asked);
      this.#add(question(asked));
    }
    this.#send(asked, history(messages.slice(0, at)));
    this.#composer.input.focus();
  }

  /** Ask for the rest of a stopped answer, as a message that one sees. */
  #goOn() {
    if (!this.#ready()) return;
    this.#ask("Continue where you stopped.");
    this.#composer.input.focus();
  }

  /**
   * @param {Question} asked
   * @param {import("./host-types.js").Said[]} said
   */
  #send({ text, attached = [] }, said) {
    const agent = this.#picker.chosen;
    if (!agent) return;
    const answer = newAnswer({ id: agent.id, model: agent.model ?? agent.name });
    this.#chat.agent = agent.id;
    this.#picker.choose(agent.id);
    this.#chat.messages.push(answer);
    this.#addAnswer(answer);
    this.#keep(this.#chat);
    this.#say(`Waiting for ${answer.model}`);
    this.#follow.toEnd();
    const ask = { turn: answer.turn, agent: agent.id, prompt: text, history: said };
    const context = attached.map((attachment) => attachment.text).join("\n\n");
    this.#host.send(context ? { ...ask, context } : ask);
  }

  /** @param {Chat} chat */
  #keep(chat) {
    chat.updated = Date.now();
    this.#chats.keep(chat);
    this.#host.save(chat);
  }

  /** @param {Chat} chat */
  #forget(chat) {
    for (const [turn, running] of this.#running) {
      if (running.chat.id !== chat.id) continue;
      this.#host.stop(turn);
      this.#running.delete(turn); // what it still says would keep the chat again
      this.#say("Stopped");
    }
    this.#composer.running = this.#running.size > 0;
    this.#host.save({ ...chat, messages: [] });
    if (chat.id === this.#chat.id) this.newChat();
  }

  /** @param {Chat} chat */
  #show(chat) {
    this.stop();
    this.#chat = chat;
    this.#views.clear();
    this.#unpainted.clear();
    this.#messages.replaceChildren();
    this.#host.shown?.(chat.id);
    this.#picker.choose(chat.agent);
    for (const message of chat.messages) {
      if (message.role === "user") this.#add(question(message));
      else this.#addAnswer(message);
    }
    this.#agentChosen();
    this.#follow.toEnd();
  }

  /** @param {Answer} answer */
  #addAnswer(answer) {
    const name = this.#picker.name(answer.agent);
    const retry = () => this.#retry(answer);
    const view = new AnswerView(answer, name, this.#host, retry, () => this.#goOn());
    this.#views.set(answer.turn, view);
    if (isRunning(answer)) this.#running.set(answer.turn, { answer, chat: this.#chat });
    this.#composer.running = this.#running.size > 0;
    this.#add(view.element);
    this.#paint(view);
  }

  /** @param {HTMLElement} element */
  #add(element) {
    this.#welcome.hidden = true;
    this.#messages.append(element);
  }

  /** @param {AnswerView} view */
  #paint(view) {
    this.#unpainted.add(view);
    if (!this.#frame) this.#frame = requestAnimationFrame(() => this.#paintAll());
  }

  #paintAll() {
    this.#frame = 0;
    const deadline = performance.now() + BUDGET;
    this.#follow.around(() => {
      for (const view of this.#unpainted) {
        if (!view.paint(deadline)) this.#unpainted.delete(view);
        if (performance.now() >= deadline) break;
      }
    });
    if (this.#unpainted.size) this.#frame = requestAnimationFrame(() => this.#paintAll());
  }

  #tick() {
    for (const turn of this.#running.keys()) this.#views.get(turn)?.tick();
  }

  #agentChosen() {
    this.#composer.to = this.#picker.chosen?.name ?? "an agent";
    this.#greet();
  }

  /** Say who is there to be asked, or what is in the way: on an empty chat's page, else above the message. */
  #greet() {
    const agent = this.#picker.chosen;
    this.#picker.trouble = this.#chat.messages.length ? this.#offline : "";
    this.#welcome.hidden = this.#chat.messages.length > 0;
    const text = this.#offline || agent?.description || (agent ? "" : "Looking for agents…");
    const remedies = this.#offline ? (this.#host.remedies ?? []) : [];
    const buttons = remedies.map(({ label, run }) => h("button", { type: "button", onclick: run }, label));
    this.#welcome.replaceChildren(h("h1", {}, agent?.name ?? "Aura"), h("p", {}, text));
    if (buttons.length) this.#welcome.append(h("div", { class: "remedies" }, ...buttons));
    this.#welcome.classList.toggle("offline", this.#offline !== "");
    this.#root.classList.toggle("empty", this.#chat.messages.length === 0);
  }

  /** Tell those who listen instead of looking; one thing at a time.
   * @param {string} text */
  #say(text) {
    this.#status.textContent = text;
  }
}

/** @param {Question} question */
function question({ text, attached = [] }) {
  const along = attached.map(({ label }) => h("p", { class: "along" }, `+ ${label}`));
  return h("article", { class: "question", "aria-label": "You" }, h("p", {}, text), ...along);
}
