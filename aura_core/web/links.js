// @ts-check
// Links of answers: which addresses may be opened, and where a bare address ends.

import { h } from "./dom.js";

const SAFE = /^(?:https?:|mailto:)/i;

/**
 * A link, or, for an address that a page should not open, its text with the address as a tooltip.
 * @param {string} to
 * @param {string} title
 * @param {...string} children
 * @returns {HTMLElement}
 */
export function anchor(to, title, ...children) {
  if (!SAFE.test(to)) return h("span", { class: "no-link", "data-to": to, title: title || to }, ...children);
  const properties = { href: to, rel: "noopener noreferrer", target: "_blank" };
  return h("a", title ? { ...properties, title } : properties, ...children);
}

/**
 * An autolink ends before the sentence's own punctuation.
 * @param {string} url
 */
export function withoutTail(url) {
  let open = 0;
  for (const char of url) open += char === "(" ? 1 : char === ")" ? -1 : 0;
  let end = url.length;
  for (; end > 0; end--) {
    const last = url[end - 1] ?? "";
    if (last === ")" && open < 0) open++;
    else if (!/[.,:;!?'"*_~\]]/.test(last)) break;
  }
  return url.slice(0, end);
}
