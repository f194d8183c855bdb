// @ts-check
// Choose an agent, and see who answers behind it and what is wrong with it.

import { h } from "./dom.js";

/** @typedef {import("./host.js").Agent} Agent */

export class AgentPicker {
  /** @type {Agent[]} */
  #agents = [];
  #select = h("select", { "aria-label": "Agent" });
  #behind = h("span", { class: "behind" });
  #error = h("p", { class: "agent-error", hidden: true });

  /** @param {(agent: Agent) => void} choose */
  constructor(choose) {
    this.element = h("div", { class: "picker" }, this.#select, this.#behind);
    this.error = this.#error;
    this.#select.addEventListener("change", () => {
      this.#show();
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
    const good = agents.find((agent) => !agent.error) ?? agents[0];
    this.choose(agents.some((agent) => agent.id === before) ? before : (good?.id ?? ""));
  }

  /** @param {string} id */
  choose(id) {
    if (this.#agents.some((agent) => agent.id === id)) this.#select.value = id;
    this.#show();
  }

  #show() {
    const agent = this.chosen;
    this.#select.disabled = this.#agents.length === 0;
    this.#behind.textContent = [agent?.provider, agent?.model].filter(Boolean).join(" · ");
    this.#error.textContent = agent?.error ?? "";
    this.#error.hidden = !agent?.error;
  }
}
