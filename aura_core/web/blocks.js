// @ts-check
// The Markdown blocks that contain text: each receives its text in pieces and only appends to the page.

import { isHighSurrogate } from "./characters.js";
import { h } from "./dom.js";
import { unescape } from "./escapes.js";
import { highlight } from "./highlight.js";
import { cut, inline } from "./inline.js";

/** At most this much of an unfinished paragraph is laid out again: older text is never changed. */
const WINDOW = 2048;
/** A paragraph or a run of code longer than this continues in a new element, so that layout stays cheap. */
const ELEMENT = 16 * 1024;

/**
 * The interface of a block. `show` updates the page; it is called once a frame.
 * @typedef {object} Block
 * @property {"text" | "heading" | "fence" | "indented" | "table"} kind
 * @property {(text: string) => void} write
 * @property {() => void} show
 * @property {() => void} end
 */

/**
 * A paragraph, or with `level` a heading.
 * @implements {Block}
 */
export class TextBlock {
  #parent;
  #level;
  #raw = "";
  #before = "\n";
  #size = 0;
  /** @type {Node | null} */
  #frozen = null;

  /**
   * @param {HTMLElement} parent
   * @param {number} [level]
   */
  constructor(parent, level = 0) {
    this.#parent = parent;
    this.#level = level;
    this.kind = /** @type {"text" | "heading"} */ (level ? "heading" : "text");
    this.element = parent.appendChild(element(level));
  }

