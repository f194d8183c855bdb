// @ts-check
// Find the words of code that are coloured: comments, strings, numbers, keywords, types and functions.
//
// One pass for all languages, without a grammar: it needs only to be right about what is a string and what is a comment.

import { languageOf } from "./languages.js";

/** @typedef {"comment" | "keyword" | "string" | "number" | "type" | "function" | "variable" | "added" | "removed"} TokenKind */

/** From `start` up to `end`. @typedef {{ kind: TokenKind, start: number, end: number }} Token */

const SPACE = /\s+/y;
const WORD = /[\p{L}_$@#][\p{L}\p{N}_$]*/uy;
/** Keys of CSS, YAML and TOML have hyphens. */
const NAME = /[\p{L}_$@#-][\p{L}\p{N}_$-]*/uy;
const NUMBER = /(?:0[xX][\da-fA-F_]+|0[bB][01_]+|\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][+-]?\d+)?)[a-zA-Z%]{0,6}/y;
const CALL = /[ \t]{0,8}\(/y;
const KEY = /[ \t]{0,8}[:=]/y;

/**
 * The tokens of a text, in order; undefined for a language that is not known.
 * @param {string} code
 * @param {string} name  of the language, as after a fence
 * @returns {Token[] | undefined}
 */
export function tokenize(code, name) {
  const language = languageOf(name);
  if (!language) return undefined;
  if (language.diff) return diff(code);
  /** @type {Token[]} */
  const tokens = [];
  const { words, constants, strings, line, block, tags, keys } = language;
  let at = 0;
  const put = (/** @type {TokenKind} */ kind, /** @type {number} */ end) => {
    tokens.push({ kind, start: at, end });
    at = end;
  };
  const end = (/** @type {RegExp} */ sticky) => {
    sticky.lastIndex = at;
    return sticky.test(code) ? sticky.lastIndex : 0;
  };
  while (at < code.length) {
    const space = end(SPACE);
    if (space) {
      at = space;
      continue;
    }
    const comment = line.find((mark) => code.startsWith(mark, at) && (mark !== "#" || !/\S/.test(code[at - 1] ?? " ")));
    const wide = comment ? undefined : block.find(([open]) => code.startsWith(open, at));
    const quote = comment || wide ? undefined : strings.find(([open]) => code.startsWith(open, at));
    if (comment) {
      put("comment", lineEnd(code, at));
    } else if (wide) {
      put("comment", after(code, wide[1], at + wide[0].length));
    } else if (quote) {
      const stop = stringEnd(code, at, quote);
      KEY.lastIndex = stop;
      put(keys && KEY.test(code) ? "variable" : "string", stop);
    } else if (/\d/.test(code[at] ?? "")) {
      put("number", end(NUMBER));
    } else if (tags && code[at] === "<") {
      at += code[at + 1] === "/" ? 2 : 1;
      const stop = end(/[\p{L}!?][\p{L}\p{N}:._-]*/uy);
      if (stop) put("keyword", stop);
    } else {
      const stop = end(keys ? NAME : WORD);
      if (!stop) at++;
      else word(stop);
    }
  }
  return tokens;

  /** @param {number} stop */
  function word(stop) {
    const text = code.slice(at, stop);
    const known = language?.anyCase ? text.toLowerCase() : text;
    CALL.lastIndex = KEY.lastIndex = stop;
    if (words.has(known)) put("keyword", stop);
    else if (constants.has(known)) put("number", stop);
    else if (text[0] === "@" && text.length > 1) put("function", stop);
    else if (text[0] === "$" && text.length > 1) put("variable", stop);
    else if (keys && KEY.test(code)) put("variable", stop);
    else if (CALL.test(code)) put("function", stop);
    else if (/^\p{Lu}[\p{L}\p{N}_]*\p{Ll}/u.test(text.slice(0, 100))) put("type", stop);
    else at = stop;
  }
}

/**
 * @param {string} code
 * @param {number} at
 */
function lineEnd(code, at) {
  const end = code.indexOf("\n", at);
  return end < 0 ? code.length : end;
}

/**
 * The offset after the next occurrence of a text.
 * @param {string} code
 * @param {string} text
 * @param {number} from
 */
function after(code, text, from) {
  const end = code.indexOf(text, from);
  return end < 0 ? code.length : end + text.length;
}

/**
 * @param {string} code
 * @param {number} at
 * @param {readonly [open: string, close: string, lines: boolean]} quote
 */
function stringEnd(code, at, [open, close, lines]) {
  for (let here = at + open.length; here < code.length; here++) {
    if (code[here] === "\\") here++;
    else if (code.startsWith(close, here)) return here + close.length;
    else if (code[here] === "\n" && !lines) return here; // an apostrophe in prose, or an error
  }
  return code.length;
}

/** @param {string} code */
function diff(code) {
  /** @type {Token[]} */
  const tokens = [];
  for (let start = 0; start < code.length; start = lineEnd(code, start) + 1) {
    const sign = code[start] ?? "";
    const end = lineEnd(code, start);
    const head = /^(?:diff |index |--- |\+\+\+ |@@ )/.test(code.slice(start, start + 8));
    if (head) tokens.push({ kind: "keyword", start, end });
    else if (sign === "+") tokens.push({ kind: "added", start, end });
    else if (sign === "-") tokens.push({ kind: "removed", start, end });
  }
  return tokens;
}
