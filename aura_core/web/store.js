// @ts-check
// The chats in this browser's database: one record for each chat, each turn and each draft.

import { titleOf } from "./chat.js";
import { Database } from "./database.js";
import { isChat, isTurn, mergeChat, rebuildChat } from "./records.js";

/** @typedef {import("./chat.js").Chat} Chat */
/** @typedef {import("./chat.js").Turn} Turn */
/** @typedef {import("./host-types.js").Change} Change */

/**
 * A change on its way into a chat's record: the chat as this tab expects it to be then.
 * @typedef {{ chat: Chat, transaction?: IDBTransaction, left?: Promise<void> }} Merging
 */

/** Milliseconds for which a deletion is remembered; a tab that is older than that may restore the chat. */
const REMEMBERED = 30 * 24 * 3600 * 1000;

export class Store {
  #database = new Database("aura", (database) => {
    database.createObjectStore("chats", { keyPath: "id" });
    database.createObjectStore("turns", { keyPath: "id" }).createIndex("chat", "chat");
    database.createObjectStore("drafts", { keyPath: "chat" });
  });
  /** @type {Set<Merging>} changes that are being merged with the stored record of their chat */
  #merging = new Set();

  /**
   * The chats that are not deleted. A chat whose own record is lost is rebuilt from its turns.
   * @returns {Promise<Chat[]>}
   */
  async chats() {
    const [{ records }, drafts] = await Promise.all([this.#database.readAll("chats"), this.#database.readAll("drafts")]);
    const chats = new Map(records.filter(isChat).map((chat) => [chat.id, chat]));
    const old = Date.now() - REMEMBERED;
    const gone = new Set([...chats.values()].filter(({ deleted = 0 }) => deleted && deleted < old));
    for (const id of await this.#database.keys("turns", "chat")) {
      const chat = chats.get(id);
      if (chat?.deleted) gone.add(chat);
      if (chat) continue;
      const { turns } = await this.turns(id);
      if (turns.length) chats.set(id, rebuildChat(id, turns));
    }
    for (const { chat: id, text } of /** @type {{ chat: string, text: string }[]} */ (drafts.records)) {
      const chat = chats.get(id);
      if (chat?.last === "" && !chat.renamed) chat.title = titleOf(String(text));
    }
    if (gone.size) await this.#clear([...gone], old).catch(() => {}); // the next page tries again
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
   * Change these fields of a chat, and store these complete turns of it. A chat that is deleted loses its turns and its
   * draft. Everything is issued before the first await: the page may be closing (`leave`).
   * @param {Change["chat"]} change
   * @param {Turn[]} turns
   * @param {Chat} [known]  as this tab knows it, for the other fields if its record cannot be read; missing for a new chat
   * @returns {Promise<Chat | undefined>} as it is now, if a field was to change
   */
  async put(change, turns, known) {
    if (!known && isChat(change)) {
      // New, or restored: there is nothing to merge with. One transaction, so that no other tab sees half of it.
      const write = (/** @type {IDBTransaction} */ transaction) => {
        transaction.objectStore("chats").put(change);
        for (const turn of turns) transaction.objectStore("turns").put(turn);
      };
      await this.#database.write(["chats", "turns"], write, { commit: true });
      return change;
    }
    // Only the tab in which a turn runs writes it, so there is nothing to merge with.
    const write = (/** @type {IDBTransaction} */ transaction) => {
      for (const turn of turns) transaction.objectStore("turns").put(turn);
    };
    const written = turns.length ? this.#database.write(["turns"], write, { commit: true }) : undefined;
    const changed = Object.keys(change).length > 1 ? this.#change(change, known) : undefined;
    return (await Promise.all([written, changed]))[1];
  }

  /**
   * @param {Change["chat"]} change
   * @param {Chat} [known]
   */
  async #change(change, known) {
    let now = mergeChat(known, change);
    if (now.deleted) {
      await this.#delete(now);
      return now;
    }
    /** @type {Merging} */
    const merging = { chat: now };
    this.#merging.add(merging);
    try {
      await this.#database.write(["chats", "turns", "drafts"], (transaction) => {
        merging.transaction = transaction;
        const chats = transaction.objectStore("chats");
        const found = chats.get(change.id);
        found.onsuccess = () => {
          now = mergeChat(isChat(found.result) ? found.result : known, change);
          if (now.deleted) this.#strip(now, transaction); // in another tab
          else chats.put(now);
        };
      });
    } catch (error) {
      if (!merging.left) throw error;
      await merging.left;
    } finally {
      this.#merging.delete(merging);
    }
    return now;
  }

  /** @param {Chat} chat */
  async #delete(chat) {
    const write = (/** @type {IDBTransaction} */ transaction) => {
      transaction.objectStore("chats").put(tombstone(chat));
      transaction.objectStore("drafts").delete(chat.id);
    };
    // Its turns have to be found first. If the page is closed before, the next one removes them.
    const marked = this.#database.write(["chats", "drafts"], write, { commit: true });
    await Promise.all([marked, this.#clear([chat])]);
  }

  /**
   * The page is being closed: it will not see the records that changes wait for. So the chats are stored as this tab knows
   * them, and nothing that waits for this page is in front of that.
   */
  leave() {
    if (this.#merging.size === 0) return;
    const left = this.#database.write(["chats"], (transaction) => {
      for (const { chat } of this.#merging) transaction.objectStore("chats").put(chat);
    }, { commit: true }); // prettier-ignore
    left.catch(() => {}); // reported by the change, if the page comes back
    for (const merging of this.#merging) {
      merging.left = left;
      try {
        merging.transaction?.abort();
      } catch {
        // It has just been committed.
      }
    }
  }

  /**
   * @param {Chat} chat
   * @param {IDBTransaction} transaction
   */
  #strip(chat, transaction) {
    const turns = transaction.objectStore("turns");
    const keys = turns.index("chat").getAllKeys(chat.id);
    keys.onsuccess = () => keys.result.forEach((key) => turns.delete(key));
    transaction.objectStore("drafts").delete(chat.id);
    transaction.objectStore("chats").put(tombstone(chat));
  }

  /**
   * Remove what is left of deleted chats: also what another tab has written after the deletion, or what a closing page left.
   * @param {Chat[]} chats
   * @param {number} [old]  chats deleted before are no longer remembered
   */
  #clear(chats, old = 0) {
    return this.#database.write(["chats", "turns", "drafts"], (transaction) => {
      const store = transaction.objectStore("chats");
      for (const chat of chats) {
        const found = store.get(chat.id);
        found.onsuccess = () => {
          if (!found.result?.deleted) return; // restored since
          this.#strip(chat, transaction);
          if ((chat.deleted ?? 0) < old) store.delete(chat.id);
        };
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

/**
 * What remains of a deleted chat, so that a tab that still shows it does not restore it.
 * @param {Chat} chat
 * @returns {Chat}
 */
function tombstone({ id, updated, deleted = 0 }) {
  return { id, agent: "", title: "", updated, last: "", deleted };
}
