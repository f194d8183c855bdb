// @ts-check
// The message field: Enter sends, Shift+Enter inserts a line break. Send and Stop are two buttons, so a double click
// stops nothing.

import { Attachments } from "./attachments.js";
import { h, isComposing } from "./dom.js";
import { Words } from "./words.js";

/** @typedef {import("./chat.js").Turn} Turn */

/**
 * @typedef {object} Writing
 * @property {(text: string, edited: Turn | undefined) => void} send  `edited` is the turn whose question this replaces
 * @property {() => void} stop
 * @property {(text: string) => void} drafted  the current text, to be stored
 * @property {(attached: import("./chat.js").Attachment[]) => void} attached
 * @property {(word: string) => Promise<import("./words.js").Suggestion[]>} suggest  for a `#`, `@` or `/` word
 * @property {(word: string) => void} offered  attach what the offer is about
 * @property {() => string[]} said  the questions that can be recalled, oldest first
 */

export class Composer {
  #send = h("button", { type: "submit", class: "send" }, "Send");
  #stop = h("button", { type: "button", class: "stop", hidden: true }, "Stop");
  #editing = h("div", { class: "editing", hidden: true });
  #offer = h("div", { class: "offer", hidden: true });
  #running = false;
  #writing;
  #words;
  /** @type {{ turn: Turn, before: string } | undefined} the turn that is edited, and the text before the edit */
  #edited;
  /** @type {{ text: string, back: number } | undefined} the recalled question, and how far back it is */
  #recalled;

  /** @param {Writing} writing */
  constructor(writing) {
    this.#writing = writing;
    this.attached = new Attachments((list) => {
      writing.attached(list);
      this.input.focus();
    });
    this.input = h("textarea", { rows: "1", dir: "auto", "aria-label": "Message", "aria-keyshortcuts": "Enter", name: "message" });
    this.#words = new Words(this.input, (word) => writing.suggest(word));
    const keys = "Enter sends · Shift+Enter inserts a line break · Esc stops";
    this.tools = h("div", { class: "tools" });
    const buttons = h("div", { class: "buttons" }, this.tools, h("span", { class: "keys" }, keys), this.#stop, this.#send);
    const cancel = h("button", { type: "button", class: "quiet", onclick: () => this.#leaveEdit() }, "Cancel");
    this.#editing.append(h("span", {}, "Editing a question; its answer stays as another version"), cancel);
    this.element = h("form", { class: "composer" }, this.#words.list, this.#editing, this.attached.element, this.#offer);
    this.element.append(this.input, buttons);
    this.#stop.addEventListener("click", () => {
      writing.stop();
      this.input.focus();
    });
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.input.addEventListener("keydown", (event) => this.#key(event));
    this.input.addEventListener("input", () => this.#changed());
    this.#fit();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (isComposing(event) || this.#words.key(event)) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.#submit();
    } else if (event.key === "Escape" && this.#edited && !this.#running) {
      event.preventDefault();
      this.#leaveEdit();
    } else if ((event.key === "ArrowUp" || event.key === "ArrowDown") && !event.altKey && this.#recall(event.key === "ArrowUp" ? 1 : -1)) {
      event.preventDefault();
    }
  }

  #submit() {
    const text = this.input.value;
    if (this.#running || !text.trim()) return;
    const edited = this.#edited;
    this.#edited = undefined;
    this.#write(edited?.before ?? "");
    this.input.focus();
    this.#writing.send(text, edited?.turn);
  }

  /**
   * Recall an earlier or a later question into a message that is empty or was itself recalled.
   * @param {number} step
   * @returns {boolean} whether there was a question to recall
   */
  #recall(step) {
    if (this.input.value !== (this.#recalled?.text ?? "") || this.#edited) return false;
    const said = this.#writing.said();
    const back = (this.#recalled?.back ?? 0) + step;
    if (back < 0 || back > said.length) return false;
    const text = said[said.length - back] ?? "";
    this.#write(text);
    this.#recalled = back ? { text, back } : undefined;
    return true;
  }

  /** @param {string} text */
  #write(text) {
    this.input.value = text;
    this.#changed();
  }

  #changed() {
    if (this.input.value !== this.#recalled?.text) this.#recalled = undefined;
    this.#fit();
    // The text from before an edit is also stored.
    const kept = [this.#edited?.before ?? "", this.input.value].filter((text) => text.trim());
    this.#writing.drafted(kept.join("\n\n"));
  }

  #fit() {
    this.#send.disabled = this.#running || !this.input.value.trim();
    this.#editing.hidden = !this.#edited;
    if (CSS.supports("field-sizing", "content")) return;
    this.input.style.height = "auto";
    this.input.style.height = `${this.input.scrollHeight}px`;
  }

  /** Edit an earlier question. @param {Turn} turn */
  edit(turn) {
    this.#edited = { turn, before: this.#edited?.before ?? this.input.value };
    this.#write(turn.question.text);
    this.input.focus();
  }

  #leaveEdit() {
    const before = this.#edited?.before ?? "";
    this.#edited = undefined;
    this.#write(before);
    this.input.focus();
  }

  /** The unsent draft. */
  get text() {
    return [this.#edited?.before ?? "", this.input.value].filter((text) => text.trim()).join("\n\n");
  }

  /** Show a stored draft. @param {string} text */
  set text(text) {
    this.#edited = this.#recalled = undefined;
    this.input.value = text;
    this.#fit();
  }

  /** @param {boolean} running */
  set running(running) {
    this.#running = running;
    this.#stop.hidden = !running;
    this.#fit();
  }

  /**
   * Offer something as context, with one click; an empty word offers nothing.
   * @param {{ label: string, word: string }} offer
   */
  set offer({ label, word }) {
    this.#offer.hidden = !word;
    const add = () => {
      this.#offer.hidden = true;
      this.#writing.offered(word);
    };
    this.#offer.replaceChildren(h("button", { type: "button", class: "quiet", title: `Attach ${label}`, onclick: add }, `+ ${label}`));
  }

  /** @param {string} name */
  set to(name) {
    this.input.placeholder = `Message ${name}`;
  }
}
