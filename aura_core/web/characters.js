// @ts-check
// Cut a text between characters as a reader sees them, never inside of one: an emoji may consist of many code units.

/**
 * The beginning of a text, of at most so many code units.
 * @param {string} text
 * @param {number} most
 */
export function beginning(text, most) {
  if (text.length <= most) return text;
  let end = 0;
  for (const { index, segment } of new Intl.Segmenter().segment(text.slice(0, 2 * most))) {
    if (index + segment.length > most) break;
    end = index + segment.length;
  }
  // A single character may be longer than that, with a thousand accents.
  return text.slice(0, end || (isHighSurrogate(text, most - 1) ? most - 1 : most));
}

/**
 * Whether a text that is cut after this code unit ends with half a character.
 * @param {string} text
 * @param {number} at
 */
export function isHighSurrogate(text, at) {
  const code = text.charCodeAt(at);
  return code >= 0xd800 && code <= 0xdbff;
}
