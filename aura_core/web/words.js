// @ts-check
// Complete words of the message as they are typed: `#file`, `@agent` and `/command`, in a list below the text cursor.

import { h } from "./dom.js";

/**
 * A suggestion: `text` takes the place of the typed word, then `run` is called. `goesOn`: the word is not complete yet.
 * @typedef {{ label: string, about?: string, text: string, goesOn?: boolean, run?: () => void }} Suggestion
 */

/** Most suggestions in the list. */
const MOST = 12;
/** Longest word that is completed. */
const LONGEST = 200;

let lists = 0;

export class Words {
  #input;
  #suggest;
  /** @type {Suggestion[]} */
  #shown = [];
  #at = 0;
  /** What was asked for last; an answer to anything else is late. */
  #asked = "";
  /** The word that the shown suggestions are for. */
  #listed = "";

  /**
   * @param {HTMLTextAreaElement} input
   * @param {(word: string) => Promise<Suggestion[]>} suggest  for a word with its `#`, `@` or `/`
   */
  constructor(input, suggest) {
    this.#input = input;
    this.#suggest = suggest;
    this.list = h("ul", { class: "words", role: "listbox", id: `aura-words-${++lists}`, "aria-label": "Suggestions", hidden: true });
    input.setAttribute("aria-controls", this.list.id);
    input.setAttribute("aria-autocomplete", "list");
    input.addEventListener("input", () => void this.#look());
    input.addEventListener("blur", () => this.close());
    // A click would take the focus from the message first.
    this.list.addEventListener("pointerdown", (event) => event.preventDefault());
  }

  /** The word before the cursor, if it is one of ours. `@` and `/` are only that where the message begins. */
  get #word() {
    const { value, selectionStart: end } = this.#input;
    if (end !== this.#input.selectionEnd) return "";
    let start = end;
    while (start > 0 && end - start <= LONGEST && !/\s/.test(value[start - 1] ?? "")) start--;
    const word = value.slice(start, end);
    const first = value.slice(0, start).trim() === "";
    return word[0] === "#" || (first && (word[0] === "@" || word[0] === "/")) ? word : "";
  }

  async #look() {
    const word = (this.#asked = this.#word);
    const found = word ? await this.#suggest(word) : [];
    if (word !== this.#asked) return;
    this.#shown = found.slice(0, MOST);
    this.#listed = word;
    this.#at = 0;
    const rows = this.#shown.map(({ label, about = "" }, index) => {
      const row = h("li", { role: "option", id: `${this.list.id}-${index}`, onclick: () => this.#take(index) });
      row.append(h("span", { class: "word" }, label), h("span", { class: "about" }, about));
      return row;
    });
    this.list.replaceChildren(...rows);
    this.#mark();
  }

  #mark() {
    this.list.hidden = this.#shown.length === 0;
    for (const [index, row] of [...this.list.children].entries()) row.setAttribute("aria-selected", String(index === this.#at));
    const row = this.list.children[this.#at];
    if (row) this.#input.setAttribute("aria-activedescendant", row.id);
    else this.#input.removeAttribute("aria-activedescendant");
    row?.scrollIntoView({ block: "nearest" });
  }

  /**
   * Handle a key of the message field. Returns whether it was for the list.
   * @param {KeyboardEvent} event
   */
  key(event) {
    const { length } = this.#shown;
    const takes = (event.key === "Enter" && !event.shiftKey) || event.key === "Tab";
    if (takes && this.#asked === this.#listed && this.#word !== this.#listed) this.close(); // the cursor was moved away
    if (this.list.hidden) return false;
    if (event.key === "ArrowDown") this.#at = (this.#at + 1) % length;
    else if (event.key === "ArrowUp") this.#at = (this.#at + length - 1) % length;
    else if (event.key === "Escape") this.#shown = [];
    else if (!takes) return false;
    // Until the host has answered, the list is that of fewer characters: nothing is taken from it, and nothing is sent.
    else if (this.#asked === this.#listed) this.#take(this.#at);
    if (!takes) this.#mark();
    event.preventDefault();
    return true;
  }

  /** @param {number} index */
  #take(index) {
    const suggestion = this.#shown[index];
    const word = this.#word;
    this.close();
    if (!suggestion || !word) return;
    const { value, selectionStart: end } = this.#input;
    const text = suggestion.text && !suggestion.goesOn ? `${suggestion.text} ` : suggestion.text;
    const rest = value.slice(end);
    this.#input.value = value.slice(0, end - word.length) + text + (text.endsWith(" ") ? rest.trimStart() : rest);
    this.#input.selectionStart = this.#input.selectionEnd = end - word.length + text.length;
    this.#input.dispatchEvent(new Event("input"));
    suggestion.run?.();
  }

  close() {
    this.#asked = "";
    this.#shown = [];
    this.#mark();
  }
}
