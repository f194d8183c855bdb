// The chats of this workspace: what is kept of them, what is not yet, the turns that run here, and what other windows say.

import { isRunning, titleOf, type Chat, type Turn } from "../../../aura_core/web/chat.js";
import type { Change, Opened } from "../../../aura_core/web/host-types.js";
import { isId, isTurn, mergeChat, mergeTurn } from "../../../aura_core/web/records.js";
import type { ChangeLog, Notice } from "./changeLog.js";
import { fieldsOf, LEASE, type ChatFiles, type PlaceName } from "./chatFiles.js";

/** Milliseconds between two writes of what is still changing; a long answer is written less often, by its characters. */
const PAUSE = 1000;
const PER_CHARACTER = 0.001;
/** Milliseconds between two looks at what other windows do, and between two tries after a failure. */
const LOOK = 1000;
const AGAIN = 5000;

/** What is the matter with keeping; with an empty message all is well. `unkept` are the chats of which something would be lost now. */
export interface Trouble {
  message: string;
  unkept: string[];
  /** What the system said, for the log. */
  detail: string;
}

export interface Audience {
  /** Another window has changed a chat. */
  changed(change: Change): void;
  /** Another window asks to stop a turn that may run here. */
  stop(turn: string): void;
  trouble(trouble: Trouble): void;
}

/** What is to be written of a chat. */
interface Pending {
  changes: Change["chat"][];
  turns: Map<string, Turn>;
  draft?: string;
}

export class ChatStore {
  #files;
  #log;
  #audience: Audience | undefined;
  #pending = new Map<string, Pending>();
  /** The turns that run here, as they are, and those that a view has saved and not yet asked. */
  #running = new Map<string, Turn>();
  #begun = new Map<string, Turn>();
  /** The turns that somebody here looks at and another window runs. */
  #elsewhere = new Map<string, Turn>();
  #trouble: Trouble = { message: "", unkept: [], detail: "" };
  #soon: ReturnType<typeof setTimeout> | undefined;
  #again: ReturnType<typeof setTimeout> | undefined;
  #look;
  #touched = Date.now();

  constructor(files: ChatFiles, log: ChangeLog) {
    this.#files = files;
    this.#log = log;
    this.#look = setInterval(() => this.look(), LOOK).unref();
  }

