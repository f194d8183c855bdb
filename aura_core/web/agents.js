// @ts-check
// The agent picker: choose an agent, and see its provider and its error.

import { behind } from "./chat.js";
import { h, withCode } from "./dom.js";

/** @typedef {import("./host-types.js").Agent} Agent */
/** @typedef {import("./host-types.js").Remedy} Remedy */

export class AgentPicker {
  /** @type {Agent[]} */
  #agents = [];
  /** The chosen agent, here or by opening its chat; it may not be in the list now. */
  #wanted = "";
  #select = h("select", { "aria-label": "Agent", "aria-keyshortcuts": "Alt+P", title: "Agent (Alt+P)" });
  #behind = h("span", { class: "behind" });
  #error = h("div", { class: "agent-error", hidden: true });
  /** @type {{ text: string, remedies: Remedy[] }} */
  #trouble = { text: "", remedies: [] };
  #lastUsed = "";

  /** @param {(agent: Agent) => void} choose */
  constructor(choose) {
    this.element = h("div", { class: "picker" }, this.#select, this.#behind);
    this.error = this.#error;
    this.#select.addEventListener("change", () => {
      this.choose(this.#select.value);
      if (this.chosen) choose(this.chosen);
    });
  }

  /** @returns {Agent | undefined} */
  get chosen() {
    return this.#agents.find((agent) => agent.id === this.#select.value);
  }

  /** @param {string} id */
  name(id) {
    return this.#agents.find((agent) => agent.id === id)?.name ?? id;
  }

  /** @param {Agent[]} agents */
  set agents(agents) {
    const before = this.#select.value;
    if (JSON.stringify(agents) === JSON.stringify(this.#agents)) return;
    this.#agents = agents;
    this.#select.replaceChildren(
      ...agents.map(({ id, name, error }) => h("option", { value: id }, error ? `⚠ ${name}` : name)),
    );
    const there = [this.#wanted, before].find((id) => agents.some((agent) => agent.id === id));
    this.#select.value = there ?? firstAgent(agents, this.#lastUsed);
    this.#show();
  }

  get agents() {
    return this.#agents;
  }

  /** The agent that was asked last, in any chat: it is chosen when nobody has chosen one. @param {string} id */
  set lastUsed(id) {
    this.#lastUsed = id;
    if (!this.#wanted && this.#agents.length) this.#select.value = firstAgent(this.#agents, this.#lastUsed);
    this.#show();
  }

  /** @param {string} id  an agent that is not listed is chosen as soon as it is */
  choose(id) {
    if (id) this.#wanted = id;
    if (this.#agents.some((agent) => agent.id === id)) this.#select.value = id;
    this.#show();
  }

  focus() {
    this.#select.focus();
  }

  /**
   * The reason why no agent is available, and what can be done about it; shown before the error of a single agent.
   * @param {{ text: string, remedies: Remedy[] }} trouble
   */
  set trouble(trouble) {
    this.#trouble = trouble;
    this.#show();
  }

  #show() {
    const agent = this.chosen;
    this.#select.disabled = this.#agents.length === 0;
    this.#behind.textContent = agent ? behind(agent) : "";
    const { text, remedies } = this.#trouble;
    this.#error.replaceChildren(...withCode(text || (agent?.error ?? "")));
    if (remedies.length) {
      const buttons = remedies.map(({ label, run }) => h("button", { type: "button", onclick: run }, label));
      this.#error.append(h("div", { class: "ways" }, ...buttons));
    }
    this.#error.hidden = !this.#error.textContent;
  }
}

/**
 * The id of the agent to begin with: the last used one, else the server's: with the tag `default`, or `assistant`, which a
 * server without agent files has and `aura init` writes. "" if there is no agent.
 * @param {Agent[]} agents
 * @param {string} [lastUsed]
 */
export function firstAgent(agents, lastUsed = "") {
  const sound = agents.filter(({ error }) => !error);
  const wanted = [
    sound.find(({ id }) => id === lastUsed),
    sound.find(({ tags = [] }) => tags.includes("default")),
    sound.find(({ id }) => id === "assistant"),
    sound[0],
    agents[0],
  ];
  return wanted.find((agent) => agent)?.id ?? "";
}
