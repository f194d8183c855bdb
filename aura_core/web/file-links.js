// @ts-check
// Make the files that an answer names links which open them, once the answer is complete.

import { h } from "./dom.js";

/** @typedef {Pick<import("./host-types.js").Host, "whichFiles" | "openFile">} Host */

/** A name as answers write it: `src/app.py`, `src/app.py:12`, `src/app.py:12:3` or `src/app.py#L12`. */
const NAME = /^([^\s:#?*<>|"'`]{1,300})(?::(\d{1,7})(?::\d{1,7})?|#L(\d{1,7})(?:-L?\d{1,7})?)?$/;
/** Longest text that may be a name, and the most names of one answer. */
const LONGEST = 330;
const MOST = 200;

/**
 * The file and line, counted from 1, that a text names; null if it names none.
 * @param {string} text
 */
export function fileNamed(text) {
  if (text.length > LONGEST) return null;
  const [, name = "", line, anchor] = NAME.exec(text.trim()) ?? [];
  // A word without a dot or a slash is code.
  return /[./]/.test(name) && /\w/.test(name) ? { name, line: Number(line ?? anchor ?? 1) || 1 } : null;
}

/**
 * Inline code and links that name existing files become links to them. Code blocks are left alone.
 * @param {HTMLElement} text
 * @param {Host} host
 */
export async function linkFiles(text, { whichFiles, openFile }) {
  if (!whichFiles || !openFile) return;
  const found = [];
  for (const element of text.querySelectorAll(":not(pre) > code, .no-link")) {
    if (element.closest("pre, a")) continue;
    const named = fileNamed(element.getAttribute("data-to") ?? element.textContent ?? "");
    if (named) found.push({ element, ...named });
    if (found.length === MOST) break;
  }
  if (found.length === 0) return;
  const there = await whichFiles(found.map(({ name }) => name));
  found.forEach(({ element, name, line }, index) => {
    if (!there[index] || !element.isConnected) return;
    const title = line > 1 ? `Open ${name}, line ${line}` : `Open ${name}`;
    const link = h("button", { type: "button", class: "file", role: "link", title, onclick: () => openFile(name, line) });
    element.replaceWith(link);
    if (element.tagName === "CODE") link.append(element);
    else link.append(...element.childNodes);
  });
}
