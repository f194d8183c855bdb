// @ts-check
// Messages between the tabs of one browser: what was changed, which answers are running, and to stop one.

import { newId } from "./chat.js";

/** @typedef {import("./host-types.js").Change} Change */

/**
 * @typedef {{ type: "changed", change: Change }
 *   | { type: "whose", question: string, turns: string[] }
 *   | { type: "everybody's", question: string }
 *   | { type: "mine", question: string, turns: string[] }
 *   | { type: "stop", turn: string }} Message
 */

/** Milliseconds for which the answers of all other tabs are counted. */
const COUNTED = 500;
/** Milliseconds that a tab has to report that it runs an answer; busy tabs need a moment. */
const PATIENCE = 1000;

export class Tabs {
  /** @type {BroadcastChannel | null} */
  #channel = null;
  /** @type {Map<string, (turns: string[]) => void>} */
  #questions = new Map();
  #own;

  /**
   * @param {{ changed: (change: Change) => void, stop: (turn: string) => void, running: () => string[] }} own
   *   callbacks for messages from other tabs
   */
  constructor(own) {
    this.#own = own;
    try {
      this.#channel = new BroadcastChannel("aura");
    } catch {
      return; // blocked like storage: then two tabs share nothing
    }
    this.#channel.addEventListener("message", ({ data }) => this.#receive(data));
  }

  /** @param {Message} message */
  #receive(message) {
    if (message.type === "changed") this.#own.changed(message.change);
    else if (message.type === "stop") this.#own.stop(message.turn);
    else if (message.type === "mine") this.#questions.get(message.question)?.(message.turns);
    else {
      const running = this.#own.running();
      const turns = message.type === "whose" ? message.turns.filter((turn) => running.includes(turn)) : running;
      if (turns.length) this.#tell({ type: "mine", question: message.question, turns });
    }
  }

  /** @param {Message} message */
  #tell(message) {
    this.#channel?.postMessage(message);
  }

  /** @param {Change} change */
  changed(change) {
    this.#tell({ type: "changed", change });
  }

  /** @param {string} turn */
  stop(turn) {
    this.#tell({ type: "stop", turn });
  }

  /** How many turns run in all other tabs. */
  async count() {
    if (!this.#channel) return 0;
    let count = 0;
    const question = newId();
    this.#questions.set(question, (theirs) => (count += theirs.length));
    this.#tell({ type: "everybody's", question });
    await new Promise((resolve) => setTimeout(resolve, COUNTED));
    this.#questions.delete(question);
    return count;
  }

  /**
   * Which of these turns run in another tab.
   * @param {string[]} turns
   * @returns {Promise<Set<string>>}
   */
  async running(turns) {
    /** @type {Set<string>} */
    const found = new Set();
    if (!this.#channel || turns.length === 0) return found;
    const question = newId();
    await new Promise((resolve) => {
      const enough = setTimeout(resolve, PATIENCE);
      this.#questions.set(question, (theirs) => {
        for (const turn of theirs) found.add(turn);
        if (found.size < turns.length) return;
        clearTimeout(enough);
        resolve(undefined);
      });
      this.#tell({ type: "whose", question, turns });
    });
    this.#questions.delete(question);
    return found;
  }
}
