// @ts-check
// The chat view: transcript, composer and agent picker in one element. It does no I/O; its host does.

import { AgentPicker } from "./agents.js";
import { history, isRunning, newChat, newTurn, take, titleOf } from "./chat.js";
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { h, isComposing } from "./dom.js";
import { takeFiles } from "./drop.js";
import { about, ending } from "./error-advice.js";
import { Find } from "./find.js";
import { Mentions } from "./mentions.js";
import { Notices } from "./notices.js";
import { mergeTurn, sizeOf } from "./records.js";
import { Shelf } from "./shelf.js";
import { Versions } from "./versions.js";
import { Welcome } from "./welcome.js";

/** @typedef {import("./chat.js").Chat} Chat */
/** @typedef {import("./chat.js").Turn} Turn */
/** @typedef {import("./shelf.js").Whole} Whole */
/** @typedef {import("./host-types.js").Host} Host */
/** @typedef {import("./host-types.js").HostEvent} HostEvent */
/** @typedef {import("./host-types.js").Remedy} Remedy */

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
  #shelf;
  #composer = new Composer({
    send: (text, edited) => this.#said(text, edited?.after ?? this.#chat.last),
    stop: () => this.stop(),
    drafted: (text) => this.#drafted(text),
    attached: (attached) => this.#save({ attached }),
    said: () => this.#path().map(({ question }) => question.text),
    suggest: (word) => this.#mentions.suggest(word),
    offered: (word) => void this.#mentions.attach(word),
  });
  #conversation;
  #notices = new Notices();
  #mentions;
  #welcome = new Welcome();
  #heading = h("h1", { class: "unseen" }, "Aura"); // where the welcome is not the heading
  #status = h("p", { class: "status", role: "status" });
  /** @type {Chat} */
  #chat = newChat("");
  #versions = new Versions();
  /** Whether the turns of the displayed chat are still loading. */
  #opening = false;
  /** Whether the context that a question names is being read. */
  #naming = false;
  /** @type {import("./chat.js").Attachment[]} attachments added in the meantime */
  #unattached = [];
  /** @type {Map<string, Turn>} running turns of this view, in this chat or one displayed before */
  #running = new Map();
  /** @type {Set<string>} the turns of this chat that run elsewhere */
  #elsewhere = new Set();
  /** @type {Find | undefined} */
  #find;
  /** @type {{ code: string, text: string, where: string, remedies: Remedy[] } | null} why there is no agent */
  #offline = null;

  /**
   * @param {HTMLElement} root
   * @param {Host} host
   */
  constructor(root, host) {
    this.#host = host;
    this.#root = root;
    this.#mentions = new Mentions(host, this.#picker, {
      tell: (event) => this.#receive(event),
      chosen: () => this.#agentChosen(),
      newChat: () => this.newChat(),
    });
    const { pickFiles } = host;
    if (pickFiles) this.#composer.tools.append(h("button", { type: "button", class: "quiet", onclick: pickFiles }, "Attach"));
    this.#shelf = new Shelf(host, this.#notices, {
      shows: (id) => id === this.#chat.id,
      whole: () => this.#whole(),
      open: (chat) => void this.#open(chat),
      renamed: (title) => this.#renamed(title),
      stop: (id) => this.#stopAll(id),
      gone: (elsewhere) => this.#gone(elsewhere),
      idle: () => this.#chat.last === "" && !this.#composer.text.trim(),
      name: (agent) => this.#picker.name(agent),
      say: (text) => this.#say(text),
    });
    this.#conversation = new Conversation(host, (agent) => this.#picker.name(agent), {
      again: (turn) => this.#again(turn),
      goOn: (turn) => this.#goOn(turn),
      edit: (turn) => this.#composer.edit(turn),
      step: (turn) => this.#step(turn),
      otherAgent: () => this.#picker.focus(),
    });
    const fresh = h("button", { type: "button", class: "quiet", "aria-label": "New chat", onclick: () => this.newChat() });
    fresh.append(h("span", { class: "wide" }, "New chat"), h("span", { class: "narrow" }, "+"));
    const header = h("header", {}, this.#heading, this.#picker.element, h("div", { class: "actions" }, this.#shelf.list.button, fresh));
    this.#conversation.log.prepend(this.#welcome.element);
    const find = host.ownFind ? new Find(this.#conversation.log) : undefined;
    this.#find = find;
    const foot = h("div", { class: "foot" }, this.#conversation.jump, this.#notices.element, this.#picker.error);
    foot.append(this.#composer.element);
    root.classList.add("aura");
    root.append(header, this.#shelf.list.panel, h("main", {}, this.#conversation.log, ...(find ? [find.element] : []), foot), this.#status);
    root.addEventListener("keydown", (event) => this.#key(event));
    takeFiles(root, this.#composer.input, host, (event) => this.#receive(event));
    setInterval(() => this.#conversation.tick(), 1000);
    host.onEvent((event) => this.#receive(event));
    this.#greet();
    void this.#load();
  }

  async #load() {
    const { chats, current } = await this.#host.load();
    for (const chat of chats) this.#shelf.put(chat);
    const used = chats.filter(({ last }) => last).sort((a, b) => b.updated - a.updated);
    this.#picker.lastUsed = used[0]?.agent ?? "";
    const shown = chats.find((chat) => chat.id === current);
    if (shown && this.#chat.last === "") {
      const written = this.#composer.text; // added before the chats were loaded: attach it now
      this.#composer.text = "";
      if (written) this.#drafted("");
      await this.#open(shown);
      if (written) this.#write(written);
    } else {
      this.#shown();
    }
    // A reloaded frame, as in VS Code, must not take the focus from where the user is typing.
    if (document.hasFocus()) this.#composer.input.focus();
  }

  /** Start another conversation; a running answer is stopped. The draft of an empty chat stays. */
  newChat() {
    if (this.#chat.last) this.#show(newChat(this.#picker.chosen?.id ?? ""));
    this.#composer.input.focus();
  }

  /** Stop the running answer, if there is one. */
  stop() {
    for (const turn of [...this.#running.keys(), ...this.#elsewhere]) this.#host.stop(turn);
  }

  get #busy() {
    return this.#running.size + this.#elsewhere.size > 0;
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (this.#find && event.key === "f" && (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey) {
      event.preventDefault();
      this.#find.open();
    }
    if (event.altKey && !event.ctrlKey && !event.metaKey) this.#moveByKey(event);
    if (event.key !== "Escape" || event.defaultPrevented || isComposing(event) || !this.#busy) return;
    if (this.#shelf.list.panel.matches(":popover-open")) return; // it closes first
    event.preventDefault();
    this.stop();
  }

  /** Alt+P goes to the agents, Alt and an arrow from message to message. @param {KeyboardEvent} event */
  #moveByKey(event) {
    const { input } = this.#composer;
    const step = event.key === "ArrowUp" ? -1 : event.key === "ArrowDown" ? 1 : 0;
    if (event.code === "KeyP") this.#picker.focus(); // on a Mac the key is "π"
    else if (!step || (event.target === input && input.value)) return; // it moves the caret
    else if (!this.#conversation.move(step)) input.focus();
    event.preventDefault();
  }

  /** @param {HostEvent} event */
  #receive(event) {
    switch (event.type) {
      case "agents":
        this.#offline = null;
        this.#picker.agents = event.agents;
        this.#agentChosen();
        break;
      case "offline": {
        const { code, where = "" } = event;
        const { title, todo } = about(code);
        const remedies = (this.#host.remedies ?? []).filter(({ codes }) => codes.includes(code));
        this.#offline = { code, text: [`${title}.`, todo, where].join(" ").trim(), where, remedies };
        this.#greet();
        break;
      }
      case "chat":
        void this.#open(event.chat);
        break;
      case "changed":
        this.#changed(event);
        break;
      case "storage":
        this.#shelf.trouble = event;
        break;
      case "attach":
        this.#notices.put("refused", null);
        this.#attach({ label: event.label, text: event.text });
        break;
      case "offer":
        this.#composer.offer = event;
        break;
      case "refused":
        this.#notices.put("refused", { text: event.message, closes: true });
        break;
      default:
        this.#turn(event);
    }
  }

  /** @param {import("./chat.js").Attachment} attachment  merged with the existing attachments */
  #attach(attachment) {
    if (this.#opening) this.#unattached.push(attachment);
    else this.#composer.attached.add(attachment);
  }

  /** @param {import("./host-types.js").TurnEvent & { turn: string }} event */
  #turn(event) {
    const turn = this.#running.get(event.turn);
    if (!turn || !take(turn.answer, event)) return;
    const { answer } = turn;
    this.#conversation.receive(event);
    if (event.type === "asking") this.#say(`Asking ${answer.model}, as ${answer.silent} does not answer`);
    if (answer.pieces === 1 && event.type === "token") this.#say(`${this.#picker.name(answer.agent)} is answering`);
    if (isRunning(answer)) return;
    this.#running.delete(event.turn);
    this.#composer.running = this.#busy;
    this.#greet();
    this.#sayEnd(turn);
  }

  /** @param {Turn} turn */
  #sayEnd({ answer }) {
    const failure = answer.failure && about(answer.failure.code);
    this.#say(failure ? `Failed: ${failure.title}. ${failure.todo}` : ending(answer) || "Answer complete");
  }

  // --- Asking.

  /** Whether a question can be sent now: no answer is running, and an agent is available. If not, show the reason. */
  #ready() {
    if (this.#busy || this.#opening || this.#naming) return false;
    if (this.#picker.chosen) return true;
    this.#say(this.#offline?.text || "No agent is available");
    return false;
  }

  /**
   * A message was written: it may be for another agent, a command, or name context.
   * @param {string} text
   * @param {string} after  the turn that it follows
   */
  #said(text, after) {
    const said = this.#mentions.resolve(text);
    if (said) void this.#ask(said, after);
  }

  /**
   * @param {string} text
   * @param {string} after  the turn that it follows
   */
  async #ask(text, after) {
    if (!this.#mentions.names(text) || !this.#ready()) {
      this.#send(text, after, []);
      return;
    }
    const { id } = this.#chat;
    this.#naming = true;
    const named = await this.#mentions.named(text).finally(() => (this.#naming = false));
    if (named && this.#chat.id === id) this.#send(text, after, named);
    else this.#write(text);
  }

  /**
   * @param {string} text
   * @param {string} after  the turn that it follows
   * @param {import("./chat.js").Attachment[]} named  in the text
   */
  #send(text, after, named) {
    const agent = this.#picker.chosen;
    if (!this.#ready() || !agent) {
      this.#write(text); // back where it was
      return;
    }
    const own = this.#composer.attached.list;
    const attached = [...own.filter(({ label }) => !named.some((other) => other.label === label)), ...named];
    const question = { text, ...(attached.length ? { attached: attached.map(sizeOf) } : {}) };
    const before = after ? this.#versions.path(after) : [];
    const asked = { id: agent.id, model: agent.model ?? agent.name, ...(agent.provider ? { provider: agent.provider } : {}) };
    const turn = newTurn(this.#chat, question, asked, after);
    this.#versions.put(turn);
    this.#running.set(turn.id, turn);
    this.#composer.running = true;
    const title = !this.#chat.renamed && after === "" ? { title: titleOf(text) } : {};
    this.#save({ agent: agent.id, last: turn.id, updated: turn.asked, ...title }, [turn]);
    this.#picker.choose(agent.id);
    this.#render();
    this.#say(`Waiting for ${turn.answer.model}`);
    this.#conversation.toEnd();
    const context = attached.map((attachment) => attachment.text).join("\n\n");
    const ask = { turn: turn.id, agent: agent.id, prompt: text, history: history(before) };
    this.#host.send(context ? { ...ask, context } : ask);
  }

  /** Send the same question again; the earlier answer stays as another version. @param {Turn} turn */
  #again(turn) {
    if (this.#ready()) void this.#ask(turn.question.text, turn.after);
    this.#composer.input.focus();
  }

  /** Ask for the rest of an answer, with a visible message. @param {Turn} turn */
  #goOn(turn) {
    if (this.#ready()) this.#send("Continue where you stopped.", turn.id, []);
    this.#composer.input.focus();
  }

  // --- The chat that is shown.

  #path() {
    return this.#versions.path(this.#chat.last);
  }

  #render() {
    this.#conversation.show(this.#path(), this.#versions);
    this.#greet();
  }

  /** Show another version of a turn, and the turns that followed it. @param {Turn} turn */
  #step(turn) {
    this.#save({ last: this.#versions.end(turn).id });
    this.#render();
    const versions = this.#versions.of(turn);
    this.#say(`Version ${versions.indexOf(turn) + 1} of ${versions.length}`);
  }

  /**
   * Show a chat whose turns are known: a new one, or none yet.
   * @param {Chat} chat
   */
  #show(chat) {
    for (const turn of this.#running.keys()) this.#host.stop(turn);
    this.#leave();
    this.#chat = chat;
    this.#versions = new Versions();
    this.#elsewhere.clear();
    this.#opening = false;
    this.#composer.text = "";
    this.#composer.attached.list = chat.attached ?? [];
    this.#composer.running = this.#busy;
    this.#notices.put("damaged", null);
    this.#picker.choose(chat.agent);
    this.#render();
    this.#agentChosen();
    this.#shown();
  }

  /** A chat with a draft but no question is listed under its draft. */
  #leave() {
    const { id, last, attached = [] } = this.#chat;
    if (last || !this.#shelf.get(id)) return;
    const title = titleOf(this.#composer.text);
    if (title || attached.length) this.#save({ title });
    else this.#shelf.change(id, { deleted: Date.now() });
  }

  /** @param {Chat} chat */
  async #open(chat) {
    this.#show(chat);
    this.#opening = true;
    const { chat: head, turns, draft = "", damaged = 0, elsewhere = [] } = await this.#host.open(chat.id);
    if (this.#chat.id !== chat.id) return; // another chat was opened in the meantime
    this.#opening = false;
    this.#chat = { ...this.#chat, ...head };
    for (const turn of turns) this.#versions.put(mergeTurn(this.#versions.get(turn.id), turn));
    // A question sent right before a crash is stored, but perhaps not as the last turn.
    const last = this.#versions.get(this.#chat.last);
    if (last) this.#chat.last = this.#versions.end(last).id;
    for (const turn of turns) {
      if (!isRunning(turn.answer)) continue;
      if (elsewhere.includes(turn.id)) this.#elsewhere.add(turn.id);
      else this.#running.set(turn.id, turn);
    }
    this.#composer.running = this.#busy;
    const written = this.#composer.text; // since then
    this.#composer.text = draft;
    if (written) this.#write(written);
    this.#composer.attached.list = this.#chat.attached ?? [];
    for (const attachment of this.#unattached.splice(0)) this.#composer.attached.add(attachment);
    const [word, they] = damaged === 1 ? ["turn", "It is"] : ["turns", "They are"];
    const text = `${damaged} ${word} of this chat cannot be read. ${they} not deleted.`;
    this.#notices.put("damaged", damaged ? { text, closes: true } : null);
    this.#render();
    this.#conversation.toEnd();
    this.#shown();
  }

  /** Append to the draft. @param {string} text */
  #write(text) {
    this.#composer.text = [this.#composer.text, text].filter((part) => part.trim()).join("\n\n");
    this.#drafted(this.#composer.text);
  }

  /** @param {string} title */
  #renamed(title) {
    this.#chat = { ...this.#chat, title, renamed: true };
    this.#shown();
  }

  #shown() {
    this.#host.shown?.(this.#chat.id, this.#chat.title);
  }

  /** @param {string} text */
  #drafted(text) {
    if (text.trim() && !this.#shelf.get(this.#chat.id)) this.#save({ title: titleOf(text) });
    this.#host.keepDraft(this.#chat.id, text);
  }

  // --- Keeping.

  /**
   * Store a change of the displayed chat.
   * @param {Partial<Chat>} change
   * @param {Turn[]} [turns]
   */
  #save(change, turns = []) {
    this.#chat = { ...this.#chat, ...change };
    // The first time all of it is new.
    this.#shelf.change(this.#chat.id, this.#shelf.get(this.#chat.id) ? change : this.#chat, turns);
    if (change.title !== undefined) this.#shown();
  }

  /** @param {import("./host-types.js").Change} change  stored elsewhere */
  #changed({ chat, turns = [] }) {
    if (chat.deleted) {
      this.#shelf.deletedElsewhere(chat.id);
      return;
    }
    this.#shelf.put(chat);
    if (chat.id !== this.#chat.id) return;
    for (const turn of turns) this.#merge(turn);
    const { last, ...rest } = chat;
    this.#chat = { ...this.#chat, ...rest };
    // The displayed version was continued elsewhere: follow it. A version that was chosen elsewhere is not forced on
    // the reader.
    const goesOn = last && this.#versions.get(last) && this.#versions.path(last).some(({ id }) => id === this.#chat.last);
    if (last && (goesOn || this.#chat.last === "")) this.#chat.last = last;
    if (chat.attached) this.#composer.attached.list = chat.attached;
    if (chat.title !== undefined) this.#shown();
    this.#composer.running = this.#busy;
    this.#render();
  }

  /** @param {Turn} given  as it is elsewhere */
  #merge(given) {
    const known = this.#versions.get(given.id);
    if (known && this.#running.has(given.id)) return; // it runs here
    const before = this.#elsewhere.has(given.id);
    if (isRunning(given.answer)) this.#elsewhere.add(given.id);
    else this.#elsewhere.delete(given.id);
    if (!known) {
      this.#versions.put(given);
      return;
    }
    if (mergeTurn(known, given) !== given) return;
    const { answer } = known;
    const goesOn = given.answer.text.startsWith(answer.text) && given.answer.reasoning.startsWith(answer.reasoning);
    const grown = isRunning(answer) && goesOn;
    Object.assign(answer, given.answer);
    this.#conversation.changed(known, grown);
    if (before && !isRunning(answer)) this.#sayEnd(known);
  }

  /** @returns {Whole} the displayed chat, with all its data */
  #whole() {
    return { chat: this.#chat, turns: this.#versions.all, draft: this.#composer.text };
  }

  /**
   * The displayed chat was deleted, here or elsewhere; in the latter case the draft is removed too.
   * @param {boolean} elsewhere
   */
  #gone(elsewhere) {
    const written = this.#composer.text;
    this.#show(newChat(this.#picker.chosen?.id ?? ""));
    if (elsewhere && written) this.#write(written);
  }

  /** Stop the answers of a deleted chat; their events would store it again. @param {string} id */
  #stopAll(id) {
    for (const [turn, { chat }] of this.#running) {
      if (chat !== id) continue;
      this.#host.stop(turn);
      this.#running.delete(turn);
    }
    this.#composer.running = this.#busy;
  }

  // --- Agents.

  #agentChosen() {
    this.#composer.to = this.#picker.chosen?.name ?? "an agent";
    this.#composer.attached.room = this.#picker.chosen?.contextTokens;
    this.#greet();
  }

  /** Show the available agent, or the reason why there is none: on an empty chat's page, else above the message. */
  #greet() {
    const agent = this.#picker.chosen;
    const empty = this.#chat.last === "" && this.#versions.size === 0;
    this.#picker.trouble = empty ? { text: "", remedies: [] } : this.#trouble();
    this.#welcome.element.hidden = !empty;
    this.#heading.hidden = empty;
    this.#welcome.show(agent, { text: this.#offline?.text ?? "", remedies: this.#offline?.remedies ?? [] });
    this.#root.classList.toggle("empty", empty);
  }

  /** Why no agent is available, without what the last answer says and offers already. */
  #trouble() {
    const { code, text, where, remedies } = this.#offline ?? { code: "", text: "", where: "", remedies: [] };
    const failed = this.#versions.get(this.#chat.last)?.answer.failure?.code ?? "";
    return {
      text: failed === code ? where : text,
      remedies: remedies.filter(({ codes }) => !codes.includes(failed)),
    };
  }

  /** Announce a text to screen readers; one at a time. @param {string} text */
  #say(text) {
    this.#status.textContent = text.replaceAll("`", "");
  }
}
