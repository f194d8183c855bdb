// @ts-check
// Decide which block a line of Markdown belongs to, as soon as no continuation can change that. Nothing here changes a block.

import { kind, undecided } from "./line-kinds.js";

/** @typedef {import("./blocks.js").TextBlock} TextBlock */
/** @typedef {import("./line-reader.js").Here} Here */
/** @typedef {import("./line-reader.js").LineReader} LineReader */
/** @typedef {import("./line-reader.js").Opening} Opening */

/**
 * @typedef {object} Container
 * @property {"root" | "quote" | "list" | "item" | "note"} kind
 * @property {HTMLElement} element
 * @property {number} indent  of an item: the columns that its content is indented by
 * @property {string} marker  of a list: what its items begin with
 */

/**
 * What is open before the line: the containers from the outermost one to the innermost, the block in the latter, and, if that
 * block is a fence, how the fence began and ends.
 * @typedef {object} Open
 * @property {Container[]} stack
 * @property {import("./blocks.js").Block | null} leaf
 * @property {{ char: string, length: number, indent: number, close: string }} fence
 */

/**
 * The type of a line.
 * @typedef {object} Plan
 * @property {What} what
 * @property {string} text  the part of the line that belongs to the block, as far as it has arrived
 * @property {number} matched  how many of the open containers continue
 * @property {Opening[]} opens
 * @property {number} [indent]
 */

/** @typedef {import("./line-kinds.js").Kind | "blank" | "text" | "lazy" | "end" | "code" | "row"} What */

/** Nested containers; browsers overflow their stack at some thousand levels. */
const DEEPEST = 64;

/**
 * @param {LineReader} line
 * @param {Open} open
 * @param {"unfinished" | "too long" | "whole"} state
 * @returns {Plan | null} null: it depends on the rest of the line
 */
export function decide(line, open, state) {
  const wait = state === "unfinished";
  const whole = state === "whole";
  const { stack, leaf } = open;
  line.rewind();
  const matched = match(line, stack, wait);
  if (matched === null) return null;
  const all = matched === stack.length;
  let here = line.look();
  if (wait && here.blank) return null;
  if (all && leaf?.kind === "fence") return inFence(line, open.fence, state, here, matched);
  if (all && leaf?.kind === "indented" && (here.indent >= 4 || here.blank)) {
    line.strip(4);
    return { what: here.blank ? "blank" : "code", text: line.rest(), matched, opens: [] };
  }
  /** @type {Opening[]} */
  const opens = [];
  for (;; here = line.look()) {
    if (here.blank) return wait ? null : { what: whole ? "blank" : "text", text: "", matched, opens };
    const inText = leaf?.kind === "text" && opens.length === 0;
    if (here.indent >= 4) {
      if (inText) break;
      line.strip(4);
      return { what: "code", text: line.rest(), matched, opens };
    }
    const rest = line.text.slice(here.at);
    if (matched + opens.length > DEEPEST) break;
    if (rest[0] === ">") {
      line.quote(here);
      opens.push({ kind: "quote", marker: "", start: 0, indent: 0 });
      continue;
    }
    const paragraph = inText && all ? /** @type {TextBlock} */ (leaf) : null;
    if (wait && undecided(rest, paragraph !== null)) return null;
    const what = kind(rest, { whole, paragraph, inQuote: opensQuote(open, all, opens) });
    if (what) return { what, text: rest, matched, opens, indent: here.indent };
    const item = line.note(here) ?? line.item(here, paragraph !== null);
    if (!item) break;
    opens.push(item);
  }
  const text = line.text.slice(here.at);
  if (all && leaf?.kind === "table" && opens.length === 0) return wait ? null : { what: "row", text, matched, opens };
  const lazy = !all && leaf?.kind === "text" && opens.length === 0;
  return { what: lazy ? "lazy" : "text", text, matched, opens };
}

/**
 * Whether the line is the first one of a quotation.
 * @param {Open} open
 * @param {boolean} all  it continues all open containers
 * @param {Opening[]} opens
 */
function opensQuote({ stack, leaf }, all, opens) {
  if (opens.length) return opens[opens.length - 1]?.kind === "quote";
  const top = stack[stack.length - 1];
  return all && leaf === null && top?.kind === "quote" && !top.element.hasChildNodes();
}

/**
 * How many of the open containers this line continues; null while its indentation is incomplete.
 * @param {LineReader} line
 * @param {Container[]} stack
 * @param {boolean} wait
 */
function match(line, stack, wait) {
  let matched = 1;
  for (; matched < stack.length; matched++) {
    const container = /** @type {Container} */ (stack[matched]);
    if (container.kind === "list") continue;
    const here = line.look();
    if (wait && here.blank) return null;
    if (container.kind === "quote") {
      if (here.indent > 3 || line.text[here.at] !== ">") break;
      line.quote(here);
    } else if (here.blank) {
      if (!container.element.hasChildNodes()) break;
      line.to(here);
    } else {
      if (here.indent < container.indent) break;
      line.strip(container.indent);
    }
  }
  return matched;
}

/**
 * A line in a fence: code, or the end of it.
 * @param {LineReader} line
 * @param {Open["fence"]} fence
 * @param {"unfinished" | "too long" | "whole"} state
 * @param {Here} here
 * @param {number} matched
 * @returns {Plan | null}
 */
function inFence(line, { char, length, indent, close }, state, here, matched) {
  const rest = line.text.slice(here.at).trimEnd();
  const maybe = close ? close.startsWith(rest) : rest === char.repeat(rest.length);
  if (here.indent <= 3 && rest !== "" && maybe) {
    if (state === "unfinished") return null;
    if (state === "whole" && rest.length >= length) return { what: "end", text: "", matched, opens: [] };
  }
  line.strip(indent);
  return { what: "code", text: line.rest(), matched, opens: [] };
}
