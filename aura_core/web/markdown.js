// @ts-check
// Render Markdown while it streams: lines open and close blocks, and finished blocks are never changed again.
//
// This is the block algorithm of CommonMark, with one difference: the end of a line may not have come yet. `#decide`
// says which block a line belongs to as soon as no continuation can change that, and holds the line back until then;
// the rest of the line then goes to its block as it comes. So the same text gives the same page, however it is cut.

import { h } from "./dom.js";
import { cells, CodeBlock, TableBlock, TextBlock } from "./blocks.js";
import { LineReader } from "./line-reader.js";

/** @typedef {import("./blocks.js").Block} Block */
/** @typedef {import("./line-reader.js").Here} Here */
/** @typedef {import("./line-reader.js").Opening} Opening */

/**
 * @typedef {object} Container
 * @property {"root" | "quote" | "list" | "item"} kind
 * @property {HTMLElement} element
 * @property {number} indent  of an item: the columns that its content is indented by
 * @property {string} marker  of a list: what its items begin with
 */

/** A line that is undecided at this length is text: fences and table rows are shorter. */
const LONGEST_HEAD = 4096;

/** Nested containers; browsers overflow their stack at some thousand levels. */
const DEEPEST = 64;
/** Characters that are rendered as Markdown; the rest is shown as plain text. Real answers are shorter. */
const MOST = 1_000_000;

const RULE = /^(?:(?:\*[ \t]*){3,}|(?:_[ \t]*){3,}|(?:-[ \t]*){3,})$/;
const MAYBE_RULE = /^(?:[*][* \t]*|_[_ \t]*|-[- \t]*)$/;
const HEADING = /^(#{1,6})(?:[ \t]+|$)/;
const UNDERLINE = /^(?:=+|-+)[ \t]*$/;
const FENCE = /^(?:(`{3,})([^`]*)|(~{3,})(.*))$/;
const DELIMITER = /^:?-+:?$/;

/**
 * The type of a line, before any block is changed.
 * @typedef {object} Plan
 * @property {What} what
 * @property {string} text  the part of the line that belongs to the block, as far as it has arrived
 * @property {number} matched  how many of the open containers continue
 * @property {Opening[]} opens
 * @property {number} [indent]
 */

/** @typedef {"blank" | "text" | "lazy" | "heading" | "underline" | "rule" | "fence" | "end" | "code" | "table" | "row"} What */

export class Markdown {
  /** @type {Container[]} */
  #stack;
  /** @type {Block | null} */
  #leaf = null;
  #fence = { char: "", length: 0, indent: 0 };
  #root;
  #frame;
  #afterBlank = false;
  #written = 0;
  /** @type {CodeBlock | null} */
  #plain = null;

  // The line being read, and whether its type is decided.
  #line = new LineReader();
  #decided = false;
  #lineEnd = "";
  #afterCR = false;

  /**
   * @param {HTMLElement} root
   * @param {(code: HTMLElement, language: string) => HTMLElement} [frame]  wraps a code block in its frame
   */
  constructor(root, frame = (code) => h("pre", {}, code)) {
    this.#root = root;
    this.#stack = [{ kind: "root", element: root, indent: 0, marker: "" }];
    this.#frame = frame;
  }

  /**
   * Add text, split anywhere. The page shows it after `show`.
   * @param {string} text
   */
  write(text) {
    const room = MOST - this.#written;
    this.#written += text.length;
    if (text.length > room) {
      const plain = text.slice(Math.max(room, 0));
      this.#read(text.slice(0, Math.max(room, 0)));
      if (!this.#plain) {
        this.end();
        this.#plain = this.#leaf = new CodeBlock(this.#root, "fence", "", (code) => h("pre", { class: "plain" }, code));
      }
      this.#plain.write(plain);
    } else {
      this.#read(text);
    }
  }

