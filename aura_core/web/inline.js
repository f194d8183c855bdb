// @ts-check
// Turn the text of one Markdown paragraph into DOM nodes: emphasis, code, links; CommonMark's algorithm.

import { isHighSurrogate } from "./characters.js";
import { h } from "./dom.js";
import { Emphasis } from "./emphasis.js";
import { ENTITY, entity, unescape } from "./escapes.js";
import { anchor, withoutTail } from "./links.js";

/**
 * A `[` or `![` that may begin a link.
 * @typedef {object} Bracket
 * @property {Text} node
 * @property {boolean} image
 * @property {boolean} active
 * @property {number} at
 * @property {import("./emphasis.js").Delimiter | null} delimiter  the last one before it
 */

const PLAIN = /[^\n`*_~[\]!<&\\h$]+/y;
const RUN = /`+/y;
const AUTOLINK = /<([a-z][a-z0-9+.-]{1,31}:[^\s<>\x00-\x1f]*)>/iy;
const EMAIL =
  /<([a-z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*)>/iy;
const BARE_URL = /https?:\/\/[^\s<>"`]+/iy;
const TITLE = /[ \t\n]+(?:"((?:\\[^]|[^\\"])*)"|'((?:\\[^]|[^\\'])*)'|\(((?:\\[^]|[^\\()])*)\))/y;
const SPACES = /[ \t]*\n?[ \t]*/y;
const NOTE = /\[\^[^\s[\]]{1,100}\]/y;
/** The end of a formula, with the character before it: money, as in "$5 or $10", has none. */
const FORMULA_END = /[^\s\\$]\$(?![\p{L}\p{N}$])/gu;
const ESCAPABLE = /[!-/:-@[-`{-~]/;

/**
 * The nodes of a text. `before` is the character in front of it, where a longer text was cut.
 * @param {string} text
 * @param {string} [before]
 * @returns {DocumentFragment}
 */
export function inline(text, before = "\n") {
  return new Inline(text, before).run();
}

/**
 * Where to split a long text so that the first part renders the same whatever follows: at a space, before any delimiter that
 * a later one may still close. Without such a place it is the last space, or the end.
 * @param {string} text
 * @param {string} before
 * @returns {number}
 */
export function cut(text, before) {
  const parser = new Inline(text, before);
  parser.run();
  const open = parser.open;
  for (const limit of [open, text.length - 1]) {
    for (let at = limit; at > 0; at--) {
      const ownWord = /\S/.test(text[at] ?? "") && /\S/.test(text[at - 2] ?? "");
      if (ownWord && /[ \n]/.test(text[at - 1] ?? "") && text[at - 2] !== "\\") return at;
    }
  }
  return isHighSurrogate(text, text.length - 1) ? text.length - 1 : text.length;
}

class Inline {
  #at = 0;
  #out = document.createDocumentFragment();
  /** @type {Text | null} the text node that plain text is appended to */
  #plain = null;
  #emphasis = new Emphasis((at) => this.#mayStillMean(at));
  /** @type {Bracket[]} */
  #brackets = [];
  /** @type {Set<string>} what begins a formula and is not followed by its end */
  #endless = new Set();
  /** Where the last white space of the text is. */
  #lastSpace;
  /** @type {Set<number>} lengths of backtick runs without a closing run */
  #unclosed = new Set();

  /** Offset of the first delimiter whose meaning a later character could still change; the text's length without one. */
  open;

  /**
   * @param {string} text
   * @param {string} before
   */
  constructor(text, before) {
    this.text = text;
    this.before = before;
    this.open = text.length;
    this.#lastSpace = text.length - 1;
    while (/\S/.test(text[this.#lastSpace] ?? " ")) this.#lastSpace--;
  }

  run() {
    while (this.#at < this.text.length) this.#step();
    for (const bracket of this.#brackets) this.#mayStillMean(bracket.at);
    this.#emphasis.pair(null);
    return this.#out;
  }

  /** @param {number} at */
  #mayStillMean(at) {
    this.open = Math.min(this.open, at);
  }

  #step() {
    switch (this.text[this.#at]) {
      case "\n":
        return this.#lineBreak();
      case "\\":
        return this.#backslash();
      case "`":
        return this.#code();
      case "*":
      case "_":
      case "~":
        return this.#delimiters();
      case "[":
        return this.#note() || this.#openBracket(false);
      case "!":
        if (this.text[this.#at + 1] === "[") return this.#openBracket(true);
        return this.#say(this.text[this.#at++] ?? "");
      case "]":
        return this.#closeBracket();
      case "<":
        return this.#autolink();
      case "&":
        return this.#entity();
      case "h":
        return this.#bareUrl();
      case "$":
        return this.#dollar();
      default:
        this.#say(this.#match(PLAIN)?.[0] ?? "");
    }
  }

  /** @param {RegExp} sticky */
  #match(sticky) {
    sticky.lastIndex = this.#at;
    const match = sticky.exec(this.text);
    if (match) this.#at = sticky.lastIndex;
    return match;
  }

  /** @param {string} text */
  #say(text) {
    if (this.#plain) this.#plain.appendData(text);
    else this.#plain = this.#put(new Text(text));
  }

  /**
   * @template {Node} N
   * @param {N} node
   * @returns {N}
   */
  #put(node) {
    this.#plain = null;
    this.#out.append(node);
    return node;
  }

  #lineBreak() {
    this.#at++;
    const plain = this.#plain;
    const spaces = plain ? spacesAtEnd(plain.data) : 0;
    if (plain && spaces) plain.data = plain.data.slice(0, -spaces);
    if (spaces >= 2) this.#put(h("br"));
    this.#say("\n");
    while (this.text[this.#at] === " ") this.#at++;
  }

  #backslash() {
    const next = this.text[this.#at + 1] ?? "";
    if ((next === "(" && this.#formula("\\(", "\\)")) || (next === "[" && this.#formula("\\[", "\\]"))) return;
    this.#at++;
    if (next === "\n") {
      this.#at++;
      this.#put(h("br"));
      this.#say("\n");
    } else if (ESCAPABLE.test(next)) {
      this.#at++;
      this.#say(next);
    } else {
      this.#say("\\");
    }
  }

  #code() {
    const start = this.#at;
    const run = this.#match(RUN)?.[0] ?? "`";
    if (!this.#unclosed.has(run.length)) {
      const body = this.#at;
      for (let at = this.text.indexOf("`", body); at >= 0; at = this.text.indexOf("`", RUN.lastIndex)) {
        RUN.lastIndex = at;
        if (RUN.exec(this.text)?.[0].length !== run.length) continue;
        const text = this.text.slice(body, at).replace(/\n/g, " ");
        const padded = text.startsWith(" ") && text.endsWith(" ") && text.trim() !== "";
        this.#put(h("code", {}, padded ? text.slice(1, -1) : text));
        this.#at = at + run.length;
        return;
      }
      this.#unclosed.add(run.length);
    }
    this.#mayStillMean(start);
    this.#say(run);
  }

  #dollar() {
    const start = this.#at;
    const double = this.text[start + 1] === "$";
    const inWord = /[\p{L}\p{N}$]/u.test(charBefore(this.text, start) || this.before);
    if (!inWord && this.#formula(double ? "$$" : "$", double ? "$$" : "")) return;
    while (this.text[this.#at] === "$") this.#at++;
    this.#say(this.text.slice(start, this.#at));
  }

  /**
   * A formula stays as it is written: nothing in it is an escape or emphasis.
   * @param {string} open
   * @param {string} close  "" for a single dollar
   * @returns {boolean} whether there is one here
   */
  #formula(open, close) {
    if (this.#endless.has(open)) return false;
    const start = this.#at;
    const body = start + open.length;
    if (open === "$" && /\s/.test(this.text[body] ?? " ")) {
      if (body === this.text.length) this.#mayStillMean(start);
      return false;
    }
    // An escaped bracket with other escapes, such as "\(\)", is text.
    if (this.text[body] === "\\" && /[^\p{L}{|\s]/u.test(this.text[body + 1] ?? " ")) return false;
    FORMULA_END.lastIndex = body;
    const at = close ? this.text.indexOf(close, body + 1) : FORMULA_END.exec(this.text) ? FORMULA_END.lastIndex - 1 : -1;
    const end = at + (close || "$").length;
    if (at < 0 || (!close && end === this.text.length)) this.#mayStillMean(start);
    if (at < 0) {
      this.#endless.add(open);
      return false;
    }
    this.#put(h("code", { class: "math" }, this.text.slice(start, end)));
    this.#at = end;
    return true;
  }

  /** The mark of a footnote, which may follow much later, is text until `Footnotes` makes it a button. */
  #note() {
    const start = this.#at;
    const match = this.#match(NOTE);
    if (!match) return false;
    if (this.text[this.#at] === "(") {
      this.#at = start; // it is the text of a link
      return false;
    }
    if (this.#at === this.text.length) this.#mayStillMean(start);
    this.#say(match[0]);
    return true;
  }

  #delimiters() {
    const start = this.#at;
    const char = this.text[start] ?? "";
    while (this.text[this.#at] === char) this.#at++;
    const before = charBefore(this.text, start) || this.before;
    const after = String.fromCodePoint(this.text.codePointAt(this.#at) ?? 10);
    this.#emphasis.add(this.#put(new Text(this.text.slice(start, this.#at))), start, before, after);
  }

  /** @param {boolean} image */
  #openBracket(image) {
    const at = this.#at;
    this.#at += image ? 2 : 1;
    const node = this.#put(new Text(image ? "![" : "["));
    this.#brackets.push({ node, image, active: true, at, delimiter: this.#emphasis.last });
  }

  #closeBracket() {
    this.#at++;
    const opener = this.#brackets.pop();
    const link = opener?.active && this.text[this.#at] === "(" ? this.#destination() : null;
    if (!opener || !link) {
      // "[text]" at the very end may still be followed by "(address)"; so may one whose address is cut.
      if (opener?.active && (this.#at === this.text.length || this.text[this.#at] === "(")) this.#mayStillMean(opener.at);
      this.#say("]");
      return;
    }
    const element = anchor(link.to, link.title);
    this.#emphasis.pair(opener.delimiter);
    while (opener.node.nextSibling) element.append(opener.node.nextSibling);
    // Links cannot be nested: an autolink inside a link becomes text again.
    for (const inner of element.querySelectorAll("a.bare")) inner.replaceWith(...inner.childNodes);
    opener.node.replaceWith(element);
    this.#plain = null;
    if (opener.image) element.classList.add("image");
    else for (const earlier of this.#brackets) if (!earlier.image) earlier.active = false;
  }

  /** @returns {{ to: string, title: string } | null} the address after `](`, or null and nothing read */
  #destination() {
    const start = this.#at++;
    this.#match(SPACES);
    const to = this.text[this.#at] === "<" ? this.#pointed() : this.#bare();
    if (to !== null) {
      const title = this.#match(TITLE);
      this.#match(SPACES);
      if (this.text[this.#at] === ")") {
        this.#at++;
        return { to: unescape(to), title: unescape(title?.[1] ?? title?.[2] ?? title?.[3] ?? "") };
      }
    }
    this.#at = start;
    return null;
  }

  /** @returns {string | null} */
  #pointed() {
    const match = this.#match(/<((?:\\[^\n]|[^\\\n<>])*)>/y);
    return match ? (match[1] ?? "") : null;
  }

  /** @returns {string | null} */
  #bare() {
    const start = this.#at;
    let depth = 0;
    for (; this.#at < this.text.length; this.#at++) {
      const char = this.text[this.#at] ?? "";
      if (char === "\\" && ESCAPABLE.test(this.text[this.#at + 1] ?? "")) this.#at++;
      else if (char === "(" && ++depth > 32) return null;
      else if (char === ")" && --depth < 0) break;
      else if (char <= " " || char === "\x7f") break;
    }
    return depth <= 0 ? this.text.slice(start, this.#at) : null;
  }

  #autolink() {
    const start = this.#at;
    const address = this.#match(AUTOLINK);
    const email = address ? null : this.#match(EMAIL);
    const text = address?.[1] ?? email?.[1];
    if (text !== undefined) {
      this.#put(anchor(email ? `mailto:${text}` : text, "", text));
      return;
    }
    if (start > this.#lastSpace) this.#mayStillMean(start);
    this.#at++;
    this.#say("<");
  }

  #entity() {
    const match = this.#match(ENTITY);
    if (match) {
      this.#say(entity(match));
      return;
    }
    if (this.#at > this.text.length - 40) this.#mayStillMean(this.#at);
    this.#at++;
    this.#say("&");
  }

  #bareUrl() {
    const start = this.#at;
    const inWord = /[\p{L}\p{N}_]/u.test(charBefore(this.text, start) || this.before);
    const match = inWord ? null : this.#match(BARE_URL);
    if (!match) {
      this.#at++;
      this.#say("h");
      return;
    }
    if (this.#at === this.text.length) this.#mayStillMean(start);
    const url = withoutTail(match[0]);
    this.#at = start + url.length;
    if (/^https?:\/\/[\p{L}\p{N}[]/iu.test(url)) this.#put(anchor(url, "", url)).classList.add("bare");
    else this.#say(url);
  }
}

/**
 * @param {string} text
 * @param {number} at
 */
function charBefore(text, at) {
  if (at === 0) return "";
  const low = text.charCodeAt(at - 1);
  const pair = low >= 0xdc00 && low <= 0xdfff && at > 1;
  return pair ? text.slice(at - 2, at) : (text[at - 1] ?? "");
}

/** @param {string} text */
function spacesAtEnd(text) {
  let at = text.length;
  while (text[at - 1] === " ") at--;
  return text.length - at;
}
