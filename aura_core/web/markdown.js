// @ts-check
// Render Markdown while it streams: lines open and close blocks, and finished blocks are never changed again.
//
// This is the block algorithm of CommonMark, with one difference: the end of a line may not have come yet. `decide` of
// line-plan.js says which block a line belongs to as soon as no continuation can change that; until then the line is held
// back, and the rest of the line then goes to its block as it comes. So the same text gives the same page, however it is cut.

import { CodeBlock, TableBlock, TextBlock } from "./blocks.js";
import { isHighSurrogate } from "./characters.js";
import { Directions } from "./directions.js";
import { h } from "./dom.js";
import { Footnotes } from "./footnotes.js";
import { ALERT, FENCE, HEADING, MATH, TASK } from "./line-kinds.js";
import { decide } from "./line-plan.js";
import { LineReader } from "./line-reader.js";
import { beginsPart, part } from "./parts.js";

/** @typedef {import("./blocks.js").Block} Block */
/** @typedef {import("./line-plan.js").Container} Container */
/** @typedef {import("./line-plan.js").Plan} Plan */
/** @typedef {import("./line-reader.js").Opening} Opening */

/** A line that is undecided at this length is text: fences and table rows are shorter. */
const LONGEST_HEAD = 4096;
/** Characters that are rendered as Markdown; the rest is shown as plain text. Real answers are shorter. */
const MOST = 1_000_000;

export class Markdown {
  /** @type {Container[]} */
  #stack;
  /** @type {Block | null} */
  #leaf = null;
  #fence = { char: "", length: 0, indent: 0, close: "" };
  #root;
  #frame;
  #afterBlank = false;
  #notes = new Footnotes();
  #directions = new Directions();
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
    let room = Math.max(MOST - this.#written, 0);
    if (isHighSurrogate(text, room - 1)) room--;
    this.#written += text.length;
    if (text.length > room) {
      const plain = text.slice(room);
      this.#read(text.slice(0, room));
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
    this.#notes.link(this.#root);
  }

  /** @param {string} part */
  #more(part) {
    if (part === "") return;
    if (this.#decided) {
      this.#directions.by(part);
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

  /** @param {"unfinished" | "too long" | "whole"} state  of the line that is read */
  #decide(state) {
    return decide(this.#line, { stack: this.#stack, leaf: this.#leaf, fence: this.#fence }, state);
  }

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
   * @param {Plan["what"]} what
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
    const table = new TableBlock(this.#top.element, head, delimiters);
    this.#leaf = table;
    this.#direct(table.element);
  }

  /** @param {string} text */
  #code(text) {
    this.#leaf?.write(text);
    this.#lineEnd = "\n";
  }

  /** @param {Opening} opening */
  #open({ kind, marker, start, indent }) {
    if (kind === "note") {
      const element = this.#place(this.#notes.define(marker.slice(1)));
      this.#stack.push({ kind, element, indent, marker: "" });
      return;
    }
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
      const first = this.#top.kind === "item" && !this.#top.element.hasChildNodes();
      const task = first ? TASK.exec(text) : null;
      const block = this.#text(0);
      if (task) {
        this.#top.element.classList.add("task");
        block.mark(checkbox(task[1] !== " "));
      }
      this.#directions.by(text);
      block.write(task ? text.slice(task[0].length) : text);
    } else if (what === "heading") {
      const match = HEADING.exec(text);
      this.#text(match?.[1]?.length ?? 1).write(text.slice(match?.[0].length));
      this.#directions.by(text);
    } else if (what === "rule") {
      this.#place(h("hr"));
    } else if (what === "code") {
      this.#leaf = new CodeBlock(this.#parent(), "indented", "", this.#frame);
      this.#code(text);
    } else if (what === "fence") {
      const match = FENCE.exec(text);
      const fence = match?.[1] ?? match?.[3] ?? "";
      this.#fence = { char: fence[0] ?? "", length: fence.length, indent: indent ?? 0, close: "" };
      this.#leaf = new CodeBlock(this.#parent(), "fence", match?.[2] ?? match?.[4] ?? "", this.#frame);
    } else if (what === "math") {
      const close = MATH.exec(text)?.[1] === "$$" ? "$$" : "\\]";
      this.#fence = { char: "", length: close.length, indent: indent ?? 0, close };
      this.#leaf = new CodeBlock(this.#parent(), "fence", "math", this.#frame);
    } else if (what === "alert") {
      markAlert(this.#top.element, text);
    }
  }

  /** @param {number} level  of a heading; 0 for a paragraph */
  #text(level) {
    const block = new TextBlock(this.#parent(), level);
    this.#leaf = block;
    this.#direct(block.element);
    return block;
  }

  /**
   * @template {HTMLElement} E
   * @param {E} element
   * @returns {E}
   */
  #place(element) {
    this.#parent(!element.matches(".footnote")).append(element);
    this.#direct(element);
    return element;
  }

  /** @param {HTMLElement} block */
  #direct(block) {
    if (block.parentElement === this.#stack[0]?.element) this.#directions.begin(block);
  }

  /**
   * The parent of a new block. A block after a blank line makes its list loose.
   * @param {boolean} mayBeginPart
   */
  #parent(mayBeginPart = true) {
    const top = this.#top;
    if (this.#afterBlank && top.kind === "item" && top.element.hasChildNodes()) {
      this.#stack[this.#stack.length - 2]?.element.classList.add("loose");
    }
    this.#afterBlank = false;
    if (top.kind === "root" && mayBeginPart && beginsPart(top.element)) top.element = this.#root.appendChild(part());
    return top.element;
  }
}

/** @param {boolean} done */
function checkbox(done) {
  return h("input", { type: "checkbox", disabled: true, checked: done, "aria-label": done ? "Done" : "To do" });
}

/**
 * @param {HTMLElement} quotation
 * @param {string} line  such as "[!NOTE]"
 */
function markAlert(quotation, line) {
  const kind = (ALERT.exec(line)?.[1] ?? "").toLowerCase();
  quotation.className = `alert alert-${kind}`;
  quotation.append(h("p", { class: "title" }, `${kind[0]?.toUpperCase()}${kind.slice(1)}`));
}
