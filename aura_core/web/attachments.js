// @ts-check
// What goes along with the next message as context: shown by name, and removed by a click.

import { h } from "./dom.js";

/** @typedef {import("./chat.js").Attachment} Attachment */

export class Attachments {
  /** @type {Attachment[]} */
  #list = [];
  #changed;

  /** @param {() => void} changed */
  constructor(changed) {
    this.#changed = changed;
    this.element = h("ul", { class: "attached", "aria-label": "Attached", hidden: true });
  }

  get list() {
    return this.#list;
  }

  set list(list) {
    this.#list = list;
    this.element.hidden = list.length === 0;
    this.element.replaceChildren(...list.map((attachment) => this.#item(attachment)));
    this.#changed();
  }

  /** @param {Attachment} attachment  one of the same name is replaced */
  add(attachment) {
    this.list = [...this.#list.filter(({ label }) => label !== attachment.label), attachment];
  }

  /** @param {Attachment} attachment */
  #item(attachment) {
    const { label, text } = attachment;
    const remove = () => {
      this.list = this.#list.filter((other) => other !== attachment);
      /** @type {HTMLElement | null} */ (this.element.closest("form")?.querySelector("textarea") ?? null)?.focus();
    };
    const button = h("button", { type: "button", class: "quiet", "aria-label": `Remove ${label}`, onclick: remove }, "×");
    return h("li", { title: text.slice(0, 2000) }, h("span", {}, label), button);
  }
}
