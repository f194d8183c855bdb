// What the windows of a workspace tell each other: which chat has changed, and which turn is to be stopped.
//
// A file that is only appended, and looked at each second: notices of changed files differ between systems, and get lost.

import { closeSync, openSync, readSync, rmSync, statSync } from "node:fs";
import { newId } from "../../../aura_core/web/chat.js";
import { isId } from "../../../aura_core/web/records.js";
import { append } from "./chatFiles.js";

/** Bytes after which a window that starts begins the file anew. */
const LONGEST = 1_000_000;

export interface Notice {
  chat: string;
  /** The turns of it that have changed. */
  turns?: string[];
  /** A turn that a person wants to be stopped by whoever runs it. */
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

  /** What other windows have told since the last time. */
  read(): Notice[] {
    const size = this.#size();
    if (size < this.#offset) this.#offset = 0; // begun anew
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
      return []; // an empty line, or one that was cut off
    }
  }

  #size(): number {
    try {
      return statSync(this.#path).size;
    } catch {
      return 0; // nobody has told anything yet, or nobody can
    }
  }
}
