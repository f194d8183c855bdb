// @ts-check
// What the words of a message mean: the agent that it is for, a command, and the context that it names.

/** @typedef {import("./chat.js").Attachment} Attachment */
/** @typedef {import("./host-types.js").Agent} Agent */
/** @typedef {import("./host-types.js").Command} Command */
/** @typedef {import("./host-types.js").Host} Host */
/** @typedef {import("./host-types.js").HostEvent} HostEvent */
/** @typedef {import("./words.js").Suggestion} Suggestion */

/** The words that name context. Others, such as `#include`, are text. */
const NAMES = /^#(?:selection|problems|file:.+)$/;
/** Most words of one message that are looked up. */
const MOST = 20;

/**
 * The words of a message that name context, each once, as `#selection`.
 * @param {string} text
 */
export function mentioned(text) {
  const words = text.split(/\s+/).map((word) => word.replace(/[.,;!?)]$/, ""));
  return [...new Set(words.filter((word) => NAMES.test(word)))].slice(0, MOST);
}

/**
 * The agent that a message begins with, and the rest of the message.
 * @param {string} text
 * @param {Agent[]} agents
 * @returns {{ agent: Agent, rest: string } | null}
 */
export function addressed(text, agents) {
  const start = text.trimStart();
  const [word = ""] = start.split(/\s/, 1);
  const agent = word[0] === "@" && agents.find(({ id }) => id.toLowerCase() === word.slice(1).toLowerCase());
  return agent ? { agent, rest: start.slice(word.length).trim() } : null;
}

/**
 * The command that a message begins with, and the rest of the message.
 * @param {string} text
 * @param {Command[]} commands
 * @returns {{ command: Command, rest: string } | null}
 */
export function commanded(text, commands) {
  const start = text.trimStart();
  const [word = ""] = start.split(/\s/, 1);
  const command = word[0] === "/" && commands.find(({ name }) => name === word.slice(1));
  return command ? { command, rest: start.slice(word.length).trim() } : null;
}

/**
 * What is done with the words: `tell` takes what they name, `chosen` is called when they chose another agent.
 * @typedef {{ tell: (event: HostEvent) => void, chosen: () => void, newChat: () => void }} Acts
 */

export class Mentions {
  #host;
  #picker;
  #acts;
  /** @type {Command[]} */
  #commands;

  /**
   * @param {Host} host
   * @param {import("./agents.js").AgentPicker} picker
   * @param {Acts} acts
   */
  constructor(host, picker, acts) {
    this.#host = host;
    this.#picker = picker;
    this.#acts = acts;
    this.#commands = [{ name: "new", about: "Start a new chat", run: acts.newChat }, ...(host.commands ?? [])];
  }

  /**
   * Suggestions for a word with its `#`, `@` or `/`.
   * @param {string} word
   * @returns {Promise<Suggestion[]>}
   */
  async suggest(word) {
    const begun = word.slice(1).toLowerCase();
    if (word[0] === "#") {
      const found = (await this.#host.words?.(word)) ?? [];
      return found.map(({ word: text, about = "", goesOn = false }) => ({ label: text, about, text, goesOn }));
    }
    if (word[0] === "@") {
      const fits = this.#picker.agents.filter(({ id, name }) => id.toLowerCase().startsWith(begun) || name.toLowerCase().includes(begun));
      return fits.map(({ id, name, error }) => ({ label: `@${id}`, about: error ?? name, text: "", run: () => this.#choose(id) }));
    }
    const fits = this.#commands.filter(({ name }) => name.startsWith(begun));
    return fits.map(({ name, about, prompt = "", run = () => {} }) => ({ label: `/${name}`, about, text: prompt, run }));
  }

  /** @param {string} agent */
  #choose(agent) {
    this.#picker.choose(agent);
    this.#acts.chosen();
  }

  /**
   * Do what a message begins with, `@agent` or `/command`. Returns the question that is left to be asked, or "".
   * @param {string} text
   */
  resolve(text) {
    const to = addressed(text, this.#picker.agents);
    if (to) this.#choose(to.agent.id);
    const said = to ? to.rest : text;
    const { command, rest = "" } = commanded(said, this.#commands) ?? {};
    command?.run?.();
    if (!command) return said;
    return command.prompt ? `${command.prompt} ${rest}`.trim() : "";
  }

  /** Whether a question names context that the host has. @param {string} text */
  names(text) {
    return this.#host.mention !== undefined && mentioned(text).length > 0;
  }

  /**
   * The context that a question names, or null, said with its reason, if some of it is missing.
   * @param {string} text
   * @returns {Promise<Attachment[] | null>}
   */
  async named(text) {
    const { mention } = this.#host;
    const found = mention ? await Promise.all(mentioned(text).map((word) => mention(word))) : [];
    const missing = found.find((one) => "refused" in one);
    if (missing && "refused" in missing) this.#acts.tell({ type: "refused", message: missing.refused });
    return missing ? null : found.flatMap((one) => ("text" in one ? [one] : []));
  }

  /** Attach to the chat what a word names. @param {string} word */
  async attach(word) {
    const found = await this.#host.mention?.(word);
    if (found && "refused" in found) this.#acts.tell({ type: "refused", message: found.refused });
    else if (found) this.#acts.tell({ type: "attach", ...found });
  }
}