  /** @param {string} text */
  write(text) {
    this.#raw += text;
    while (this.#raw.length > WINDOW) this.#freeze();
  }

  /** Put something in front of the text. @param {HTMLElement} mark */
  mark(mark) {
    this.element.append(mark, " ");
    this.#frozen = this.element.lastChild;
  }

  #freeze() {
    const head = this.#raw.slice(0, WINDOW);
    const at = cut(head, this.#before);
    this.#paint(inline(head.slice(0, at), this.#before));
    this.#frozen = this.element.lastChild;
    this.#before = head[at - 1] ?? "\n";
    this.#raw = this.#raw.slice(at);
    this.#size += at;
    if (this.#size < ELEMENT) return;
    const { dir } = this.element;
    this.element = element(this.#level);
    this.element.dir = dir;
    this.element.className = "goes-on";
    this.#parent.append(this.element);
    this.#frozen = null;
    this.#size = 0;
  }

  show() {
    let text = this.#raw.trimEnd();
    if (this.#level) text = text.replace(/(^|[ \t])#+$/, "").trimEnd();
    this.#paint(inline(text, this.#before));
  }

  /**
   * Replace the nodes after the frozen part, except for unchanged ones, so that a reader's selection survives.
   * @param {DocumentFragment} fragment
   */
  #paint(fragment) {
    let old = this.#frozen ? this.#frozen.nextSibling : this.element.firstChild;
    while (old && fragment.firstChild) {
      const fresh = fragment.firstChild;
      if (old instanceof Text && fresh instanceof Text && fresh.data.startsWith(old.data)) {
        if (fresh.length > old.length) old.appendData(fresh.data.slice(old.length));
      } else if (!old.isEqualNode(fresh)) {
        break;
      }
      fresh.remove();
      old = old.nextSibling;
    }
    while (old) {
      const next = old.nextSibling;
      old.parentNode?.removeChild(old);
      old = next;
    }
    this.element.append(fragment);
  }

  end() {
    this.show();
  }

  /** The last line so far, which may be the head of a table. */
  get lastLine() {
    return this.#raw.trimEnd().split("\n").at(-1) ?? "";
  }

  /** Remove the last line again; if it was the only one, the paragraph is removed. */
  dropLastLine() {
    const lines = this.#raw.trimEnd().split("\n");
    this.#raw = lines.slice(0, -1).join("\n");
    if (this.#raw === "" && this.#frozen === null) this.element.remove();
    else this.show();
  }

  /**
   * An underline follows: the paragraph was a heading.
   * @param {number} level
   */
  becomeHeading(level) {
    this.show();
    const heading = element(level);
    heading.dir = this.element.dir;
    heading.append(...this.element.childNodes);
    this.element.replaceWith(heading);
  }
}

/**
 * @param {number} level
 * @returns {HTMLElement}
 */
function element(level) {
  return level ? h(/** @type {"h1"} */ (`h${level}`)) : h("p");
}

/**
 * Code, fenced or indented.
 * @implements {Block}
 */
export class CodeBlock {
  #code;
  #language;
  /** @type {Text} */
  #text;
  #pending = "";
  #blank = "";

  /**
   * @param {HTMLElement} parent
   * @param {"fence" | "indented"} kind
   * @param {string} info  the text after the opening fence
   * @param {(code: HTMLElement, language: string) => HTMLElement} frame
   */
  constructor(parent, kind, info, frame) {
    this.kind = kind;
    const language = unescape(info).trim().split(/\s+/)[0] ?? "";
    this.#language = language;
    this.#code = h("code", language ? { "data-language": language } : {});
    this.#text = this.#more();
    parent.append(frame(this.#code, language));
  }

  #more() {
    const text = new Text("");
    this.#code.append(h("span", { class: "lines" }, text));
    return text;
  }

  /** @param {string} text */
  write(text) {
    this.#pending += this.#blank + text;
    this.#blank = "";
  }

  /**
   * A blank line of indented code, which counts only when more code follows.
   * @param {string} text
   */
  writeBlank(text) {
    this.#blank += text;
  }

  show() {
    while (this.#pending) {
      const room = ELEMENT - this.#text.length;
      // A new element starts at a line, unless the line itself is too long.
      let at = this.#pending.length;
      if (at > room) {
        const line = this.#pending.lastIndexOf("\n", Math.max(room, 0)) + 1;
        const tail = this.#text.data.endsWith("\n") || this.#text.length === 0;
        at = line || (tail || room > 0 ? Math.max(room, 0) : 0);
        if (isHighSurrogate(this.#pending, at - 1)) at--; // the other half would be in another element
      }
      this.#text.appendData(this.#pending.slice(0, at));
      this.#pending = this.#pending.slice(at);
      if (this.#pending) this.#text = this.#more();
    }
  }

  end() {
    this.show();
    highlight(this.#code, this.#language);
  }
}

/**
 * A table of the GFM kind.
 * @implements {Block}
 */
export class TableBlock {
  /** @type {"table"} */
  kind = "table";
  #aligns;
  /**
   * Cells that may be added to short rows: at most as many as were written, or a wide table would be far larger than its
   * text.
   */
  #spare = 0;
  /** @type {HTMLElement | null} */
  #body = null;
  #table;

  /**
   * @param {HTMLElement} parent
   * @param {string} head
   * @param {string} delimiters
   */
  constructor(parent, head, delimiters) {
    this.#aligns = cells(delimiters).map((cell) => `${cell.startsWith(":") ? "l" : ""}${cell.endsWith(":") ? "r" : ""}`);
    this.#table = h("table", {}, h("thead", {}, this.#row("th", head)));
    // A wide table scrolls by itself, also by keyboard.
    this.element = h("div", { class: "table", tabindex: "0", role: "group", "aria-label": "Table" }, this.#table);
    parent.append(this.element);
  }

  /** @param {string} line  a whole row */
  write(line) {
    this.#body ??= this.#table.appendChild(h("tbody"));
    this.#body.append(this.#row("td", line));
  }

  /**
   * @param {"th" | "td"} tag
   * @param {string} line
   */
  #row(tag, line) {
    const found = cells(line);
    const row = h("tr");
    this.#spare += found.length;
    for (const [index, align] of this.#aligns.entries()) {
      if (index >= found.length && this.#spare-- <= 0) break;
      const cell = row.appendChild(h(tag, { ...(tag === "th" ? { scope: "col" } : {}), class: ALIGN[align] ?? "" }));
      cell.append(inline(found[index] ?? ""));
    }
    return row;
  }

  show() {}

  end() {}
}

/** @type {Record<string, string>} */
const ALIGN = { l: "left", r: "right", lr: "center" };

/**
 * The cells of a row; `\|` is not a separator.
 * @param {string} line
 */
export function cells(line) {
  const inner = line.trim().replace(/^\|/, "").replace(/(^|[^\\])\|$/, "$1");
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}
