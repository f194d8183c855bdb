// @ts-check
// Escaped characters: named and numeric entities, and backslash escapes.

/** Matches what may be an entity; `entity` decides its meaning. */
export const ENTITY = /&(?:#x([0-9a-f]{1,6})|#([0-9]{1,7})|([a-z][a-z0-9]{1,31}));/iy;

/** The named entities that answers really contain; others are shown as text. @type {Record<string, string>} */
const NAMED = {
  amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0", copy: "©", reg: "®", trade: "™", hellip: "…",
  mdash: "—", ndash: "–", lsquo: "‘", rsquo: "’", ldquo: "“", rdquo: "”", laquo: "«", raquo: "»", bull: "•",
  middot: "·", times: "×", divide: "÷", plusmn: "±", deg: "°", larr: "←", rarr: "→", uarr: "↑", darr: "↓", harr: "↔",
  le: "≤", ge: "≥", ne: "≠", asymp: "≈", infin: "∞", euro: "€", pound: "£", sect: "§", para: "¶", micro: "µ",
  auml: "ä", ouml: "ö", uuml: "ü", szlig: "ß", Auml: "Ä", Ouml: "Ö", Uuml: "Ü", frac12: "½",
}; // prettier-ignore

/**
 * The character of an entity, or the text itself if it is not an entity.
 * @param {RegExpExecArray} match  of ENTITY
 * @returns {string}
 */
export function entity(match) {
  const name = match[3];
  if (name !== undefined) return Object.hasOwn(NAMED, name) ? (NAMED[name] ?? match[0]) : match[0];
  const code = match[1] ? parseInt(match[1], 16) : parseInt(match[2] ?? "0", 10);
  const valid = code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
  return valid ? String.fromCodePoint(code) : "\ufffd";
}

/**
 * Backslash escapes and entities resolved, as in addresses, titles and info strings.
 * @param {string} text
 */
export function unescape(text) {
  return text.replace(/\\([!-/:-@[-`{-~])|&(?:#x[0-9a-f]{1,6}|#[0-9]{1,7}|[a-z][a-z0-9]{1,31});/gi, (whole, char) => {
    if (char) return char;
    ENTITY.lastIndex = 0;
    const match = ENTITY.exec(whole);
    return match ? entity(match) : whole;
  });
}