  /** There is one who hears, and it hears of a trouble that is there already. */
  set audience(audience: Audience) {
    this.#audience = audience;
    if (this.#trouble.message) audience.trouble(this.#trouble);
  }

  get trouble(): Trouble {
    return this.#trouble;
  }

  /** The chats that are not deleted, without what is attached to them. */
  list(): Chat[] {
    const chats = new Map(this.#read(() => this.#files.chats(), []).map((chat) => [chat.id, chat]));
    for (const id of this.#pending.keys()) {
      const chat = this.#withPending(id, chats.get(id));
      if (chat) chats.set(id, chat);
    }
    const kept = [...chats.values()].filter(({ deleted }) => !deleted);
    return kept.map(({ attached: _, ...chat }) => ({ ...chat, title: chat.title || this.#draftTitle(chat) }));
  }

  chat(id: string): Chat | undefined {
    return isId(id) ? this.#withPending(id, this.#read(() => this.#files.chat(id), undefined)) : undefined;
  }

  open(id: string): Opened {
    if (!isId(id)) return { turns: [], elsewhere: [] };
    const kept = this.#read<Opened>(() => this.#files.open(id), { turns: [] });
    const turns = new Map(kept.turns.map((turn) => [turn.id, turn]));
    const pending = this.#pending.get(id);
    for (const turn of [...(pending?.turns.values() ?? []), ...this.#running.values()]) if (turn.chat === id) turns.set(turn.id, turn);
    for (const turn of turns.values()) this.#watch(turn);
    const elsewhere = [...turns.keys()].filter((turn) => this.#elsewhere.has(turn));
    const { chat: _, draft: written, ...rest } = kept;
    const chat = this.#withPending(id, kept.chat);
    const draft = pending?.draft ?? written;
    return { ...rest, ...(chat ? { chat } : {}), ...(draft ? { draft } : {}), turns: [...turns.values()], elsewhere };
  }

  /**
   * Keep a change as a view has it, and return what is now known of it. A turn of which this window knows more stays as it
   * is here. Undefined: it is no change of a chat.
   */
  save(change: Change): Change | undefined {
    const { chat, turns = [] } = (change ?? {}) as Partial<Change>;
    const fields = fieldsOf(chat, chat?.id ?? "");
    if (!fields || !Array.isArray(turns) || !turns.every((turn) => isTurn(turn) && turn.chat === fields.id)) return undefined;
    const known = this.chat(fields.id);
    const pending = this.#pendingOf(fields.id);
    for (const turn of turns) {
      if (this.#running.has(turn.id)) continue;
      const merged = mergeTurn(pending.turns.get(turn.id) ?? this.#read(() => this.#files.turn(fields.id, turn.id), undefined), turn);
      pending.turns.set(turn.id, merged);
      if (isRunning(merged.answer)) this.#begun.set(turn.id, merged);
    }
    pending.changes.push(fields);
    this.#write();
    // What another window has deleted stays so, unless the deletion is undone.
    return known?.deleted && fields.deleted === undefined ? { chat: { id: fields.id, deleted: known.deleted } } : { chat: fields, turns };
  }

  keepDraft(chat: string, text: string): void {
    if (!isId(chat) || typeof text !== "string") return;
    this.#pendingOf(chat).draft = text;
    this.#writeSoon();
  }

  /** The chats in which this is said, whatever the case of its letters. */
  async find(text: string): Promise<string[]> {
    const wanted = text.trim().toLowerCase();
    if (!wanted) return [];
    const says = ({ question, answer }: Turn) => [question.text, answer.text].some((said) => said.toLowerCase().includes(wanted));
    const found = [];
    for (const { id, title } of this.list()) {
      await new Promise(setImmediate); // an answer that streams goes on meanwhile
      if (title.toLowerCase().includes(wanted) || (this.#maySay(id, wanted) && this.open(id).turns.some(says))) found.push(id);
    }
    return found;
  }

  shown(place: PlaceName): string | undefined {
    return this.#read(() => this.#files.shown(place), undefined);
  }

  show(place: PlaceName, chat: string | undefined): void {
    if (chat !== undefined && !isId(chat)) return;
    try {
      if (chat !== this.#files.shown(place)) this.#files.show(place, chat);
    } catch {
      // What is shown first after the next start is no loss; that nothing can be written is said with the first chat.
    }
  }

  /** This turn, which a view has saved, runs here from now on. */
  begin(id: string): Turn | undefined {
    const turn = this.#begun.get(id);
    if (!turn) return undefined;
    this.#begun.delete(id);
    this.#elsewhere.delete(id);
    this.#running.set(id, turn);
    return turn;
  }

  /** The answer of a turn that runs here has changed: it is written soon, and at once when it has ended. */
  heard(turn: Turn): void {
    this.#pendingOf(turn.chat).turns.set(turn.id, turn);
    if (isRunning(turn.answer)) {
      this.#writeSoon(Math.max(PAUSE, turn.answer.text.length * PER_CHARACTER));
      return;
    }
    this.#running.delete(turn.id);
    this.#write();
  }

  /** Ask whatever window runs this turn to stop it. */
  stopElsewhere(id: string): void {
    const turn = this.#elsewhere.get(id);
    if (turn) this.#tell({ chat: turn.chat, stop: id });
  }

  /** Look at what other windows have done, and say that what runs here does so. */
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
      // Its window may have ended without a word.
      const kept = this.#read(() => this.#files.turn(turn.chat, turn.id), undefined);
      if (kept && !isRunning(kept.answer)) changed.set(turn.chat, (changed.get(turn.chat) ?? new Set()).add(turn.id));
    }
    for (const [id, turns] of changed) this.#changed(id, [...turns].filter(Boolean));
  }

  /** Write what is not written yet; the window is about to go. */
  dispose(): void {
    this.#write();
    clearInterval(this.#look);
    clearTimeout(this.#soon);
    clearTimeout(this.#again);
  }

  /** What one calls a chat in which nothing was asked yet. */
  #draftTitle({ id, last }: Chat): string {
    const draft = last ? "" : (this.#pending.get(id)?.draft ?? this.#read(() => this.#files.draft(id), ""));
    return titleOf(draft);
  }

  /** Whether a chat's files may have these words: most have not, and need not be parsed. */
  #maySay(id: string, wanted: string): boolean {
    const escaped = JSON.stringify(wanted).slice(1, -1);
    return this.#pending.has(id) || this.#read(() => this.#files.texts(id), []).some((text) => text.toLowerCase().includes(escaped));
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

  #pendingOf(id: string): Pending {
    const known = this.#pending.get(id) ?? { changes: [], turns: new Map<string, Turn>() };
    this.#pending.set(id, known);
    return known;
  }

  #withPending(id: string, chat: Chat | undefined): Chat | undefined {
    const { changes = [] } = this.#pending.get(id) ?? {};
    return changes.reduce<Chat | undefined>((merged, change) => mergeChat(merged, change), chat);
  }

  #writeSoon(pause = PAUSE): void {
    this.#soon ??= setTimeout(() => this.#write(), pause);
  }

  #write(): void {
    clearTimeout(this.#soon);
    clearTimeout(this.#again);
    this.#soon = this.#again = undefined;
    let failure: unknown;
    for (const [id, pending] of this.#pending) {
      try {
        this.#writeChat(id, pending);
      } catch (error) {
        failure = error;
      }
    }
    if (this.#pending.size) this.#again = setTimeout(() => this.#write(), AGAIN);
    this.#report(failure ? `Chats are not kept now: ${reason(failure)}. What is not kept ends with this window.` : "", failure);
  }

  /** Turns first, so that nothing that is written names a turn that is not. What was written is pending no more, also when the rest fails. */
  #writeChat(id: string, pending: Pending): void {
    const written = [...pending.turns.keys()];
    for (const [turn, value] of pending.turns) {
      this.#files.write(value);
      pending.turns.delete(turn);
    }
    while (pending.changes[0]) {
      this.#files.change(pending.changes[0]);
      pending.changes.shift();
    }
    if (pending.draft !== undefined) this.#files.writeDraft(id, pending.draft);
    this.#pending.delete(id);
    this.#tell({ chat: id, turns: written });
  }

  #tell(notice: Notice): void {
    this.#ignoring(() => this.#log.tell(notice)); // the other windows then hear of it with the next change, or at their next start
  }

  #report(message: string, failure: unknown): void {
    const unkept = [...this.#pending.keys()];
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
      // The next one may work; nothing is lost by this one.
    }
  }
}

/** For a person who never saw the folder; its whole path and the rest stand in the log. */
function reason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "ENOSPC" || code === "EDQUOT") return "the disk is full";
  return code ? `the extension's folder cannot be used (${code})` : message;
}
