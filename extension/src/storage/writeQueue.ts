// Pending writes of chats: at once or soon, again after a failure, and never dropped before they succeed.

import { mergeChat } from "../../../aura_core/web/records.js";
import type { Chat, Turn } from "../../../aura_core/web/chat.js";
import type { Change } from "../../../aura_core/web/host-types.js";
import type { ChatFiles } from "./chatFiles.js";

/** Milliseconds after which frequently changing data is written, and after which a failed write is retried. */
const SOON = 1000;
const AGAIN = 5000;

/** The pending writes of one chat. */
export interface Waiting {
  changes: Change["chat"][];
  turns: Map<string, Turn>;
  draft?: string;
}

export class WriteQueue {
  #files;
  #written;
  #ended;
  #waiting = new Map<string, Waiting>();
  #soon: ReturnType<typeof setTimeout> | undefined;
  #again: ReturnType<typeof setTimeout> | undefined;

  /**
   * `written` is told what of a chat is on the disk now; `ended` is told after each attempt to write everything, with what
   * failed. Both may find what still waits in `chats`.
   */
  constructor(files: ChatFiles, written: (chat: string, turns: string[]) => void, ended: (failure: unknown) => void) {
    this.#files = files;
    this.#written = written;
    this.#ended = ended;
  }

  /** The chats with pending writes. */
  get chats(): string[] {
    return [...this.#waiting.keys()];
  }

  get(chat: string): Waiting | undefined {
    return this.#waiting.get(chat);
  }

  /** The pending writes of a chat, to add to them. */
  of(chat: string): Waiting {
    const known = this.#waiting.get(chat) ?? { changes: [], turns: new Map<string, Turn>() };
    this.#waiting.set(chat, known);
    return known;
  }

  /** A stored chat with its pending writes applied. */
  apply(id: string, kept: Chat | undefined): Chat | undefined {
    const { changes = [] } = this.#waiting.get(id) ?? {};
    return changes.reduce<Chat | undefined>((chat, change) => mergeChat(chat, change), kept);
  }

  writeSoon(pause = SOON): void {
    this.#soon ??= setTimeout(() => this.write(), pause);
  }

  write(): void {
    this.stop();
    let failure: unknown;
    for (const [id, waiting] of this.#waiting) {
      try {
        this.#write(id, waiting);
      } catch (error) {
        failure = error;
      }
    }
    if (this.#waiting.size) this.#again = setTimeout(() => this.write(), AGAIN);
    this.#ended(failure);
  }

  stop(): void {
    clearTimeout(this.#soon);
    clearTimeout(this.#again);
    this.#soon = this.#again = undefined;
  }

  /**
   * Turns first, so that no written record refers to a turn that is not written. Successful writes are removed even if the
   * rest fails.
   */
  #write(id: string, waiting: Waiting): void {
    const turns = [...waiting.turns.keys()];
    for (const [turn, value] of waiting.turns) {
      this.#files.write(value);
      waiting.turns.delete(turn);
    }
    while (waiting.changes[0]) {
      this.#files.change(waiting.changes[0]);
      waiting.changes.shift();
    }
    if (waiting.draft !== undefined) this.#files.writeDraft(id, waiting.draft);
    this.#waiting.delete(id);
    this.#written(id, turns);
  }
}
