// @ts-check
// What an empty chat shows: the chosen agent, or why there is none and what can be done about it.

import { h, withCode } from "./dom.js";

/** @typedef {import("./host-types.js").Agent} Agent */
/** @typedef {import("./host-types.js").Remedy} Remedy */

export class Welcome {
  element = h("div", { class: "welcome" });

  /**
   * @param {Agent | undefined} agent
   * @param {{ text: string, remedies: Remedy[] }} offline  an empty text: there is a server
   */
  show(agent, { text, remedies }) {
    const words = text || agent?.description || (agent ? "" : "Loading agents…");
    this.element.replaceChildren(h("h1", {}, agent?.name ?? "Aura"), h("p", {}, ...withCode(words)));
    this.element.classList.toggle("offline", text !== "");
    if (!text || remedies.length === 0) return;
    const buttons = remedies.map(({ label, run }, index) =>
      h("button", { type: "button", class: index ? "" : "primary", onclick: run }, label),
    );
    this.element.append(h("div", { class: "remedies" }, ...buttons));
  }
}
