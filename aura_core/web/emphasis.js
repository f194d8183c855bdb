// @ts-check
// Emphasis: pair the runs of `*`, `_` and `~` of a text, as CommonMark specifies.

import { h } from "./dom.js";

/**
 * A run of `*`, `_` or `~` that may open or close emphasis.
 * @typedef {object} Delimiter
 * @property {Text} node
 * @property {string} char
 * @property {number} length  what is left of the run
 * @property {number} original
 * @property {boolean} opens
 * @property {boolean} closes
 * @property {number} at  offset in the source
 * @property {Delimiter | null} previous
 * @property {Delimiter | null} next
 */

const PUNCTUATION = /[\p{P}\p{S}]/u;

export class Emphasis {
  /** @type {Delimiter | null} */
  #last = null;
  #mayStillMean;

  /** @param {(at: number) => void} mayStillMean  told the offset of a delimiter whose meaning a later one could change */
  constructor(mayStillMean) {
    this.#mayStillMean = mayStillMean;
  }

  /** The last delimiter that is not paired yet. */
  get last() {
    return this.#last;
  }

  /**
   * Add a run of delimiters.
   * @param {Text} node  contains nothing else
   * @param {number} at  offset in the source
   * @param {string} before  the character before it
   * @param {string} after
   */
  add(node, at, before, after) {
    const char = node.data[0] ?? "";
    const length = node.length;
    if (char === "~" && length !== 2) return;
    const afterIsSpace = /\s/.test(after);
    const beforeIsSpace = /\s/.test(before);
    const afterIsMark = PUNCTUATION.test(after);
    const beforeIsMark = PUNCTUATION.test(before);
    const left = !afterIsSpace && (!afterIsMark || beforeIsSpace || beforeIsMark);
    const right = !beforeIsSpace && (!beforeIsMark || afterIsSpace || afterIsMark);
    /** @type {Delimiter} */
    const delimiter = {
      node,
      char,
      length,
      original: length,
      opens: char === "_" ? left && (!right || beforeIsMark) : left,
      closes: char === "_" ? right && (!left || afterIsMark) : right,
      at,
      previous: this.#last,
      next: null,
    };
    if (this.#last) this.#last.next = delimiter;
    this.#last = delimiter;
  }

  /**
   * Pair the delimiters after `bottom`: CommonMark's "process emphasis".
   * @param {Delimiter | null} bottom
   */
  pair(bottom) {
    /** @type {Map<string, Delimiter | null>} below these there is no opener for such a closer */
    const floors = new Map();
    let closer = bottom ? bottom.next : first(this.#last);
    while (closer) {
      if (!closer.closes) {
        closer = closer.next;
        continue;
      }
      const kind = `${closer.char}${closer.opens}${closer.original % 3}`;
      const floor = floors.has(kind) ? (floors.get(kind) ?? null) : bottom;
      let opener = closer.previous;
      while (opener && opener !== floor && opener !== bottom && !pairs(opener, closer)) opener = opener.previous;
      if (!opener || opener === floor || opener === bottom) {
        floors.set(kind, closer.previous);
        const next = closer.next;
        if (!closer.opens) this.#remove(closer);
        closer = next;
        continue;
      }
      closer = this.#wrap(opener, closer);
    }
    for (let rest = this.#last; rest && rest !== bottom; rest = rest.previous) {
      if (rest.opens) this.#mayStillMean(rest.at);
    }
    this.#last = bottom;
    if (bottom) bottom.next = null;
  }

  /**
   * @param {Delimiter} opener
   * @param {Delimiter} closer
   * @returns {Delimiter | null} the next closer to examine
   */
  #wrap(opener, closer) {
    const used = opener.length >= 2 && closer.length >= 2 ? 2 : 1;
    const element = h(opener.char === "~" ? "del" : used === 2 ? "strong" : "em");
    while (opener.node.nextSibling && opener.node.nextSibling !== closer.node) element.append(opener.node.nextSibling);
    opener.node.after(element);
    for (let between = closer.previous; between && between !== opener; between = closer.previous) this.#remove(between);
    for (const side of [opener, closer]) {
      side.length -= used;
      side.node.data = side.node.data.slice(used);
    }
    const next = closer.length ? closer : closer.next;
    for (const side of [opener, closer]) {
      if (side.length) continue;
      side.node.remove();
      this.#remove(side);
    }
    return next;
  }

  /** @param {Delimiter} delimiter */
  #remove(delimiter) {
    if (delimiter.previous) delimiter.previous.next = delimiter.next;
    if (delimiter.next) delimiter.next.previous = delimiter.previous;
    else this.#last = delimiter.previous;
  }
}

/**
 * @param {Delimiter} opener
 * @param {Delimiter} closer
 */
function pairs(opener, closer) {
  if (!opener.opens || opener.char !== closer.char) return false;
  const both = opener.closes || closer.opens;
  return !(both && closer.original % 3 !== 0 && (opener.original + closer.original) % 3 === 0);
}

/** @param {Delimiter | null} last */
function first(last) {
  while (last?.previous) last = last.previous;
  return last;
}
