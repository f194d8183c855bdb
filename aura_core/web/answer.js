// @ts-check
// One answer on the page: its state, its reasoning, its text as it arrives, and how it ended.

import { isRunning } from "./chat.js";
import { about, ending } from "./error-advice.js";
import { h, withCode } from "./dom.js";
import { linkFiles } from "./file-links.js";
import { Markdown } from "./markdown.js";

/** @typedef {import("./chat.js").Answer} Answer */
/** @typedef {import("./host-types.js").Host} WholeHost */
/** @typedef {Pick<WholeHost, "copy" | "codeActions" | "exportFile" | "remedies" | "whichFiles" | "openFile">} Host */

/** Characters of a text that are rendered before the clock is checked again. */
const SLICE = 2 * 1024;
/** Milliseconds without new text after which the state line shows the gap. */
const GAP = 4000;

/**
 * Actions for an answer: ask again, continue it, edit its question, choose another agent. `linked`: what it names has become
 * links.
 * @typedef {{ again: () => void, goOn?: () => void, edit?: () => void, otherAgent?: () => void, linked?: () => void }} Actions
 */

export class AnswerView {
  #answer;
  #host;
  #actions;
  #markdown;
  #text = h("div", { class: "text" });
  #state = h("p", { class: "state" });
  #stateText = h("span");
  #end = h("div", { class: "end" });
  #summary = h("summary");
  #thoughts = h("div", { class: "thoughts" });
  #reasoning = h("details", { class: "reasoning", hidden: true }, this.#summary, this.#thoughts);
  #pending;
  #pendingThoughts;
  #taken;
  #lastEventAt = Date.now();
  #settled = false;
  #blocks = 0;

  /**
   * @param {Answer} answer
   * @param {string} name  whose answer it is
   * @param {Host} host
   * @param {Actions} actions
   */
  constructor(answer, name, host, actions) {
    this.#answer = answer;
    this.#host = host;
    this.#actions = actions;
    this.#pending = answer.text;
    this.#pendingThoughts = answer.reasoning;
    this.#taken = { text: answer.text.length, reasoning: answer.reasoning.length };
    this.#markdown = new Markdown(this.#text, (code, language) => this.#frame(code, language));
    this.#state.append(h("span", { class: "pulse", "aria-hidden": "true" }), this.#stateText);
    this.element = h("article", { class: "answer", "aria-label": `Answer of ${name}`, tabindex: "-1" });
    this.element.append(h("p", { class: "who" }, name), this.#reasoning, this.#text, this.#state, this.#end);
    this.tick();
  }

  /** @param {import("./host-types.js").TurnEvent} event */
  receive(event) {
    this.#lastEventAt = Date.now();
    if (event.type === "token") this.#more(event.content, "");
    else if (event.type === "reasoning") this.#more("", event.content);
  }

  /** Show the current data of the answer, which was changed elsewhere. It must not have ended before. */
  refresh() {
    const { text, reasoning } = this.#answer;
    this.#lastEventAt = Date.now();
    this.#more(text.slice(this.#taken.text), reasoning.slice(this.#taken.reasoning));
  }

  /**
   * @param {string} text
   * @param {string} thoughts
   */
  #more(text, thoughts) {
    this.#pending += text;
    this.#pendingThoughts += thoughts;
    this.#taken.text += text.length;
    this.#taken.reasoning += thoughts.length;
  }

