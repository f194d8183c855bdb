// @ts-check
// The kinds of Markdown lines that begin with a mark: headings, fences, rules, tables, formulas, alerts, tasks.

import { cells } from "./blocks.js";

/** @typedef {"heading" | "underline" | "rule" | "fence" | "math" | "alert" | "table"} Kind */

export const HEADING = /^(#{1,6})(?:[ \t]+|$)/;
export const FENCE = /^(?:(`{3,})([^`]*)|(~{3,})(.*))$/;
/** A formula of several lines begins with a line of its own. */
export const MATH = /^(\$\$|\\\[)[ \t]*$/;
/** The first line of a quotation that is an alert, as on GitHub. */
export const ALERT = /^\[!(note|tip|important|warning|caution)\][ \t]*$/i;
/** What makes a list item a task. */
export const TASK = /^\[([ xX])\][ \t]+(?=\S)/;

const RULE = /^(?:(?:\*[ \t]*){3,}|(?:_[ \t]*){3,}|(?:-[ \t]*){3,})$/;
const MAYBE_RULE = /^(?:[*][* \t]*|_[_ \t]*|-[- \t]*)$/;
const UNDERLINE = /^(?:=+|-+)[ \t]*$/;
const DELIMITER = /^:?-+:?$/;

/**
 * The kind of a line that is neither a quotation, nor a list item, nor plain text.
 * @param {string} rest  the line without its indentation
 * @param {{ whole: boolean, paragraph: import("./blocks.js").TextBlock | null, inQuote: boolean }} where
 *   `paragraph` is the one that the line would continue; `inQuote`: it is the first line of a quotation
 * @returns {Kind | null}
 */
export function kind(rest, { whole, paragraph, inQuote }) {
  if (HEADING.test(rest)) return "heading";
  if (!whole) return null;
  if (FENCE.test(rest)) return "fence";
  if (MATH.test(rest)) return "math";
  if (inQuote && ALERT.test(rest)) return "alert";
  if (paragraph && UNDERLINE.test(rest)) return "underline";
  if (paragraph && rest.includes("|")) {
    const delimiters = cells(rest);
    const all = delimiters.every((cell) => DELIMITER.test(cell));
    if (all && cells(paragraph.lastLine).length === delimiters.length) return "table";
  }
  return RULE.test(rest) ? "rule" : null;
}

/**
 * Whether the rest of the line could still change its kind.
 * @param {string} rest
 * @param {boolean} inText  whether the line would continue a paragraph
 */
export function undecided(rest, inText) {
  return (
    /^#{1,6}[ \t]*$/.test(rest) ||
    /^(?:`+|`{3,}[^`]*|~{1,2}|~{3}.*)$/.test(rest) ||
    /^(?:\$|\$\$[ \t]*|\\|\\\[[ \t]*)$/.test(rest) ||
    /^\[(?:[ xX]?|[ xX]\][ \t]*|![a-z]{0,9}|![a-z]{3,9}\][ \t]*|\^[^\s[\]]{0,100}|\^[^\s[\]]{1,100}\]:?)$/i.test(rest) ||
    (inText && (UNDERLINE.test(rest) || /^[|:\- \t]+$/.test(rest))) ||
    MAYBE_RULE.test(rest) ||
    /^(?:[*+-]|\d{1,9}[.)]?)[ \t]*$/.test(rest)
  );
}
