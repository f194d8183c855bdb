// @ts-check
// Search the transcript with Ctrl+F, for hosts whose window has no search of its own, such as VS Code's side bar.

import { h, isComposing } from "./dom.js";

/** Matches that are shown. */
const MOST = 1000;

export class Find {
  #log;
  #input = h("input", { type: "search", "aria-label": "Find in this chat", placeholder: "Find" });
  #count = h("span", { class: "count", role: "status" });
  /** @type {Range[]} */
  #found = [];
  #at = 0;
  /** @type {Element | null} what had the focus before */
  #before = null;

  /** @param {HTMLElement} log */
  constructor(log) {
    this.#log = log;
    const button = (/** @type {string} */ sign, /** @type {string} */ label, /** @type {() => void} */ run) =>
      h("button", { type: "button", class: "quiet", "aria-label": label, title: label, onclick: run }, sign);
    this.element = h("search", { class: "find", hidden: true }, this.#input, this.#count);
    this.element.append(button("↑", "Previous match", () => this.#go(-1)), button("↓", "Next match", () => this.#go(1)));
    this.element.append(button("×", "Close the search", () => this.close()));
    this.#input.addEventListener("input", () => this.#look());
    this.element.addEventListener("keydown", (event) => this.#key(event));
  }

  open() {
    if (this.element.hidden) this.#before = document.activeElement;
    this.element.hidden = false;
    this.#input.focus();
    this.#input.select();
    this.#look();
  }

  close() {
    this.element.hidden = true;
    this.#found = [];
    this.#show();
    if (this.#before instanceof HTMLElement) this.#before.focus();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (isComposing(event)) return;
    if (event.key === "Enter" && event.target === this.#input) this.#go(event.shiftKey ? -1 : 1);
    else if (event.key === "Escape") this.close();
    else return;
    event.preventDefault(); // Esc stops no answer here
  }

  #look() {
    this.#found = this.#input.value ? ranges(this.#log, this.#input.value.toLowerCase()) : [];
    this.#at = 0;
    this.#go(0);
  }

  /** @param {number} step */
  #go(step) {
    const { length } = this.#found;
    this.#at = length ? (this.#at + step + length) % length : 0;
    const range = this.#found[this.#at];
    this.#count.textContent = !this.#input.value ? "" : length ? `${this.#at + 1} of ${length}` : "Nothing found";
    this.#show();
    if (!range) return;
    const { top } = range.getBoundingClientRect();
    const log = this.#log.getBoundingClientRect();
    if (top < log.top || top > log.bottom - 20) this.#log.scrollTop += top - log.top - log.height / 3;
  }

  #show() {
    if (!("highlights" in CSS)) return;
    const current = this.#found[this.#at];
    CSS.highlights.set("aura-found", new Highlight(...this.#found));
    const one = new Highlight(...(current ? [current] : []));
    one.priority = 1;
    CSS.highlights.set("aura-found-here", one);
  }
}

/**
 * Where a text occurs in what is visible, case-insensitively.
 * @param {HTMLElement} root
 * @param {string} wanted  in lower case
 */
function ranges(root, wanted) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  /** @type {Range[]} */
  const found = [];
  while (found.length < MOST && walker.nextNode()) {
    const node = /** @type {Text} */ (walker.currentNode);
    const lower = node.data.toLowerCase();
    if (lower.length !== node.length || !lower.includes(wanted) || !node.parentElement?.checkVisibility()) continue;
    for (let at = lower.indexOf(wanted); at >= 0 && found.length < MOST; at = lower.indexOf(wanted, at + wanted.length)) {
      const range = new Range();
      range.setStart(node, at);
      range.setEnd(node, at + wanted.length);
      found.push(range);
    }
  }
  return found;
}
