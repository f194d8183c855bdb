// @ts-check
// Colour the code blocks that are in view, with the browser's CSS Custom Highlight API: no element for each word.
//
// Only closed blocks are coloured, and only near the window: a range costs something in each frame that changes the page.

import { tokenize } from "./tokenizer.js";

/** @typedef {import("./tokenizer.js").Token} Token */

/** Milliseconds between two looks at what is in view. */
const PAUSE = 100;
/** Characters of a block; a longer one stays uncoloured. */
const MOST = 200_000;
const KINDS = ["comment", "keyword", "string", "number", "type", "function", "variable", "added", "removed"];

/** Whether the browser can do this: Chromium 105, Safari 17.2, Firefox 140. */
const able = typeof Highlight === "function" && "highlights" in CSS;

/** @type {Map<string, Highlight>} */
const highlights = new Map();
/** @type {WeakMap<Element, Token[]>} the tokens of each part of a block, with offsets in this part */
const known = new WeakMap();
/** @type {Map<Element, [Highlight, AbstractRange][]>} the ranges of the parts that are in view */
const coloured = new Map();
/** @type {WeakSet<Element>} code that does not change any more */
const closed = new WeakSet();
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

if (able) {
  addEventListener("scroll", recolour, { capture: true, passive: true }); // of whatever contains the code
  addEventListener("resize", recolour);
}

/**
 * Colour this code whenever it is in view. Its text must not change any more.
 * @param {HTMLElement} code  its children are the parts of the text
 * @param {string} language
 */
export function highlight(code, language) {
  if (!able || !language) return;
  closed.add(code);
  recolour();
}

/** What is in view may have changed. An observer of each block would cost something in each frame; this costs nothing then. */
export function recolour() {
  timer ??= setTimeout(look, PAUSE);
}

function look() {
  timer = undefined;
  // The answers first: to measure something in an answer that is out of view would lay it out.
  const answers = nearby([...document.querySelectorAll(".answer")]);
  const parts = answers.flatMap((answer) => nearby([...answer.querySelectorAll("pre .lines")]));
  const near = new Set(parts.filter(({ parentElement }) => parentElement && closed.has(parentElement)));
  for (const part of coloured.keys()) if (!near.has(part)) uncolour(part);
  for (const part of near) if (!coloured.has(part)) colour(part);
}

/**
 * Those within a window's height of the window.
 * @param {Element[]} elements  from top to bottom
 */
function nearby(elements) {
  let first = 0;
  for (let end = elements.length; first < end; ) {
    const middle = (first + end) >> 1;
    if ((elements[middle]?.getBoundingClientRect().bottom ?? 0) < -innerHeight) first = middle + 1;
    else end = middle;
  }
  let last = first;
  while (last < elements.length && (elements[last]?.getBoundingClientRect().top ?? 0) <= 2 * innerHeight) last++;
  return elements.slice(first, last);
}

/** @param {Element} part */
function colour(part) {
  const code = /** @type {HTMLElement} */ (part.parentElement);
  if (!known.has(part)) divide(code);
  const text = part.firstChild;
  if (!(text instanceof Text)) return;
  /** @type {[Highlight, AbstractRange][]} */
  const ranges = [];
  for (const { kind, start, end } of known.get(part) ?? []) {
    const range = new StaticRange({ startContainer: text, startOffset: start, endContainer: text, endOffset: end });
    const of = ofKind(kind);
    of.add(range);
    ranges.push([of, range]);
  }
  coloured.set(part, ranges);
}

/** @param {Element} part */
function uncolour(part) {
  for (const [of, range] of coloured.get(part) ?? []) of.delete(range);
  coloured.delete(part);
}

/** Give each part of a block its tokens. @param {HTMLElement} code */
function divide(code) {
  const text = code.textContent ?? "";
  const tokens = (text.length > MOST ? undefined : tokenize(text, code.dataset["language"] ?? "")) ?? [];
  let next = 0;
  let from = 0;
  for (const part of code.children) {
    const to = from + (part.textContent?.length ?? 0);
    /** @type {Token[]} */
    const own = [];
    while (next < tokens.length && (tokens[next]?.start ?? to) < to) {
      const { kind, start, end } = /** @type {Token} */ (tokens[next]);
      own.push({ kind, start: Math.max(start, from) - from, end: Math.min(end, to) - from });
      if (end > to) break; // its rest is in the next part
      next++;
    }
    known.set(part, own);
    from = to;
  }
}

/** @param {string} kind */
function ofKind(kind) {
  if (highlights.size === 0) {
    for (const name of KINDS) {
      const made = new Highlight();
      highlights.set(name, made);
      CSS.highlights.set(`aura-${name}`, made);
    }
  }
  return /** @type {Highlight} */ (highlights.get(kind));
}
