// The chats of this workspace: kept over hiding, reload and restart, bounded, and every answer as the server gave it.

import { isRunning, type Answer, type Chat } from "../../aura_core/web/chat.js";
import type { Memory } from "./memory.js";

export type { Answer, Chat };

const CHATS = "chats";
const CURRENT = "current";
/** Chats and characters that are kept; they are written in one piece. */
export const MOST = 50;
export const ROOM = 1_000_000;
/** Milliseconds between two writes of an answer that is still running. */
const PAUSE = 1000;

export class Transcript {
  #memory;
  #chats: Chat[];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(memory: Memory) {
    this.#memory = memory;
    const kept = memory.get(CHATS);
    this.#chats = Array.isArray(kept) ? kept.filter(isChat) : [];
    for (const chat of this.#chats) closeOpenEnds(chat, "the window was closed");
  }

  /** Newest first. */
  get chats(): readonly Chat[] {
    return this.#chats;
  }

  get current(): string | undefined {
    const current = this.#memory.get(CURRENT);
    return typeof current === "string" ? current : undefined;
  }

  set current(id: string | undefined) {
    if (id !== this.current) this.#memory.update(CURRENT, id);
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
    const known = this.#chats.find(({ id }) => id === chat.id);
    const answers = new Map(known?.messages.map((message) => ["turn" in message ? message.turn : "", message]));
    const messages = chat.messages.map((message) => ("turn" in message && answers.get(message.turn)) || message);
    const taken = Object.assign(known ?? chat, { ...chat, messages });
    this.#chats = this.#chats.filter(({ id }) => id !== chat.id);
    if (messages.length) this.#chats.unshift(taken);
    this.#write();
  }

  /** An answer has changed: write it soon, or at once. */
  changed(soon: boolean): void {
    if (!soon) this.#write();
    else this.#timer ??= setTimeout(() => this.#write(), PAUSE);
  }

  #write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#chats = bounded(this.#chats);
    this.#memory.update(CHATS, this.#chats);
  }
}

/** The newest chats that fit; the newest of all is kept even alone. */
function bounded(chats: Chat[]): Chat[] {
  let room = ROOM;
  return chats.slice(0, MOST).filter((chat, index) => {
    room -= JSON.stringify(chat).length;
    return index === 0 || room >= 0;
  });
}

/** An answer that was running when its window went away runs no more. */
export function closeOpenEnds(chat: Chat, reason: string): void {
  for (const message of chat.messages) {
    if (message.role !== "assistant" || !isRunning(message)) continue;
    Object.assign(message, { state: "stopped", ended: Date.now(), reason });
  }
}

function isChat(value: unknown): value is Chat {
  const chat = value as Partial<Chat> | null;
  return typeof chat?.id === "string" && typeof chat.agent === "string" && Array.isArray(chat.messages);
}
