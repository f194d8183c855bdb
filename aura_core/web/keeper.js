// @ts-check
// Store the page's chats: in the browser's database, in sync with other tabs; never fail silently.

import { isRunning, take } from "./chat.js";
import { closeOpenEnd, fromMessages, mergeChat, mergeTurn } from "./records.js";
import { Store } from "./store.js";
import { Tabs } from "./tabs.js";
import { browserStorage } from "./web-storage.js";

/** @typedef {import("./chat.js").Chat} Chat */
/** @typedef {import("./chat.js").Turn} Turn */
/** @typedef {import("./host-types.js").Change} Change */
/** @typedef {import("./host-types.js").HostEvent} HostEvent */
/** @typedef {import("./host-types.js").Opened} Opened */

/** Changes of a chat that are not stored yet. @typedef {{ chat?: Change["chat"], turns: Map<string, Turn>, draft?: string }} Unkept */

/** Milliseconds between two writes of an answer that is still running; a long one is written less often. */
const PAUSE = 1000;
const CHARACTERS_PER_MS = 500;
/** Milliseconds between two checks whether an answer in another tab is still running. */
const LOOK = 3000;
/** The reason of an answer that ended with its page. */
export const CLOSED = "the page was closed";
/** Under these names Aura 0.1 kept whole chats in localStorage. */
const OLD = "aura.chat.";

export class Keeper {
  #store = new Store();
  #tell;
  #tabs;
  /** @type {Map<string, Chat>} */
  #chats = new Map();
  /** @type {Map<string, Turn>} the turns that run in this tab */
  #running = new Map();
  /** @type {Map<string, Turn>} turns that run in other tabs, as far as known */
  #elsewhere = new Map();
  /** @type {Set<string>} turns that have changed since they were written */
  #unwritten = new Set();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {Map<string, Unkept>} */
  #unkept = new Map();
  #trouble = "";
  #said = "";

