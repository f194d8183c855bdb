// @ts-check
// Notices above the message field: each has a unique name and actions, and stays until it is resolved.

import { h, withCode } from "./dom.js";

/** @typedef {{ text: string, actions?: { label: string, run: () => void }[], closes?: boolean, urgent?: boolean }} Notice */

export class Notices {
  element = h("div", { class: "notices" });
  /** @type {Map<string, HTMLElement>} */
  #shown = new Map();

  /**
   * Show a notice in place of the one with this name; null removes it.
   * @param {string} name
   * @param {Notice | null} notice
   */
  put(name, notice) {
    const before = this.#shown.get(name);
    this.#shown.delete(name);
    if (!notice) {
      before?.remove();
      return;
    }
    const { text, actions = [], closes = false, urgent = false } = notice;
    // Screen readers announce both, an alert at once.
    const spoken = urgent ? { role: "alert" } : { "aria-live": "polite" };
    const element = h("div", { class: "notice", ...spoken }, h("p", {}, ...withCode(text)));
    const close = () => this.put(name, null);
    for (const { label, run } of actions) element.append(h("button", { type: "button", onclick: () => run() }, label));
    if (closes) element.append(h("button", { type: "button", class: "quiet", "aria-label": "Dismiss", onclick: close }, "×"));
    this.#shown.set(name, element);
    if (before) before.replaceWith(element);
    else this.element.append(element);
  }
}
