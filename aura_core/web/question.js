// @ts-check
// One question on the page: its text, its attachments, its other versions, and the button to edit it.

import { sizeInWords } from "./attachments.js";
import { h } from "./dom.js";

/** @typedef {import("./chat.js").Turn} Turn */

export class QuestionView {
  #step;
  #versions = h("span", { class: "versions", role: "group", "aria-label": "Versions", hidden: true });

  /**
   * @param {Turn} turn
   * @param {() => void} edit
   * @param {(version: Turn) => void} step  show another version
   */
  constructor({ question: { text, attached = [] } }, edit, step) {
    this.#step = step;
    const along = attached.map(({ label, size }) => h("p", { class: "along" }, `+ ${label}, ${sizeInWords(size)}`));
    const button = h("button", { type: "button", class: "quiet edit", onclick: edit }, "Edit");
    const tools = h("div", { class: "tools" }, this.#versions, button);
    const said = h("div", { class: "question" }, h("p", { dir: "auto" }, text), ...along);
    this.element = h("article", { class: "asked", "aria-label": "You", tabindex: "-1" }, said, tools);
  }

  /**
   * @param {Turn[]} versions
   * @param {Turn} shown
   */
  versions(versions, shown) {
    const at = versions.indexOf(shown);
    this.#versions.hidden = versions.length < 2;
    const button = (/** @type {string} */ sign, /** @type {string} */ label, /** @type {Turn | undefined} */ to) => {
      const step = () => to && this.#step(to);
      return h("button", { type: "button", class: "quiet", "aria-label": label, disabled: !to, onclick: step }, sign);
    };
    this.#versions.replaceChildren(
      button("‹", "Earlier version", versions[at - 1]),
      h("span", {}, `${at + 1} of ${versions.length}`),
      button("›", "Later version", versions[at + 1]),
    );
  }

  /** Focus the button for this direction, or the other one at the end. @param {string} label */
  focus(label) {
    const buttons = [...this.#versions.querySelectorAll("button")];
    const wanted = buttons.find((button) => button.ariaLabel === label && !button.disabled);
    (wanted ?? buttons.find((button) => !button.disabled))?.focus();
  }
}