  /**
   * @param {(event: HostEvent) => void} tell
   * @param {(turn: string) => void} stop  end a turn of this tab
   */
  constructor(tell, stop) {
    this.#tell = tell;
    this.#tabs = new Tabs({ stop, changed: (change) => this.#changed(change), running: () => [...this.#running.keys()] });
    setInterval(() => void this.#look(), LOOK);
    addEventListener("beforeunload", (event) => {
      if (this.#unkept.size) event.preventDefault();
    });
  }

  /** @returns {Promise<Chat[]>} */
  async load() {
    await this.#takeOld();
    try {
      for (const chat of await this.#store.chats()) this.#chats.set(chat.id, chat);
    } catch (error) {
      this.#fault(error);
    }
    for (const [id, { chat }] of this.#unkept) this.#chats.set(id, mergeChat(this.#chats.get(id), { ...chat, id }));
    this.#report();
    return [...this.#chats.values()];
  }

  /**
   * @param {string} id
   * @returns {Promise<Opened>}
   */
  async open(id) {
    /** @type {Map<string, Turn>} */
    const turns = new Map();
    const here = [...this.#running.values()].filter(({ chat }) => chat === id);
    const unkept = this.#unkept.get(id);
    let damaged = 0;
    let draft = "";
    try {
      const found = await this.#store.turns(id);
      damaged = found.damaged;
      draft = await this.#store.draft(id);
      for (const turn of found.turns) turns.set(turn.id, turn);
    } catch (error) {
      this.#fault(error);
      this.#report();
    }
    for (const turn of [...(unkept?.turns.values() ?? []), ...here]) turns.set(turn.id, mergeTurn(turns.get(turn.id), turn));
    await this.#closeOpenEnds([...turns.values()]);
    const chat = this.#chats.get(id);
    const elsewhere = [...turns.keys()].filter((turn) => this.#elsewhere.has(turn));
    return { turns: [...turns.values()], draft: unkept?.draft ?? draft, damaged, elsewhere, ...(chat ? { chat } : {}) };
  }

  /** @param {Turn[]} turns  those that run nowhere any more are marked as stopped */
  async #closeOpenEnds(turns) {
    const open = turns.filter(({ id, answer }) => isRunning(answer) && !this.#running.has(id));
    const running = await this.#tabs.running(open.map(({ id }) => id));
    for (const turn of open) {
      if (running.has(turn.id)) {
        this.#elsewhere.set(turn.id, turn);
      } else {
        this.#elsewhere.delete(turn.id);
        closeOpenEnd(turn, CLOSED);
      }
    }
  }

  /** An answer in another tab ends with that tab, which may not have had the time to report it. */
  async #look() {
    const turns = [...this.#elsewhere.values()];
    const running = await this.#tabs.running(turns.map(({ id }) => id));
    for (const turn of turns) {
      if (running.has(turn.id) || !this.#elsewhere.delete(turn.id)) continue;
      closeOpenEnd(turn, CLOSED);
      this.#tell({ type: "changed", chat: { id: turn.chat }, turns: [turn] });
    }
  }

  /** @param {Change} change */
  save(change) {
    const turns = change.turns?.map((turn) => structuredClone(turn)) ?? [];
    for (const turn of turns) if (isRunning(turn.answer)) this.#running.set(turn.id, turn);
    this.#keep(change.chat, turns);
  }

  /**
   * @param {string} chat
   * @param {string} text
   */
  draft(chat, text) {
    this.#store.putDraft(chat, text).then(
      () => {
        delete this.#unkept.get(chat)?.draft;
        this.#settle(chat);
        this.#report();
      },
      (error) => {
        if (text) this.#missing(chat).draft = text;
        else delete this.#missing(chat).draft;
        this.#settle(chat);
        this.#fault(error);
        this.#report();
      },
    );
  }

  /**
   * An event of a turn of this tab: the turn is stored from time to time, and at its end.
   * @param {string} id
   * @param {import("./host-types.js").TurnEvent} event
   */
  receive(id, event) {
    const turn = this.#running.get(id);
    if (!turn || !take(turn.answer, event)) return;
    if (isRunning(turn.answer)) {
      this.#unwritten.add(id);
      const size = turn.answer.text.length + turn.answer.reasoning.length;
      this.#timer ??= setTimeout(() => this.#write(), Math.max(PAUSE, size / CHARACTERS_PER_MS));
      return;
    }
    this.#running.delete(id);
    this.#unwritten.delete(id);
    this.#keep({ id: turn.chat, updated: Date.now() }, [turn]);
  }

  /** Stop a turn that may run in another tab. @param {string} turn */
  stop(turn) {
    if (!this.#running.has(turn)) this.#tabs.stop(turn);
  }

  /** @param {string} text */
  find(text) {
    const newest = [...this.#chats.values()].sort((a, b) => b.updated - a.updated);
    return this.#store.find(text, newest.map(({ id }) => id)); // prettier-ignore
  }

  /** How many answers run in other tabs. */
  others() {
    return this.#tabs.count();
  }

  /** The page is being closed: what is on its way into the database must arrive there. */
  leave() {
    this.#store.leave();
  }

  #write() {
    this.#timer = undefined;
    for (const id of this.#unwritten) {
      const turn = this.#running.get(id);
      if (turn) this.#keep({ id: turn.chat }, [turn]);
    }
    this.#unwritten.clear();
  }

  /**
   * @param {Change["chat"]} chat
   * @param {Turn[]} turns
   */
  #keep(chat, turns) {
    const { id } = chat;
    const known = this.#chats.get(id);
    if (Object.keys(chat).length > 1) this.#chats.set(id, mergeChat(known, chat));
    if (chat.deleted) this.#drop(id);
    this.#tabs.changed({ chat, turns });
    const missing = this.#unkept.get(id);
    void this.#put({ ...missing?.chat, ...chat }, [...(missing?.turns.values() ?? []), ...turns], known);
  }

  /**
   * @param {Change["chat"]} chat
   * @param {Turn[]} given
   * @param {Chat} [known]
   */
  async #put(chat, given, known) {
    const turns = [...new Map(given.map((turn) => [turn.id, turn])).values()];
    try {
      const now = await this.#store.put(chat, turns, known);
      this.#written(chat, turns);
      if (now?.deleted && !("deleted" in chat)) this.#changed({ chat: { id: chat.id, deleted: now.deleted } });
    } catch (error) {
      const missing = this.#missing(chat.id);
      missing.chat = { ...missing.chat, ...chat };
      for (const turn of turns) missing.turns.set(turn.id, turn);
      this.#fault(error);
    }
    this.#report();
  }

  /**
   * @param {Change["chat"]} chat
   * @param {Turn[]} turns
   */
  #written(chat, turns) {
    const missing = this.#unkept.get(chat.id);
    if (missing) {
      for (const turn of turns) if (missing.turns.get(turn.id) === turn) missing.turns.delete(turn.id);
      if (Object.keys(missing.chat ?? {}).every((name) => name in chat)) delete missing.chat;
    }
    this.#settle(chat.id);
    // A chat was deleted, so there may be space again.
    if (chat.deleted) for (const [id, { chat, turns }] of this.#unkept) void this.#put({ ...chat, id }, [...turns.values()], this.#chats.get(id));
  }

  /** @param {string} chat */
  #missing(chat) {
    const missing = this.#unkept.get(chat) ?? /** @type {Unkept} */ ({ turns: new Map() });
    this.#unkept.set(chat, missing);
    return missing;
  }

  /** @param {string} chat */
  #settle(chat) {
    const missing = this.#unkept.get(chat);
    if (missing && !missing.chat && missing.draft === undefined && missing.turns.size === 0) this.#unkept.delete(chat);
    if (this.#unkept.size === 0) this.#trouble = "";
  }

  /** A change that another tab has stored, or data that this tab must not store any more. @param {Change} change */
  #changed(change) {
    const { chat, turns = [] } = change;
    if (Object.keys(chat).length > 1) this.#chats.set(chat.id, mergeChat(this.#chats.get(chat.id), chat));
    if (chat.deleted) this.#drop(chat.id);
    for (const turn of turns) {
      if (isRunning(turn.answer)) this.#elsewhere.set(turn.id, turn);
      else this.#elsewhere.delete(turn.id);
    }
    this.#tell({ type: "changed", ...change });
  }

  /** Nothing of a deleted chat is written any more. @param {string} id */
  #drop(id) {
    this.#chats.delete(id);
    this.#unkept.delete(id);
    for (const [turn, { chat }] of this.#running) if (chat === id) this.#running.delete(turn);
  }

  /** Import the chats of Aura 0.1. They are removed there once stored here; unreadable ones remain. */
  async #takeOld() {
    for (const key of browserStorage.keys()) {
      if (!key.startsWith(OLD)) continue;
      const old = fromMessages(parsed(browserStorage.get(key)));
      if (!old) continue;
      for (const turn of old.turns) closeOpenEnd(turn, CLOSED);
      await this.#put(old.chat, old.turns);
      if (!this.#unkept.has(old.chat.id)) browserStorage.remove(key);
    }
  }

  /** @param {unknown} error */
  #fault(error) {
    const gone = "chats are lost when the page is closed";
    const why = error instanceof Error ? error.message : String(error);
    if (browserStorage.blocked) this.#trouble = `The browser blocks this site's data: ${gone}.`;
    else if (error instanceof DOMException && error.name === "QuotaExceededError") {
      this.#trouble = "The browser has no space left for chats. Delete some to free space.";
    } else this.#trouble = `The browser cannot store this (${why}): ${gone}.`;
  }

  #report() {
    const unkept = [...this.#unkept.keys()];
    const said = JSON.stringify([this.#trouble, unkept]);
    if (said === this.#said) return;
    this.#said = said;
    this.#tell({ type: "storage", message: this.#trouble, unkept });
  }
}

/** @param {string | null} text */
function parsed(text) {
  try {
    return JSON.parse(text ?? "");
  } catch {
    return null;
  }
}