  /**
   * Render the received text. Returns whether some of it is left when the time is up.
   * @param {number} deadline  on the clock of `performance.now`
   */
  paint(deadline) {
    if (this.#pendingThoughts) this.#think();
    while (this.#pending && performance.now() < deadline) {
      this.#markdown.write(this.#pending.slice(0, SLICE));
      this.#pending = this.#pending.slice(SLICE);
    }
    if (this.#pending) {
      this.#markdown.show();
      return true;
    }
    if (isRunning(this.#answer)) this.#markdown.show();
    else if (!this.#settled) this.#settle();
    this.tick();
    return false;
  }

  /** Update the line with the turn's state; once a second is enough. */
  tick() {
    const running = isRunning(this.#answer);
    this.element.classList.toggle("running", running);
    this.#state.hidden = !running;
    if (running) this.#stateText.textContent = this.state;
    this.#summarize();
  }

  /** The state of the turn, in words. */
  get state() {
    const { state, model, silent, began, thought, queued } = this.#answer;
    // The clock may have been set back since.
    const since = (/** @type {number} */ from) => Math.max(0, Math.floor((Date.now() - from) / 1000));
    if (state === "connecting" && queued) return `Waiting for a connection, ${since(began)} s: ${crowded(queued)}`;
    if (state === "connecting") return `Connecting, ${since(began)} s`;
    if (state === "waiting" && silent) return `Asking ${model}, as ${silent} does not answer, ${since(began)} s`;
    if (state === "waiting") return `Waiting for ${model}, ${since(began)} s`;
    if (state === "thinking") return `${model} is thinking, ${since(thought ?? began)} s`;
    const gap = Date.now() - this.#lastEventAt;
    return gap > GAP ? `Answering; no new text for ${Math.floor(gap / 1000)} s` : "Answering";
  }

  #think() {
    this.#reasoning.hidden = false;
    let last = this.#thoughts.lastChild;
    if (!last || (last.textContent?.length ?? 0) > 8 * SLICE) last = this.#thoughts.appendChild(h("p", { dir: "auto" }, ""));
    last.appendChild(new Text(this.#pendingThoughts));
    last.normalize();
    this.#pendingThoughts = "";
  }

  #summarize() {
    const { thought, first, ended, state } = this.#answer;
    if (thought === undefined) return;
    const seconds = Math.max(1, Math.round(((first ?? ended ?? Date.now()) - thought) / 1000));
    const words = state === "thinking" ? "Thinking" : `Thought for ${seconds} s`;
    if (this.#summary.textContent !== words) this.#summary.textContent = words;
  }

  #settle() {
    this.#settled = true;
    this.#markdown.end();
    const { state, failure } = this.#answer;
    const note = ending(this.#answer);
    if (failure) this.#end.append(this.#failed(failure));
    else if (note) this.#end.append(h("p", { class: "note" }, note));
    const footer = this.#footer();
    if (footer.textContent) this.#end.append(footer);
    void linkFiles(this.#text, this.#host).then(() => this.#actions.linked?.());
    this.element.dataset["state"] = state;
  }

  /** @param {import("./host-types.js").Failure} failure */
  #failed({ code, message, retryAfter = 0 }) {
    const { title, todo, retry } = about(code);
    const box = h("div", { class: "failure", "data-code": code }, h("p", { class: "title" }, title), h("p", {}, ...withCode(message)));
    const { again, goOn, edit, otherAgent } = this.#actions;
    const ways = h("div", { class: "ways" });
    const remedies = (this.#host.remedies ?? []).filter(({ codes }) => codes.includes(code));
    for (const { label, run } of remedies) ways.append(action(label, run, "remedy"));
    if (retry) ways.append(this.#retryButton(retryAfter));
    if (goOn && this.#answer.text.trim()) ways.append(action("Continue", goOn, "continue"));
    if (edit) ways.append(action("Edit the question", edit));
    if (otherAgent) ways.append(action("Choose another agent", otherAgent));
    if (otherAgent && !retry) ways.append(action("Ask again", again, "again"));
    box.append(h("p", {}, ...withCode(todo)));
    if (ways.hasChildNodes()) box.append(ways);
    return box;
  }

  /** @param {number} after  seconds from the failure after which the provider accepts requests again */
  #retryButton(after) {
    const button = h("button", { type: "button", class: "retry", onclick: () => this.#actions.again() });
    // A failure from before a reload is known only by the time of day, which may have been set back since.
    const gone = Math.max(0, Date.now() - (this.#answer.ended ?? Date.now()));
    const from = performance.now() + after * 1000 - gone;
    const count = () => {
      const wait = Math.ceil((from - performance.now()) / 1000);
      button.disabled = wait > 0;
      button.textContent = wait > 0 ? `Retry in ${wait} s` : "Retry";
      if (wait > 0) setTimeout(count, 1000);
    };
    count();
    return button;
  }

  #footer() {
    const { state, text, began, first, ended, pieces, totalTokens } = this.#answer;
    const facts = [];
    if (first !== undefined) facts.push(`first token ${span(Math.max(0, first - began))}`);
    const seconds = ((ended ?? 0) - (first ?? 0)) / 1000;
    if (pieces > 1 && seconds >= 0.05) facts.push(`${Math.round(pieces / seconds)} tokens/s`);
    if (totalTokens) facts.push(`${totalTokens.toLocaleString("en")} ${totalTokens === 1 ? "token" : "tokens"} in total`);
    const footer = h("footer", {}, h("span", { class: "facts" }, facts.join(" · ")));
    if (text && this.#host.copy) footer.append(copyButton(this.#host.copy, () => text, "answer"));
    const { again, goOn } = this.#actions;
    if (state === "stopped" && text.trim() && goOn) footer.append(action("Continue", goOn, "continue quiet"));
    if (state !== "failed") footer.append(action(state === "stopped" ? "Retry" : "Ask again", again, "again quiet"));
    return footer;
  }

  /**
   * @param {HTMLElement} code
   * @param {string} language
   */
  #frame(code, language) {
    const bar = h("div", { class: "bar" }, h("span", {}, language || "code"));
    const text = () => code.textContent ?? "";
    const name = `${language || "code"}, block ${++this.#blocks}`;
    for (const { label, title = label, languages, run } of this.#host.codeActions ?? []) {
      if (languages && !languages.includes(language.toLowerCase())) continue;
      const properties = { class: "quiet", title, "aria-label": `${label}: ${name}`, onclick: () => run(text(), language) };
      bar.append(h("button", { type: "button", ...properties }, label));
    }
    const { exportFile, copy } = this.#host;
    if (exportFile && language.toLowerCase() === "mermaid") {
      // Viewers of Mermaid and editors open such a file; a renderer would be larger than this page.
      const save = () => exportFile("diagram.mmd", text());
      bar.append(h("button", { type: "button", class: "quiet", "aria-label": `Save diagram: ${name}`, onclick: save }, "Save diagram"));
    }
    if (copy) bar.append(copyButton(copy, text, name));
    // Long lines scroll, also by keyboard.
    const pre = h("pre", { tabindex: "0", role: "group", "aria-label": `Code: ${name}` }, code);
    return h("div", { class: "code" }, bar, pre);
  }
}

/**
 * @param {string} label
 * @param {() => void} run
 * @param {string} [classes]
 */
function action(label, run, classes = "") {
  return h("button", { type: "button", class: classes, onclick: () => run() }, label);
}

/** @param {number} ms */
function span(ms) {
  return ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/**
 * @param {(text: string) => Promise<void>} copy
 * @param {() => string} text
 * @param {string} of  names what it copies
 */
function copyButton(copy, text, of) {
  const button = h("button", { type: "button", class: "copy quiet" });
  const show = (/** @type {string} */ label) => {
    button.textContent = label;
    button.ariaLabel = `${label}: ${of}`;
  };
  show("Copy");
  button.addEventListener("click", async () => {
    show(await copy(text()).then(() => "Copied", () => "Not copied")); // prettier-ignore
    setTimeout(() => show("Copy"), 1500);
  });
  return button;
}

/** @param {number} others */
function crowded(others) {
  return `${others} answers are running in other tabs, and a browser opens only six connections to a server. This one begins when one of them ends.`;
}
