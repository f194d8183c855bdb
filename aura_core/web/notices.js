// @ts-check
// What stands above the message until it is dealt with: each notice with a name of its own, and something to do about it.

import { h } from "./dom.js";

/** @typedef {{ text: string, actions?: { label: string, run: () => void }[], closes?: boolean, urgent?: boolean }} Notice */

export class Notices {
  element = h("div", { class: "notices" });
  /** @type {Map<string, HTMLElement>} */
  #shown = new Map();

  /**
   * Show a notice in place of the one of this name; null takes it away.
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
    // Both are read out when they come, an alert at once.
    const spoken = urgent ? { role: "alert" } : { "aria-live": "polite" };
    const element = h("div", { class: "notice", ...spoken }, h("p", {}, text));
    const close = () => this.put(name, null);
    for (const { label, run } of actions) element.append(h("button", { type: "button", onclick: () => run() }, label));
    if (closes) element.append(h("button", { type: "button", class: "quiet", "aria-label": "Dismiss", onclick: close }, "×"));
    this.#shown.set(name, element);
    if (before) before.replaceWith(element);
    else this.element.append(element);
  }
}
