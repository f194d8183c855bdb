// @ts-check
// The earlier conversations: open one, or forget it.

import { title } from "./chat.js";
import { h } from "./dom.js";

/** @typedef {import("./chat.js").Chat} Chat */

export class ChatList {
  /** @type {Map<string, Chat>} */
  #chats = new Map();
  #list = h("ul");
  #none = h("p", { class: "none" }, "No chats yet.");
  #open;
  #forget;

  /**
   * @param {(chat: Chat) => void} open
   * @param {(chat: Chat) => void} forget
   */
  constructor(open, forget) {
    this.#open = open;
    this.#forget = forget;
    this.panel = h("div", { class: "chats", popover: "auto", id: "aura-chats", role: "dialog", "aria-label": "Chats" });
    this.panel.append(this.#none, this.#list);
    this.button = h("button", { type: "button", class: "quiet", popovertarget: "aura-chats" }, "Chats");
    this.panel.addEventListener("beforetoggle", () => this.#fill());
  }

  /** @param {Chat} chat */
  keep(chat) {
    this.#chats.set(chat.id, chat);
  }

  #fill() {
    const newest = [...this.#chats.values()].sort((a, b) => b.updated - a.updated);
    this.#none.hidden = newest.length > 0;
    this.#list.replaceChildren(...newest.map((chat) => this.#item(chat)));
  }

  /** @param {Chat} chat */
  #item(chat) {
    const name = title(chat);
    const when = new Date(chat.updated).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
    const open = () => {
      this.panel.hidePopover();
      this.#open(chat);
    };
    const forget = () => {
      this.#chats.delete(chat.id);
      this.#forget(chat);
      this.#fill();
      /** @type {HTMLElement} */ (this.panel.querySelector("button") ?? this.button).focus();
    };
    return h(
      "li",
      {},
      h("button", { type: "button", class: "open", onclick: open }, h("span", {}, name), h("time", {}, when)),
      h("button", { type: "button", class: "quiet", "aria-label": `Delete ${name}`, onclick: forget }, "Delete"),
    );
  }
}
