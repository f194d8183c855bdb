// @ts-check
// A long answer consists of parts, so that the browser can skip those that are out of view.

import { h } from "./dom.js";

/** Outermost blocks of a part. */
const BLOCKS = 64;

/**
 * Whether the next block begins a new part. The style expects the same margin below the last block of each part, so none ends
 * with a heading, a rule or a footnote.
 * @param {HTMLElement} before  the part so far; the first one is the element of the answer itself
 */
export function beginsPart(before) {
  const last = before.lastElementChild;
  return !!last && before.childElementCount >= BLOCKS && !last.matches("h1, h2, h3, h4, h5, h6, hr, .footnote");
}

export function part() {
  return h("div", { class: "part" });
}
