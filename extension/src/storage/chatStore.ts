// The chats of this workspace: stored data, pending writes, running turns, and messages of other windows.

import { isRunning, titleOf, type Chat, type Turn } from "../../../aura_core/web/chat.js";
import type { Change, Opened } from "../../../aura_core/web/host-types.js";
import { isId, isTurn, mergeTurn } from "../../../aura_core/web/records.js";
import type { ChangeLog, Notice } from "./changeLog.js";
import { fieldsOf, LEASE, type ChatFiles, type PlaceName } from "./chatFiles.js";
import { WriteQueue } from "./writeQueue.js";

/** Milliseconds between two writes of a running answer: the minimum, and per character. */
const PAUSE = 1000;
const PER_CHARACTER = 0.001;
/** Milliseconds between two checks for changes of other windows. */
const LOOK = 1000;

/**
 * The state of storage; an empty message means that everything is stored. `unkept` are the chats with data that would be
 * lost now.
 */
export interface Trouble {
  message: string;
  unkept: string[];
  /** The system's error, for the log. */
  detail: string;
}

export interface Audience {
  /** Another window has changed a chat. */
  changed(change: Change): void;
  /** Another window asks to stop a turn that may run here. */
  stop(turn: string): void;
  trouble(trouble: Trouble): void;
}

export class ChatStore {
  #files;
  #log;
  #audience: Audience | undefined;
  #queue;
  /** The turns that run here, and those that a view has saved and not yet sent. */
  #running = new Map<string, Turn>();
  #begun = new Map<string, Turn>();
  /** The turns that are displayed here and run in another window. */
  #elsewhere = new Map<string, Turn>();
  /** Read once: another window, or the remains of a closed one, shows other chats. */
  #shown = new Map<PlaceName, string | undefined>();
  #trouble: Trouble = { message: "", unkept: [], detail: "" };
  #look;
  #touched = Date.now();
  #disposed = false;

