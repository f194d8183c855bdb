// Messages between the windows of a workspace: which chat has changed, and which turn is to be stopped.
// An append-only file that is polled each second: change notifications differ between systems, and get lost.

import { closeSync, openSync, readSync, rmSync, statSync } from "node:fs";
import { newId } from "../../../aura_core/web/chat.js";
import { isId } from "../../../aura_core/web/records.js";
import { append } from "./chatFiles.js";

/** Bytes after which a starting window starts the file anew. */
const LONGEST = 1_000_000;

export interface Notice {
  chat: string;
  /** The turns of it that have changed. */
  turns?: string[];
  /** A turn that the window which runs it should stop. */
  stop?: string;
}

export class ChangeLog {
  #path;
  #window = newId();
  #offset = 0;

  constructor(path: string) {
    this.#path = path;
    if (this.#size() > LONGEST) rmSync(path, { force: true });
    this.#offset = this.#size();
  }

  tell(notice: Notice): void {
    append(this.#path, `\n${JSON.stringify({ window: this.#window, ...notice })}\n`, false);
  }

  /** Messages of other windows since the last call. */
  read(): Notice[] {
    const size = this.#size();
    if (size < this.#offset) this.#offset = 0; // the file was started anew
    if (size === this.#offset) return [];
    const bytes = Buffer.alloc(size - this.#offset);
    const handle = openSync(this.#path, "r");
    try {
      readSync(handle, bytes, 0, bytes.length, this.#offset);
    } finally {
      closeSync(handle);
    }
    const whole = bytes.lastIndexOf("\n") + 1;
    this.#offset += whole;
    return bytes.toString("utf8", 0, whole).split("\n").flatMap((line) => this.#notice(line)); // prettier-ignore
  }

  #notice(line: string): Notice[] {
    try {
      const { window, chat, turns = [], stop } = JSON.parse(line) as { window?: unknown; chat?: unknown; turns?: unknown; stop?: unknown };
      if (window === this.#window || !isId(chat) || !Array.isArray(turns) || !turns.every(isId)) return [];
      return [{ chat, turns, ...(isId(stop) ? { stop } : {}) }];
    } catch {
      return []; // an empty or truncated line
    }
  }

  #size(): number {
    try {
      return statSync(this.#path).size;
    } catch {
      return 0; // there are no messages yet, or the file cannot be used
    }
  }
}
