// @ts-check
// The attachments of a chat, sent with each question as context: shown as chips with their size until they are removed.

import { beginning } from "./characters.js";
import { h } from "./dom.js";

/** @typedef {import("./chat.js").Attachment} Attachment */

/** Approximate characters per token: four in English prose, fewer in code. */
const CHARACTERS = 4;

export class Attachments {
  /** @type {Attachment[]} */
  #list = [];
  /** @type {number | undefined} */
  #room;
  #changed;
  #chips = h("ul", { "aria-label": "Attached to this chat" });
  #sum = h("p", { hidden: true });

  /** @param {(list: Attachment[]) => void} changed  a person has added or removed something */
  constructor(changed) {
    this.#changed = changed;
    this.element = h("div", { class: "attached", hidden: true }, this.#chips, this.#sum);
  }

  get list() {
    return this.#list;
  }

  set list(list) {
    this.#list = list;
    this.#show();
  }

  /** The context length of the chosen agent's model in tokens, if it is known. @param {number | undefined} tokens */
  set room(tokens) {
    if (tokens === this.#room) return;
    this.#room = tokens;
    this.#show();
  }

  /** @param {Attachment} attachment  one of the same name is replaced */
  add(attachment) {
    this.list = [...this.#list.filter(({ label }) => label !== attachment.label), attachment];
    this.#changed(this.#list);
  }

  #show() {
    this.element.hidden = this.#list.length === 0;
    this.#chips.replaceChildren(...this.#list.map((attachment) => this.#chip(attachment)));
    const tokens = Math.round(this.#list.reduce((sum, { text }) => sum + text.length, 0) / CHARACTERS);
    const room = this.#room ?? 0;
    const much = room > 0 && tokens > room;
    this.#sum.hidden = room === 0;
    this.#sum.classList.toggle("much", much);
    const part = `About ${count(tokens)} of the ${count(room)} tokens that the model takes`;
    this.#sum.textContent = much ? `${part}: too much. Remove something.` : part;
  }

  /** @param {Attachment} attachment */
  #chip(attachment) {
    const { label, text } = attachment;
    const remove = () => {
      this.list = this.#list.filter((other) => other !== attachment);
      this.#changed(this.#list);
    };
    const button = h("button", { type: "button", class: "quiet", "aria-label": `Remove ${label}`, onclick: remove }, "×");
    const size = h("span", { class: "size" }, sizeInWords(text.length));
    return h("li", { title: beginning(text, 2000) }, h("span", { dir: "auto" }, label), size, button);
  }
}

/** @param {number} characters */
export function sizeInWords(characters) {
  return characters < 1000 ? `${characters} characters` : `${count(characters / 1000)} k characters`;
}

/** @param {number} number */
function count(number) {
  return number.toLocaleString("en", { maximumFractionDigits: number < 10 ? 1 : 0 });
}
