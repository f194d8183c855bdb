// @ts-check
// Turns form a tree: each refers to the turn before it, and turns after the same one are versions of each other.

/** @typedef {import("./chat.js").Turn} Turn */

export class Versions {
  /** @type {Map<string, Turn>} */
  #turns = new Map();
  /** @type {{ before: Map<string, string>, versions: Map<string, Turn[]> } | undefined} */
  #tree;

  /** @param {Turn[]} [turns] */
  constructor(turns = []) {
    for (const turn of turns) this.put(turn);
  }

  get size() {
    return this.#turns.size;
  }

  /** All turns in the order in which they were asked. */
  get all() {
    return [...this.#turns.values()].sort((a, b) => a.asked - b.asked || (a.id < b.id ? -1 : 1));
  }

  /** @param {string} id */
  get(id) {
    return this.#turns.get(id);
  }

  /** @param {Turn} turn  one of the same id is replaced */
  put(turn) {
    this.#turns.set(turn.id, turn);
    this.#tree = undefined;
  }

  /**
   * The path of turns up to this one; up to the newest if it does not exist.
   * @param {string} last
   * @returns {Turn[]}
   */
  path(last) {
    const { before } = this.#indexed();
    const turns = [];
    const seen = new Set();
    let turn = this.#turns.get(last) ?? this.all.at(-1);
    while (turn && !seen.has(turn.id)) {
      turns.push(turn);
      seen.add(turn.id);
      turn = this.#turns.get(before.get(turn.id) ?? "");
    }
    return turns.reverse();
  }

  /**
   * The versions of a turn, itself included, in the order in which they were asked.
   * @param {Turn} turn
   */
  of(turn) {
    const { before, versions } = this.#indexed();
    return versions.get(before.get(turn.id) ?? "") ?? [];
  }

  /**
   * The last turn after this one, along the newest versions.
   * @param {Turn} turn
   */
  end(turn) {
    const { versions } = this.#indexed();
    const seen = new Set([turn.id]);
    for (;;) {
      const next = versions.get(turn.id)?.at(-1);
      if (!next || seen.has(next.id)) return turn;
      seen.add(next.id);
      turn = next;
    }
  }

  /** The turn before each turn. If that one could not be read, it is the turn asked before it. */
  #indexed() {
    if (this.#tree) return this.#tree;
    const before = new Map();
    const versions = new Map();
    let previous = "";
    for (const turn of this.all) {
      const id = turn.after === "" || this.#turns.has(turn.after) ? turn.after : previous;
      before.set(turn.id, id);
      const others = versions.get(id);
      if (others) others.push(turn);
      else versions.set(id, [turn]);
      previous = turn.id;
    }
    return (this.#tree = { before, versions });
  }
}
