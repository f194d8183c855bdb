// @ts-check
// The direction of each outermost block of an answer: left to right or right to left, as its own text is.

/** Letters of Hebrew, Arabic, Syriac, Thaana, N'Ko and other scripts that are written from right to left. */
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;

/**
 * The browser finds the direction of a block by itself. In one with blocks of its own it would search with each piece of
 * text again, so there the first letter is looked for once.
 */
export class Directions {
  /** @type {HTMLElement | null} a block without a letter so far */
  #undirected = null;

  /** @param {HTMLElement} block */
  begin(block) {
    const nested = block.matches("ul, ol, blockquote, .footnote");
    this.#undirected = nested ? block : null;
    if (!nested) block.dir = "auto";
  }

  /** @param {string} text  which was added to the block that began last */
  by(text) {
    const letter = this.#undirected && /\p{L}/u.exec(text)?.[0];
    if (!letter || !this.#undirected) return;
    this.#undirected.dir = RIGHT_TO_LEFT.test(letter) ? "rtl" : "ltr";
    this.#undirected = null;
  }
}
