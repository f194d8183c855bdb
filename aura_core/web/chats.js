// @ts-check
// The list of earlier conversations: search, open, rename, export and delete them.

import { h, isComposing } from "./dom.js";
import { isChat, mergeChat } from "./records.js";

/** @typedef {import("./chat.js").Chat} Chat */

/**
 * @typedef {object} ListActions
 * @property {(chat: Chat) => void} open
 * @property {(chat: Chat, title: string) => void} rename
 * @property {(chat: Chat) => Promise<() => void>} remove  resolves to the function that undoes it
 * @property {(chat: Chat, kind: "md" | "json") => void} [exportAs]
 * @property {(text: string) => Promise<string[]>} find  the chats that contain this text
 */

/** Milliseconds after the last key before the texts of all chats are searched. */
const PAUSE = 200;

export class ChatList {
  /** @type {Map<string, Chat>} */
  #chats = new Map();
  /** @type {Map<string, { chat: Chat, undo: () => void }>} chats deleted here, until the list is opened again */
  #deleted = new Map();
  /** @type {{ text: string, ids: Set<string> }} the chats whose texts contain the search text */
  #found = { text: "", ids: new Set() };
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #search = h("input", { type: "search", placeholder: "Search chats", "aria-label": "Search chats" });
  #list = h("ul");
  #none = h("p", { class: "none", "aria-live": "polite" });
  #actions;

  /** @param {ListActions} actions */
  constructor(actions) {
    this.#actions = actions;
    this.panel = h("div", { class: "chats", popover: "auto", id: "aura-chats", role: "dialog", "aria-label": "Chats" });
    this.panel.append(this.#search, this.#none, this.#list);
    this.button = h("button", { type: "button", class: "quiet", popovertarget: "aura-chats" }, "Chats");
    this.panel.addEventListener("beforetoggle", (event) => {
      if (/** @type {ToggleEvent} */ (event).newState === "open") this.#opens();
    });
    this.#search.addEventListener("input", () => this.#look());
  }

  /** @param {string} id */
  get(id) {
    return this.#chats.get(id);
  }

  /**
   * Add a chat to the list, or update it.
   * @param {Partial<Chat> & { id: string }} change
   */
  put(change) {
    const chat = mergeChat(this.#chats.get(change.id), change);
    if (chat.deleted) this.#chats.delete(chat.id);
    else if (isChat(chat)) this.#chats.set(chat.id, chat);
  }

  #opens() {
    this.#deleted.clear();
    this.#search.value = "";
    this.#found = { text: "", ids: new Set() };
    this.#fill();
  }

  #look() {
    this.#fill();
    clearTimeout(this.#timer);
    const text = this.#search.value.trim();
    if (!text) return;
    this.#timer = setTimeout(async () => {
      const ids = new Set(await this.#actions.find(text).catch(() => []));
      if (text !== this.#search.value.trim()) return; // another search has started
      this.#found = { text, ids };
      this.#fill();
    }, PAUSE);
  }

  #fill() {
    const wanted = this.#search.value.trim().toLowerCase();
    const fits = (/** @type {Chat} */ { id, title, last, attached }) => {
      if (!last && !title && !attached?.length) return false; // nothing was typed in it
      return title.toLowerCase().includes(wanted) || (wanted === this.#found.text.toLowerCase() && this.#found.ids.has(id));
    };
    const rows = [...this.#chats.values()].filter(fits).map((chat) => ({ chat, item: () => this.#item(chat) }));
    for (const { chat, undo } of this.#deleted.values()) rows.push({ chat, item: () => this.#undoItem(chat, undo) });
    rows.sort((a, b) => b.chat.updated - a.chat.updated);
    this.#none.textContent = rows.length ? "" : wanted ? "Nothing found." : "No chats yet.";
    this.#none.hidden = rows.length > 0;
    this.#list.replaceChildren(...rows.map(({ item }) => item()));
  }

  /** @param {Chat} chat */
  #item(chat) {
    const name = nameOf(chat);
    const when = new Date(chat.updated).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
    const open = h("button", { type: "button", class: "open" }, h("span", { dir: "auto" }, name), h("time", {}, when));
    open.addEventListener("click", () => {
      this.panel.hidePopover();
      this.#actions.open(chat);
    });
    const more = h("button", { type: "button", class: "quiet", "aria-label": `More for ${name}`, "aria-expanded": "false" }, "⋯");
    const row = h("li", {}, h("div", { class: "row" }, open, more));
    more.addEventListener("click", () => {
      const expanded = more.ariaExpanded === "true";
      more.ariaExpanded = String(!expanded);
      if (expanded) row.lastElementChild?.remove();
      else row.append(this.#more(chat, name, row));
    });
    return row;
  }

  /**
   * @param {Chat} chat
   * @param {string} name
   * @param {HTMLElement} row
   */
  #more(chat, name, row) {
    const button = (/** @type {string} */ label, /** @type {string} */ does, /** @type {() => void} */ run) =>
      h("button", { type: "button", class: "quiet", "aria-label": `${does} ${name}`, onclick: run }, label);
    const all = [button("Rename", "Rename", () => this.#rename(chat, row))];
    const { exportAs } = this.#actions;
    if (exportAs) {
      all.push(button("↓ Markdown", "Export as Markdown", () => exportAs(chat, "md")));
      all.push(button("↓ JSON", "Export as JSON", () => exportAs(chat, "json")));
    }
    all.push(button("Delete", "Delete", () => void this.#remove(chat)));
    return h("div", { class: "more" }, ...all);
  }

  /**
   * @param {Chat} chat
   * @param {HTMLElement} row
   */
  #rename(chat, row) {
    const input = h("input", { "aria-label": "Name of the chat", maxlength: "200", dir: "auto" });
    input.value = chat.title;
    let over = false;
    const end = (/** @type {boolean} */ keep) => {
      if (over) return;
      over = true;
      const title = input.value.trim();
      if (keep && title && title !== chat.title) this.#actions.rename(chat, title);
      const fresh = this.#item(this.#chats.get(chat.id) ?? chat);
      const focused = row.contains(document.activeElement);
      row.replaceWith(fresh);
      if (focused) fresh.querySelector("button")?.focus();
    };
    input.addEventListener("keydown", (event) => {
      if (isComposing(event) || (event.key !== "Enter" && event.key !== "Escape")) return;
      event.preventDefault(); // Escape leaves the list open
      event.stopPropagation();
      end(event.key === "Enter");
    });
    input.addEventListener("blur", () => end(true));
    row.replaceChildren(input);
    input.focus();
    input.select();
  }

  /** @param {Chat} chat */
  async #remove(chat) {
    const undo = await this.#actions.remove(chat);
    this.#deleted.set(chat.id, { chat, undo });
    this.#fill();
    const buttons = [...this.#list.querySelectorAll("button")];
    buttons.find((button) => button.dataset["undo"] === chat.id)?.focus();
  }

  /**
   * @param {Chat} chat
   * @param {() => void} undo
   */
  #undoItem(chat, undo) {
    const back = () => {
      this.#deleted.delete(chat.id);
      undo();
      this.#fill();
      this.#search.focus();
    };
    const button = h("button", { type: "button", "aria-label": `Undo: restore ${nameOf(chat)}`, "data-undo": chat.id, onclick: back });
    button.append("Undo");
    return h("li", {}, h("div", { class: "row deleted" }, h("span", { dir: "auto" }, `Deleted: ${nameOf(chat)}`), button));
  }
}

/** @param {Chat} chat */
export function nameOf({ title, last }) {
  if (last) return title || "Chat";
  return title ? `Draft: ${title}` : "New chat";
}
