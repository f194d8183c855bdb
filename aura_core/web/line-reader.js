// @ts-check
// Read the start of a Markdown line: its indentation in columns, with tabs, and the markers of quotations and list
// items.

const MARKER = /^(?:[*+-]|(\d{1,9})[.)])(?=[ \t]|$)/;
const NOTE = /^\[\^([^\s[\]]{1,100})\]:/;

/**
 * The position of the next character that is not a space, and its distance in columns.
 * @typedef {{ at: number, indent: number, blank: boolean }} Here
 */

/**
 * A container that a line opens; `indent` is the columns that the content of an item is indented by. The marker of a
 * footnote is its name after a "^".
 * @typedef {object} Opening
 * @property {"quote" | "item" | "note"} kind
 * @property {string} marker
 * @property {number} start
 * @property {number} indent
 */

export class LineReader {
  /** The line, as far as it has arrived. */
  text = "";
  // The read position, and whether it is inside a tab.
  #offset = 0;
  #column = 0;
  #inTab = false;

  /** Read it again from the start. */
  rewind() {
    this.#offset = this.#column = 0;
    this.#inTab = false;
  }

  /** @returns {Here} */
  look() {
    let at = this.#offset;
    let column = this.#column;
    for (; isSpace(this.text[at]); at++) column += this.text[at] === "\t" ? 4 - (column % 4) : 1;
    return { at, indent: column - this.#column, blank: at >= this.text.length };
  }

  /**
   * Skip spaces up to this many columns, possibly a part of a tab.
   * @param {number} columns
   */
  strip(columns) {
    for (; columns > 0 && isSpace(this.text[this.#offset]); columns--) {
      this.#inTab = this.text[this.#offset] === "\t" && this.#column % 4 < 3;
      this.#column++;
      if (!this.#inTab) this.#offset++;
    }
  }

  /** @param {Here} here */
  to(here) {
    this.#pass(here.at - this.#offset);
  }

  /** The rest of the line, with the rest of a tab as spaces. */
  rest() {
    if (!this.#inTab) return this.text.slice(this.#offset);
    return " ".repeat(4 - (this.#column % 4)) + this.text.slice(this.#offset + 1);
  }

  /**
   * Skip the marker of a quotation, and the space that belongs to it.
   * @param {Here} here
   */
  quote(here) {
    this.to(here);
    this.#pass(1);
    this.strip(1);
  }

  /**
   * Skip the marker of a list item and the spaces that belong to it, if there is one.
   * @param {Here} here
   * @param {boolean} inText  whether it would interrupt a paragraph
   * @returns {Opening | null}
   */
  item(here, inText) {
    const rest = this.text.slice(here.at);
    const match = MARKER.exec(rest);
    if (!match) return null;
    const blank = rest.slice(match[0].length).trim() === "";
    const start = match[1] ? Number(match[1]) : 0;
    if (inText && (blank || (match[1] && start !== 1))) return null;
    this.to(here);
    this.#pass(match[0].length);
    const [offset, column, inTab] = [this.#offset, this.#column, this.#inTab];
    this.strip(5);
    let spaces = this.#column - column;
    if (spaces >= 5 || spaces < 1 || blank) {
      [this.#offset, this.#column, this.#inTab] = [offset, column, inTab];
      this.strip(1);
      spaces = 1;
    }
    const marker = match[0].slice(-1);
    return { kind: "item", marker, start: match[1] ? start : -1, indent: here.indent + match[0].length + spaces };
  }

  /**
   * Skip the mark that begins the definition of a footnote, if there is one.
   * @param {Here} here
   * @returns {Opening | null}
   */
  note(here) {
    const match = NOTE.exec(this.text.slice(here.at));
    if (!match) return null;
    this.to(here);
    this.#pass(match[0].length);
    this.strip(4);
    return { kind: "note", marker: `^${match[1]}`, start: 0, indent: 4 };
  }

  /** @param {number} characters */
  #pass(characters) {
    this.#inTab = false;
    for (; characters > 0; characters--) {
      this.#column += this.text[this.#offset] === "\t" ? 4 - (this.#column % 4) : 1;
      this.#offset++;
    }
  }
}

/** @param {string | undefined} char */
function isSpace(char) {
  return char === " " || char === "\t";
}
