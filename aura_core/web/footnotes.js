// @ts-check
// Footnotes of one answer: their definitions, and the links between them and their marks once the answer is complete.

import { h } from "./dom.js";

const MARK = /\[\^([^\s[\]]{1,100})\]/g;
/** Marks of one answer that are connected. */
const MOST = 1000;

export class Footnotes {
  /** @type {Map<string, HTMLElement>} the first definition of each name */
  #defined = new Map();

  /**
   * The element for a definition.
   * @param {string} name
   */
  define(name) {
    const element = h("div", { class: "footnote", tabindex: "-1" }, h("span", { class: "note-name" }, `[^${name}]:`));
    if (!this.#defined.has(name)) this.#defined.set(name, element);
    return element;
  }

  /**
   * Number the marks that have a definition, and connect them with it. Other marks stay as they are written.
   * @param {HTMLElement} root
   */
  link(root) {
    if (this.#defined.size === 0) return;
    /** @type {Map<HTMLElement, string>} */
    const numbers = new Map();
    for (const [mark, name] of marks(root)) {
      const note = this.#defined.get(name);
      if (!note) continue;
      const number = numbers.get(note) ?? String(numbers.size + 1);
      const there = jump(note, number, `Footnote ${number}`);
      mark.replaceWith(h("sup", {}, there));
      if (numbers.has(note)) continue;
      numbers.set(note, number);
      note.firstElementChild?.replaceWith(jump(there, `${number}.`, `Back to mark ${number}`));
    }
  }
}

/**
 * Each mark as a text node of its own, and the name in it.
 * @param {HTMLElement} root
 * @returns {[Text, string][]}
 */
function marks(root) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT, (node) =>
    node instanceof Element && node.matches("a, code, pre, .note-name") ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT,
  );
  /** @type {Text[]} */
  const texts = [];
  while (walker.nextNode()) if (walker.currentNode instanceof Text) texts.push(walker.currentNode);
  /** @type {[Text, string][]} */
  const found = [];
  for (let text of texts) {
    let cut = 0;
    for (const { 0: mark, 1: name = "", index } of text.data.matchAll(MARK)) {
      if (found.length === MOST) return found;
      const node = text.splitText(index - cut);
      text = node.splitText(mark.length);
      cut = index + mark.length;
      found.push([node, name]);
    }
  }
  return found;
}

/**
 * A button that moves the focus to an element of the same answer, which scrolls there; an address with "#" would be one
 * more step for the browser's "back".
 * @param {HTMLElement} to
 * @param {string} text
 * @param {string} name
 */
function jump(to, text, name) {
  return h("button", { type: "button", class: "note-name", "aria-label": name, onclick: () => to.focus() }, text);
}
