// @ts-check
// All chats: their list, the actions for a chat, and storage failures.

import { newChat } from "./chat.js";
import { ChatList, nameOf } from "./chats.js";
import { asJson, asMarkdown, fileName } from "./exports.js";
import { closeOpenEnd } from "./records.js";
import { Versions } from "./versions.js";

/** @typedef {import("./chat.js").Chat} Chat */
/** @typedef {import("./chat.js").Turn} Turn */
/** @typedef {import("./host-types.js").Host} Host */
/** @typedef {import("./host-types.js").HostEvent} HostEvent */

/** A chat with everything in it. @typedef {{ chat: Chat, turns: Turn[], draft: string }} Whole */

/**
 * The parts of the displayed chat that are needed here.
 * @typedef {object} Showing
 * @property {(id: string) => boolean} shows  whether it is this one
 * @property {() => Whole} whole
 * @property {(chat: Chat) => void} open  show another one
 * @property {(title: string) => void} renamed
 * @property {(id: string) => void} stop  stop what runs in this chat
 * @property {(elsewhere: boolean) => void} gone  it was deleted, here or elsewhere
 * @property {() => boolean} idle  whether it has neither turns nor a draft
 * @property {(agent: string) => string} name
 * @property {(text: string) => void} say
 */

export class Shelf {
  #host;
  #notices;
  #showing;
  /** @type {Extract<HostEvent, { type: "storage" }>} */
  #trouble = { type: "storage", message: "", unkept: [] };

  /**
   * @param {Host} host
   * @param {import("./notices.js").Notices} notices
   * @param {Showing} showing
   */
  constructor(host, notices, showing) {
    this.#host = host;
    this.#notices = notices;
    this.#showing = showing;
    this.list = new ChatList({
      open: showing.open,
      rename: (chat, title) => this.#rename(chat.id, title),
      remove: (chat) => this.#remove(chat),
      find: host.find ?? (async () => []),
      ...(host.exportFile ? { exportAs: (chat, kind) => void this.#export(chat, kind) } : {}),
    });
  }

  /** @param {string} id */
  get(id) {
    return this.list.get(id);
  }

  /** Add a chat that is already stored to the list. @param {Partial<Chat> & { id: string }} change */
  put(change) {
    this.list.put(change);
  }

  /**
   * Store a change of a chat.
   * @param {string} id
   * @param {Partial<Chat>} change
   * @param {Turn[]} [turns]
   */
  change(id, change, turns = []) {
    this.list.put({ ...change, id });
    this.#host.save({ chat: { ...change, id }, turns });
    if (this.#trouble.message) this.#showTrouble(); // a chat may have another name now
  }

  /** @param {Extract<HostEvent, { type: "storage" }>} trouble */
  set trouble(trouble) {
    this.#trouble = trouble;
    this.#showTrouble();
  }

  /** Show the storage failure, and what would be lost now. */
  #showTrouble() {
    const { message, unkept } = this.#trouble;
    const { exportFile } = this.#host;
    const names = unkept.flatMap((id) => this.get(id) ?? []).map((chat) => `“${nameOf(chat)}”`);
    const which = names.length ? ` Not stored: ${names.slice(0, 3).join(", ")}${names.length > 3 ? " …" : ""}.` : "";
    const run = async () => {
      const chats = await Promise.all(unkept.map((id) => this.#whole(id)));
      exportFile?.(fileName("not kept", "json"), asJson(chats));
    };
    const actions = exportFile && unkept.length ? [{ label: "Export", run: () => void run() }] : [];
    this.#notices.put("storage", message ? { text: message + which, actions, urgent: true } : null);
  }

  /**
   * @param {string} id
   * @returns {Promise<Whole>}
   */
  async #whole(id) {
    const { chat, turns, draft = "" } = await this.#host.open(id);
    if (!this.#showing.shows(id)) return { chat: chat ?? this.get(id) ?? { ...newChat(""), id }, turns, draft };
    const shown = this.#showing.whole();
    const versions = new Versions(turns);
    for (const turn of shown.turns) versions.put(turn);
    return { ...shown, turns: versions.all };
  }

  /**
   * @param {string} id
   * @param {string} title
   */
  #rename(id, title) {
    this.change(id, { title, renamed: true });
    if (this.#showing.shows(id)) this.#showing.renamed(title);
  }

  /**
   * @param {Chat} chat
   * @param {"md" | "json"} kind
   */
  async #export({ id }, kind) {
    const { chat, turns, draft } = await this.#whole(id);
    const path = new Versions(turns).path(chat.last);
    const text = kind === "json" ? asJson([{ chat, turns, draft }]) : asMarkdown(chat, path, this.#showing.name);
    this.#host.exportFile?.(fileName(nameOf(chat), kind), text);
  }

  /**
   * Delete a chat.
   * @param {Chat} chat
   * @returns {Promise<() => void>} the function that restores it
   */
  async #remove({ id }) {
    const whole = stopped(await this.#whole(id));
    this.#showing.stop(id);
    this.change(id, { deleted: Date.now() });
    if (this.#showing.shows(id)) this.#showing.gone(false);
    this.#showing.say("Deleted");
    return () => this.#bringBack(whole);
  }

  /** @param {Whole} whole */
  #bringBack({ chat, turns, draft }) {
    const back = { ...chat, deleted: 0 };
    this.change(chat.id, back, turns);
    if (draft) this.#host.keepDraft(chat.id, draft);
    if (this.#showing.idle()) this.#showing.open(back);
    this.#showing.say("Restored");
  }

  /** A chat was deleted in another tab or window. @param {string} id */
  deletedElsewhere(id) {
    const chat = this.get(id);
    this.put({ id, deleted: Date.now() });
    if (!this.#showing.shows(id) || !chat) return;
    // The current draft is still on the page then.
    const whole = { ...stopped(this.#showing.whole()), draft: "" };
    this.#showing.stop(id);
    this.#showing.gone(true);
    const back = () => {
      this.#notices.put("deleted", null);
      this.#bringBack(whole);
    };
    const text = `“${nameOf(chat)}” was deleted in another tab or window.`;
    this.#notices.put("deleted", { text, actions: [{ label: "Undo", run: back }], closes: true });
  }
}

/**
 * A copy that can be restored, in which nothing runs.
 * @param {Whole} whole
 */
function stopped(whole) {
  const copy = structuredClone(whole);
  for (const turn of copy.turns) closeOpenEnd(turn, "the chat was deleted");
  return copy;
}