  constructor(files: ChatFiles, log: ChangeLog) {
    this.#files = files;
    this.#log = log;
    this.#queue = new WriteQueue(
      files,
      (chat, turns) => this.#tell({ chat, turns }),
      (failure) => this.#report(failure ? `Chats are not stored now: ${reason(failure)}. Unsaved chats are lost when this window is closed.` : "", failure),
    );
    for (const place of ["view", "tab"] as const) this.shown(place);
    this.#look = setInterval(() => this.look(), LOOK).unref();
  }

  /** There is one listener, and it is called at once if there is already an error. */
  set audience(audience: Audience) {
    this.#audience = audience;
    if (this.#trouble.message) audience.trouble(this.#trouble);
  }

  get trouble(): Trouble {
    return this.#trouble;
  }

  /** The chats that are not deleted, without their attachments. */
  list(): Chat[] {
    const chats = new Map(this.#read(() => this.#files.chats(), []).map((chat) => [chat.id, chat]));
    for (const id of this.#queue.chats) {
      const chat = this.#queue.apply(id, chats.get(id));
      if (chat) chats.set(id, chat);
    }
    const kept = [...chats.values()].filter(({ deleted }) => !deleted);
    return kept.map(({ attached: _, ...chat }) => ({ ...chat, title: chat.title || this.#draftTitle(chat) }));
  }

  chat(id: string): Chat | undefined {
    return isId(id) ? this.#queue.apply(id, this.#read(() => this.#files.chat(id), undefined)) : undefined;
  }

  open(id: string): Opened {
    if (!isId(id)) return { turns: [], elsewhere: [] };
    const kept = this.#read<Opened>(() => this.#files.open(id), { turns: [] });
    const turns = new Map(kept.turns.map((turn) => [turn.id, turn]));
    const waiting = this.#queue.get(id);
    for (const turn of [...(waiting?.turns.values() ?? []), ...this.#running.values()]) if (turn.chat === id) turns.set(turn.id, turn);
    for (const turn of turns.values()) this.#watch(turn);
    const elsewhere = [...turns.keys()].filter((turn) => this.#elsewhere.has(turn));
    const { chat: _, draft: written, ...rest } = kept;
    const chat = this.#queue.apply(id, kept.chat);
    const draft = waiting?.draft ?? written;
    return { ...rest, ...(chat ? { chat } : {}), ...(draft ? { draft } : {}), turns: [...turns.values()], elsewhere };
  }

  /**
   * Store a change from a view, and return the resulting state. If this window has a later state of a turn, that one is
   * kept. Undefined: it is not a change of a chat.
   */
  save(change: Change): Change | undefined {
    const { chat, turns = [] } = (change ?? {}) as Partial<Change>;
    const fields = fieldsOf(chat, chat?.id ?? "");
    if (!fields || !Array.isArray(turns) || !turns.every((turn) => isTurn(turn) && turn.chat === fields.id)) return undefined;
    const known = this.chat(fields.id);
    const waiting = this.#queue.of(fields.id);
    for (const turn of turns) {
      if (this.#running.has(turn.id)) continue;
      const merged = mergeTurn(waiting.turns.get(turn.id) ?? this.#read(() => this.#files.turn(fields.id, turn.id), undefined), turn);
      waiting.turns.set(turn.id, merged);
      if (isRunning(merged.answer)) this.#begun.set(turn.id, merged);
    }
    waiting.changes.push(fields);
    this.#queue.write();
    // A chat that another window has deleted stays deleted, unless the deletion is undone.
    return known?.deleted && fields.deleted === undefined ? { chat: { id: fields.id, deleted: known.deleted } } : { chat: fields, turns };
  }

  keepDraft(chat: string, text: string): void {
    if (!isId(chat) || typeof text !== "string") return;
    this.#queue.of(chat).draft = text;
    this.#queue.writeSoon();
  }

  /** The chats that contain this text, case-insensitively. */
  async find(text: string): Promise<string[]> {
    const wanted = String(text ?? "").trim().toLowerCase();
    if (!wanted) return [];
    const says = ({ question, answer }: Turn) => [question.text, answer.text].some((said) => said.toLowerCase().includes(wanted));
    const found = [];
    for (const { id, title } of this.list()) {
      await new Promise(setImmediate); // let a streaming answer continue
      if (title.toLowerCase().includes(wanted) || (this.#maySay(id, wanted) && this.open(id).turns.some(says))) found.push(id);
    }
    return found;
  }

  /** The chat that a place of this window shows, or showed when the last window was closed; none for a closed tab. */
  shown(place: PlaceName): string | undefined {
    if (!this.#shown.has(place)) this.#shown.set(place, this.#read(() => this.#files.shown(place), undefined));
    return this.#shown.get(place);
  }

  show(place: PlaceName, chat: string | undefined): void {
    if (chat === this.shown(place) || (chat !== undefined && !isId(chat))) return;
    this.#shown.set(place, chat);
    if (this.#disposed) return; // a reloaded window closes its tabs, which are opened again afterwards
    // Losing the chat to show at the next start is acceptable; a write failure is reported with the first chat.
    this.#ignoring(() => this.#files.show(place, chat));
  }

  /** This turn, which a view has saved, now runs here. */
  begin(id: string): Turn | undefined {
    const turn = this.#begun.get(id);
    if (!turn) return undefined;
    this.#begun.delete(id);
    this.#elsewhere.delete(id);
    this.#running.set(id, turn);
    return turn;
  }

  /** The answer of a turn that runs here has changed: it is written soon, and at once if it has ended. */
  updated(turn: Turn): void {
    this.#queue.of(turn.chat).turns.set(turn.id, turn);
    if (isRunning(turn.answer)) {
      this.#queue.writeSoon(Math.max(PAUSE, turn.answer.text.length * PER_CHARACTER));
      return;
    }
    this.#running.delete(turn.id);
    this.#queue.write();
  }

  /** Request the window that runs this turn to stop it. */
  stopElsewhere(id: string): void {
    const turn = this.#elsewhere.get(id);
    if (turn) this.#tell({ chat: turn.chat, stop: id });
  }

  /** Check for changes of other windows, and mark the turns that run here as running. */
  look(): void {
    const now = Date.now();
    if (now - this.#touched > LEASE / 4) {
      this.#touched = now;
      for (const turn of this.#running.values()) this.#ignoring(() => this.#files.touch(turn));
    }
    const notices = this.#read(() => this.#log.read(), []);
    const changed = new Map<string, Set<string>>();
    for (const { chat, turns = [], stop } of notices) {
      if (stop) this.#audience?.stop(stop);
      else for (const turn of ["", ...turns]) changed.set(chat, (changed.get(chat) ?? new Set()).add(turn));
    }
    for (const turn of [...this.#elsewhere.values()]) {
      // Its window may have ended without a message.
      const kept = this.#read(() => this.#files.turn(turn.chat, turn.id), undefined);
      if (kept && !isRunning(kept.answer)) changed.set(turn.chat, (changed.get(turn.chat) ?? new Set()).add(turn.id));
    }
    for (const [id, turns] of changed) this.#changed(id, [...turns].filter(Boolean));
  }

  /** Write pending changes; the window is being closed. */
  dispose(): void {
    this.#disposed = true;
    this.#queue.write();
    this.#queue.stop();
    clearInterval(this.#look);
  }

  /** The name of a chat without a question. */
  #draftTitle({ id, last }: Chat): string {
    const draft = last ? "" : (this.#queue.get(id)?.draft ?? this.#read(() => this.#files.draft(id), ""));
    return titleOf(draft);
  }

  /** Whether a chat's files may contain these words: most do not, and need not be parsed. */
  #maySay(id: string, wanted: string): boolean {
    const escaped = JSON.stringify(wanted).slice(1, -1);
    return this.#queue.get(id) !== undefined || this.#read(() => this.#files.texts(id), []).some((text) => text.toLowerCase().includes(escaped));
  }

  #changed(id: string, turnIds: string[]): void {
    const chat = this.chat(id);
    const turns = turnIds.flatMap((turn) => (this.#running.has(turn) ? [] : (this.#read(() => this.#files.turn(id, turn), undefined) ?? [])));
    for (const turn of turns) this.#watch(turn);
    this.#audience?.changed({ chat: chat ?? { id }, turns });
  }

  #watch(turn: Turn): void {
    if (isRunning(turn.answer) && !this.#running.has(turn.id)) this.#elsewhere.set(turn.id, turn);
    else this.#elsewhere.delete(turn.id);
  }

  #tell(notice: Notice): void {
    this.#ignoring(() => this.#log.tell(notice)); // the other windows then notice it with the next change, or at their next start
  }

  #report(message: string, failure: unknown): void {
    const unkept = this.#queue.chats;
    if (message === this.#trouble.message && unkept.join() === this.#trouble.unkept.join()) return;
    this.#trouble = { message, unkept, detail: failure ? String(failure) : "" };
    this.#audience?.trouble(this.#trouble);
  }

  #read<T>(read: () => T, otherwise: T): T {
    try {
      return read();
    } catch (error) {
      this.#report(`The chats cannot be read: ${reason(error)}.`, error);
      return otherwise;
    }
  }

  #ignoring(act: () => void): void {
    try {
      act();
    } catch {
      // The next attempt may succeed; nothing is lost.
    }
  }
}

/** For users who do not know the folder; its full path and the details are in the log. */
function reason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "ENOSPC" || code === "EDQUOT") return "the disk is full";
  return code ? `the extension's folder cannot be used (${code})` : message;
}