  /** @param {string} text */
  #read(text) {
    if (text === "") return;
    const start = this.#afterCR && text.startsWith("\n") ? 1 : 0;
    this.#afterCR = text.endsWith("\r");
    const lines = text.slice(start).split(/\r\n|\n|\r/);
    lines.forEach((part, index) => {
      this.#more(part.replaceAll("\0", "\ufffd"));
      if (index < lines.length - 1) this.#endLine();
    });
  }

  /** Update the page; once a frame is enough. */
  show() {
    this.#leaf?.show();
  }

  /** The text is complete. */
  end() {
    if (this.#line.text) this.#endLine();
    this.#line.text = "";
    this.#close();
  }

  /** @param {string} part */
  #more(part) {
    if (part === "") return;
    if (this.#decided) {
      this.#leaf?.write(part);
      return;
    }
    const room = LONGEST_HEAD - this.#line.text.length;
    this.#line.text += part.slice(0, room);
    const plan = this.#decide("unfinished") ?? (part.length >= room ? this.#decide("too long") : null);
    if (!plan) return;
    this.#apply(plan);
    this.#decided = true;
    this.#leaf?.write(part.slice(room));
  }

  #endLine() {
    if (!this.#decided) this.#apply(/** @type {Plan} */ (this.#decide("whole")));
    if (this.#leaf?.kind === "heading") this.#close();
    if (this.#lineEnd) this.#leaf?.write(this.#lineEnd);
    this.#line.text = this.#lineEnd = "";
    this.#decided = false;
  }

  #close() {
    this.#leaf?.end();
    this.#leaf = null;
  }

  // --- Classify the line. Nothing below changes a block.

  /**
   * @param {"unfinished" | "too long" | "whole"} state
   * @returns {Plan | null} null: it depends on the rest of the line
   */
  #decide(state) {
    const wait = state === "unfinished";
    const whole = state === "whole";
    this.#line.rewind();
    const matched = this.#match(wait);
    if (matched === null) return null;
    const all = matched === this.#stack.length;
    const leaf = this.#leaf;
    let here = this.#line.look();
    if (wait && here.blank) return null;
    if (all && leaf?.kind === "fence") return this.#inFence(here, wait, whole, matched);
    if (all && leaf?.kind === "indented" && (here.indent >= 4 || here.blank)) {
      this.#line.strip(4);
      return { what: here.blank ? "blank" : "code", text: this.#line.rest(), matched, opens: [] };
    }
    /** @type {Opening[]} */
    const opens = [];
    for (;; here = this.#line.look()) {
      if (here.blank) return wait ? null : { what: whole ? "blank" : "text", text: "", matched, opens };
      const inText = leaf?.kind === "text" && opens.length === 0;
      if (here.indent >= 4) {
        if (inText) break;
        this.#line.strip(4);
        return { what: "code", text: this.#line.rest(), matched, opens };
      }
      const rest = this.#line.text.slice(here.at);
      if (matched + opens.length > DEEPEST) break;
      if (rest[0] === ">") {
        this.#line.quote(here);
        opens.push({ kind: "quote", marker: "", start: 0, indent: 0 });
        continue;
      }
      if (wait && undecided(rest, inText && all)) return null;
      const what = this.#kind(rest, inText && all, whole);
      if (what) return { what, text: rest, matched, opens, indent: here.indent };
      const item = this.#line.item(here, inText && all);
      if (!item) break;
      opens.push(item);
    }
    const text = this.#line.text.slice(here.at);
    if (all && leaf?.kind === "table" && opens.length === 0) return wait ? null : { what: "row", text, matched, opens };
    const lazy = !all && leaf?.kind === "text" && opens.length === 0;
    return { what: lazy ? "lazy" : "text", text, matched, opens };
  }

  /**
   * How many of the open containers this line continues; null while its indentation is incomplete.
   * @param {boolean} wait
   */
  #match(wait) {
    let matched = 1;
    for (; matched < this.#stack.length; matched++) {
      const container = /** @type {Container} */ (this.#stack[matched]);
      if (container.kind === "list") continue;
      const here = this.#line.look();
      if (wait && here.blank) return null;
      if (container.kind === "quote") {
        if (here.indent > 3 || this.#line.text[here.at] !== ">") break;
        this.#line.quote(here);
      } else if (here.blank) {
        if (!container.element.hasChildNodes()) break;
        this.#line.to(here);
      } else {
        if (here.indent < container.indent) break;
        this.#line.strip(container.indent);
      }
    }
    return matched;
  }

  /**
   * @param {Here} here
   * @param {boolean} wait
   * @param {boolean} whole
   * @param {number} matched
   * @returns {Plan | null}
   */
  #inFence(here, wait, whole, matched) {
    const rest = this.#line.text.slice(here.at).trimEnd();
    const { char, length, indent } = this.#fence;
    if (here.indent <= 3 && rest !== "" && rest === char.repeat(rest.length)) {
      if (wait) return null;
      if (whole && rest.length >= length) return { what: "end", text: "", matched, opens: [] };
    }
    this.#line.strip(indent);
    return { what: "code", text: this.#line.rest(), matched, opens: [] };
  }

  /**
   * The type of a line that is neither a quotation, nor a list item, nor plain text.
   * @param {string} rest
   * @param {boolean} inText
   * @param {boolean} whole
   * @returns {What | null}
   */
  #kind(rest, inText, whole) {
    if (HEADING.test(rest)) return "heading";
    if (!whole) return null;
    if (FENCE.test(rest)) return "fence";
    if (inText && UNDERLINE.test(rest)) return "underline";
    if (inText && rest.includes("|") && this.#leaf instanceof TextBlock) {
      const delimiters = cells(rest);
      const all = delimiters.every((cell) => DELIMITER.test(cell));
      if (all && cells(this.#leaf.lastLine).length === delimiters.length) return "table";
    }
    return RULE.test(rest) ? "rule" : null;
  }

  // --- Apply the decision.

  /** @param {Plan} plan */
  #apply(plan) {
    const { what, text, opens } = plan;
    if (what === "lazy") {
      this.#afterBlank = false;
      this.#leaf?.write(`\n${text}`);
      return;
    }
    const goesOn = this.#keep(plan) && opens.length === 0 && this.#goesOn(what, text);
    if (!goesOn) {
      this.#close();
      for (const opening of opens) this.#open(opening);
      this.#begin(plan);
    }
    this.#afterBlank = what === "blank" && opens.length === 0 && this.#top.kind !== "quote";
  }

  get #top() {
    return /** @type {Container} */ (this.#stack[this.#stack.length - 1]);
  }

  /**
   * Close the containers that the line does not continue. Returns whether there are none.
   * @param {Plan} plan
   */
  #keep({ what, matched, opens }) {
    const last = this.#stack[matched - 1];
    // The list continues with a new item of its kind, or ends.
    if (last?.kind === "list" && what !== "blank" && opens[0]?.marker !== last.marker) matched--;
    else if (last?.kind === "list" && what === "blank" && opens.length && opens[0]?.marker !== last.marker) matched--;
    if (matched === this.#stack.length) return true;
    this.#close();
    this.#stack.length = matched;
    return false;
  }

  /**
   * Add the line to the open block, if it belongs there.
   * @param {What} what
   * @param {string} text
   */
  #goesOn(what, text) {
    const leaf = this.#leaf;
    if (leaf instanceof TextBlock) {
      if (what === "text") leaf.write(`\n${text}`);
      else if (what === "underline") leaf.becomeHeading(text[0] === "=" ? 1 : 2);
      else if (what === "table") this.#table(leaf, text);
      else return false;
      if (what === "underline") this.#leaf = null;
      return true;
    }
    if (leaf instanceof CodeBlock) {
      if (what === "blank") leaf.writeBlank(`${text}\n`);
      else if (what === "code") this.#code(text);
      else return false;
      return true;
    }
    if (what === "row") leaf?.write(text);
    return what === "row";
  }

  /**
   * @param {TextBlock} leaf
   * @param {string} delimiters
   */
  #table(leaf, delimiters) {
    const head = leaf.lastLine;
    leaf.dropLastLine();
    this.#leaf = new TableBlock(this.#top.element, head, delimiters);
  }

  /** @param {string} text */
  #code(text) {
    this.#leaf?.write(text);
    this.#lineEnd = "\n";
  }

  /** @param {Opening} opening */
  #open({ kind, marker, start, indent }) {
    if (kind === "quote") {
      this.#stack.push({ kind, element: this.#place(h("blockquote")), indent: 0, marker: "" });
      return;
    }
    if (this.#top.kind !== "list") {
      const list = start < 0 ? h("ul") : h("ol", start === 1 ? {} : { start: String(start) });
      this.#stack.push({ kind: "list", element: this.#place(list), indent: 0, marker });
    } else if (this.#afterBlank) {
      this.#top.element.classList.add("loose");
    }
    this.#afterBlank = false;
    this.#stack.push({ kind, element: this.#top.element.appendChild(h("li")), indent, marker: "" });
  }

  /** @param {Plan} plan */
  #begin({ what, text, indent }) {
    if (what === "text") {
      this.#leaf = new TextBlock(this.#parent());
      this.#leaf.write(text);
    } else if (what === "heading") {
      const match = HEADING.exec(text);
      this.#leaf = new TextBlock(this.#parent(), match?.[1]?.length);
      this.#leaf.write(text.slice(match?.[0].length));
    } else if (what === "rule") {
      this.#place(h("hr"));
    } else if (what === "code") {
      this.#leaf = new CodeBlock(this.#parent(), "indented", "", this.#frame);
      this.#code(text);
    } else if (what === "fence") {
      const match = FENCE.exec(text);
      const fence = match?.[1] ?? match?.[3] ?? "";
      this.#fence = { char: fence[0] ?? "", length: fence.length, indent: indent ?? 0 };
      this.#leaf = new CodeBlock(this.#parent(), "fence", match?.[2] ?? match?.[4] ?? "", this.#frame);
    }
  }

  /**
   * @template {HTMLElement} E
   * @param {E} element
   * @returns {E}
   */
  #place(element) {
    return this.#parent().appendChild(element);
  }

  /** The parent of a new block. A block after a blank line makes its list loose. */
  #parent() {
    const top = this.#top;
    if (this.#afterBlank && top.kind === "item" && top.element.hasChildNodes()) {
      this.#stack[this.#stack.length - 2]?.element.classList.add("loose");
    }
    this.#afterBlank = false;
    return top.element;
  }
}

/**
 * Whether the rest of the line could still change its type.
 * @param {string} rest
 * @param {boolean} inText
 */
function undecided(rest, inText) {
  return (
    /^#{1,6}[ \t]*$/.test(rest) ||
    /^(?:`+|`{3,}[^`]*|~{1,2}|~{3}.*)$/.test(rest) ||
    (inText && (UNDERLINE.test(rest) || /^[|:\- \t]+$/.test(rest))) ||
    MAYBE_RULE.test(rest) ||
    /^(?:[*+-]|\d{1,9}[.)]?)[ \t]*$/.test(rest)
  );
}
