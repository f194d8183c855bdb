// @ts-check
// The chats in this browser's database: one record for each chat, each turn and each draft.

import { titleOf } from "./chat.js";
import { Database } from "./database.js";
import { isChat, isTurn, mergeChat, rebuildChat } from "./records.js";

/** @typedef {import("./chat.js").Chat} Chat */
/** @typedef {import("./chat.js").Turn} Turn */
/** @typedef {import("./host-types.js").Change} Change */

/** Milliseconds for which a deletion is remembered; a tab that is older than that may restore the chat. */
const REMEMBERED = 30 * 24 * 3600 * 1000;

export class Store {
  #database = new Database("aura", (database) => {
    database.createObjectStore("chats", { keyPath: "id" });
    database.createObjectStore("turns", { keyPath: "id" }).createIndex("chat", "chat");
    database.createObjectStore("drafts", { keyPath: "chat" });
  });

  /**
   * The chats that are not deleted. A chat whose own record is lost is rebuilt from its turns.
   * @returns {Promise<Chat[]>}
   */
  async chats() {
    const [{ records }, drafts] = await Promise.all([this.#database.readAll("chats"), this.#database.readAll("drafts")]);
    const chats = new Map(records.filter(isChat).map((chat) => [chat.id, chat]));
    for (const id of await this.#database.keys("turns", "chat")) {
      if (chats.has(id)) continue;
      const { turns } = await this.turns(id);
      if (turns.length) chats.set(id, rebuildChat(id, turns));
    }
    for (const { chat: id, text } of /** @type {{ chat: string, text: string }[]} */ (drafts.records)) {
      const chat = chats.get(id);
      if (chat?.last === "" && !chat.renamed) chat.title = titleOf(String(text));
    }
    const old = Date.now() - REMEMBERED;
    const forgotten = [...chats.values()].filter(({ deleted = 0 }) => deleted && deleted < old);
    if (forgotten.length) void this.#forget(forgotten).catch(() => {}); // the next page tries again
    return [...chats.values()].filter(({ deleted }) => !deleted);
  }

  /**
   * @param {string} chat
   * @returns {Promise<{ turns: Turn[], damaged: number }>}
   */
  async turns(chat) {
    const { records, damaged } = await this.#database.readAll("turns", { index: "chat", key: chat });
    const turns = records.filter(isTurn);
    return { turns, damaged: damaged + records.length - turns.length };
  }

  /**
   * @param {string} chat
   * @returns {Promise<Chat | undefined>}
   */
  async chat(chat) {
    const found = await this.#database.read("chats", (store) => store.get(chat)).catch(() => undefined);
    return isChat(found) ? found : undefined;
  }

  /**
   * @param {string} chat
   * @returns {Promise<string>}
   */
  async draft(chat) {
    const found = await this.#database.read("drafts", (store) => store.get(chat)).catch(() => undefined);
    return typeof found?.text === "string" ? found.text : "";
  }

  /**
   * Store complete turns. Only the tab in which a turn runs writes it, so there is nothing to merge with.
   * @param {Turn[]} turns
   */
  putTurns(turns) {
    return this.#database.write(["turns"], (transaction) => {
      for (const turn of turns) transaction.objectStore("turns").put(turn);
    }, { commit: true }); // prettier-ignore
  }

  /**
   * Change these fields of a chat; one that is deleted loses its turns and its draft.
   * @param {Change["chat"]} change
   * @param {Chat} [known]  as this tab knows it, for the other fields if its record cannot be read; missing for a new chat
   * @returns {Promise<Chat>} as it is now
   */
  async patch(change, known) {
    if (!known && isChat(change)) {
      // New, or restored: there is nothing to merge with, and no read to wait for while the page is closing.
      await this.#database.write(["chats"], (transaction) => transaction.objectStore("chats").put(change), { commit: true });
      return change;
    }
    let now = mergeChat(known, change);
    await this.#database.write(["chats", "turns", "drafts"], (transaction) => {
      const chats = transaction.objectStore("chats");
      const found = chats.get(change.id);
      found.onsuccess = () => {
        now = mergeChat(isChat(found.result) ? found.result : known, change);
        if (now.deleted) this.#strip(now, transaction);
        else chats.put(now);
      };
    });
    return now;
  }

  /**
   * @param {Chat} chat
   * @param {IDBTransaction} transaction
   */
  #strip({ id, updated, deleted = 0 }, transaction) {
    const turns = transaction.objectStore("turns");
    const keys = turns.index("chat").getAllKeys(id);
    keys.onsuccess = () => keys.result.forEach((key) => turns.delete(key));
    transaction.objectStore("drafts").delete(id);
    transaction.objectStore("chats").put({ id, agent: "", title: "", updated, last: "", deleted });
  }

  /** Also removes what another tab may have written after the deletion. @param {Chat[]} chats */
  #forget(chats) {
    return this.#database.write(["chats", "turns", "drafts"], (transaction) => {
      for (const chat of chats) {
        this.#strip(chat, transaction);
        transaction.objectStore("chats").delete(chat.id);
      }
    });
  }

  /**
   * The chats with a question or an answer that contains this text, case-insensitively.
   * @param {string} text
   * @param {string[]} chats  where to look
   */
  async find(text, chats) {
    const wanted = text.toLowerCase();
    const found = [];
    for (const chat of chats) {
      const { turns } = await this.turns(chat);
      const says = (/** @type {string} */ said) => said.toLowerCase().includes(wanted);
      if (turns.some(({ question, answer }) => says(question.text) || says(answer.text))) found.push(chat);
    }
    return found;
  }

  /**
   * @param {string} chat
   * @param {string} text  "" forgets it
   */
  putDraft(chat, text) {
    const write = (/** @type {IDBTransaction} */ transaction) => {
      const drafts = transaction.objectStore("drafts");
      if (text) drafts.put({ chat, text });
      else drafts.delete(chat);
    };
    return this.#database.write(["drafts"], write, { commit: true, durability: "relaxed" });
  }
}
