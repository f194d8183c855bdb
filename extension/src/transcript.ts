// The chats of this workspace: kept over hiding, reload and restart, bounded, and every answer as the server gave it.

import { isRunning, type Answer, type Chat } from "../../aura_core/web/chat.js";
import type { Memory } from "./memory.js";

export type { Answer, Chat };

/** Where a chat can be shown. */
export type PlaceName = "view" | "tab";

const CHAT = "chat_";
/** Chats and characters that are kept. */
export const MOST = 50;
export const ROOM = 1_000_000;
/** Milliseconds between two writes of an answer that is still running. */
const PAUSE = 1000;

export class Transcript {
  #memory;
  /** Newest first. */
  #chats: Chat[];
  /** Characters of each chat, as it was last written. */
  #sizes = new Map<Chat, number>();
  #changed = new Set<Chat>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #shown: Record<PlaceName, string | undefined>;

  constructor(memory: Memory) {
    this.#memory = memory;
    this.#shown = { view: word(memory.get("view")), tab: word(memory.get("tab")) };
    const kept = memory.keys().filter((key) => key.startsWith(CHAT)).map((key) => memory.get(key)); // prettier-ignore
    this.#chats = kept.filter(isChat).sort((a, b) => b.updated - a.updated);
    for (const chat of this.#chats) {
      closeOpenEnds(chat, "the window was closed");
      this.#sizes.set(chat, JSON.stringify(chat).length);
    }
  }

  /** Newest first. */
  get chats(): readonly Chat[] {
    return this.#chats;
  }

  get(id: string | undefined): Chat | undefined {
    return this.#chats.find((chat) => chat.id === id);
  }

  /** The chat that a place shows, or showed when the window was closed; none in a tab that is closed. */
  shown(place: PlaceName): string | undefined {
    return this.#shown[place];
  }

  show(place: PlaceName, chat: string | undefined): void {
    if (chat === this.#shown[place]) return;
    this.#shown[place] = chat;
    this.#memory.update(place, chat);
  }

  /** The answer of this turn, and the chat that it belongs to. */
  find(turn: string): { chat: Chat; answer: Answer } | undefined {
    for (const chat of this.#chats) {
      for (const message of chat.messages) {
        if (message.role === "assistant" && message.turn === turn) return { chat, answer: message };
      }
    }
    return undefined;
  }

  /** Take a chat as a view has it. Answers that are known here stay as they are here; a chat without messages is forgotten. */
  take(chat: Chat): void {
    const known = this.get(chat.id);
    const answers = new Map(known?.messages.map((message) => ["turn" in message ? message.turn : "", message]));
    const messages = chat.messages.map((message) => ("turn" in message && answers.get(message.turn)) || message);
    const taken = Object.assign(known ?? chat, { ...chat, messages });
    this.#chats = this.#chats.filter((other) => other !== taken);
    if (messages.length === 0) {
      this.#forget(taken);
    } else {
      this.#chats.unshift(taken);
      this.changed(taken, false);
    }
  }

  /** An answer of this chat has changed: write it soon, or at once. */
  changed(chat: Chat, soon: boolean): void {
    this.#changed.add(chat);
    if (!soon) this.#write();
    else this.#timer ??= setTimeout(() => this.#write(), PAUSE);
  }

  #write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const chat of this.#changed) if (this.#chats.includes(chat)) this.#keep(chat);
    this.#changed.clear();
    let room = ROOM;
    this.#chats = this.#chats.filter((chat, index) => {
      room -= this.#sizes.get(chat) ?? 0;
      const fits = index === 0 || (index < MOST && room >= 0); // the newest of all is kept even alone
      if (!fits) this.#forget(chat);
      return fits;
    });
  }

  #keep(chat: Chat): void {
    this.#sizes.set(chat, JSON.stringify(chat).length);
    const kept = this.#memory.get(CHAT + chat.id);
    // Another window went on with it; this one may be long gone, its extension host lives on for a while.
    if (isChat(kept) && kept.updated > chat.updated) return;
    this.#memory.update(CHAT + chat.id, chat);
  }

  #forget(chat: Chat): void {
    this.#sizes.delete(chat);
    this.#memory.update(CHAT + chat.id, undefined);
  }
}

/** An answer that was running when its window went away runs no more. */
export function closeOpenEnds(chat: Chat, reason: string): void {
  for (const message of chat.messages) {
    if (message.role !== "assistant" || !isRunning(message)) continue;
    Object.assign(message, { state: "stopped", ended: Date.now(), reason });
  }
}

function isChat(value: unknown): value is Chat {
  const { id, agent, updated, messages } = (value ?? {}) as Partial<Chat>;
  return word(id) !== undefined && typeof agent === "string" && typeof updated === "number" && Array.isArray(messages);
}

/** An id names a file. */
function word(value: unknown): string | undefined {
  return typeof value === "string" && /^\w+$/.test(value) ? value : undefined;
}
