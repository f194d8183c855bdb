// The answers that are running: each belongs to one place that shows it, and ends with that place.

import { take, type Answer, type Chat } from "../../aura_core/web/chat.js";
import type { Ask, TurnEvent } from "../../aura_core/web/host-types.js";
import type { Server } from "./server.js";
import type { Transcript } from "./transcript.js";

/** Where an answer is shown. */
export interface Place {
  hear(event: TurnEvent & { turn: string }): void;
}

interface Running {
  chat: Chat;
  answer: Answer;
  abort: AbortController;
  place: Place;
}

export class Turns {
  #server;
  #transcript;
  #changed;
  #running = new Map<string, Running>();

  /** `changed` is called when an answer begins or ends. */
  constructor(server: Server, transcript: Transcript, changed: (place: Place) => void) {
    this.#server = server;
    this.#transcript = transcript;
    this.#changed = changed;
  }

  /** How many answers run, in this place or in all. */
  count(place?: Place): number {
    if (!place) return this.#running.size;
    return [...this.#running.values()].filter((running) => running.place === place).length;
  }

  /** Whether an answer of this chat runs in another place. */
  elsewhere(chat: string, place: Place): boolean {
    return [...this.#running.values()].some((running) => running.place !== place && running.chat.id === chat);
  }

  async start(ask: Ask, place: Place): Promise<void> {
    const found = this.#transcript.find(ask.turn);
    if (!found || this.#running.has(ask.turn)) return;
    const abort = new AbortController();
    this.#running.set(ask.turn, { ...found, abort, place });
    this.#changed(place);
    await this.#server.turn(ask, (event) => this.#hear(ask.turn, event), abort.signal);
  }

  /** Stop this answer; only the place that shows it can. */
  stop(turn: string, place: Place): void {
    if (this.#running.get(turn)?.place === place) this.#stop(turn);
  }

  /** Stop all answers of a place, or all there are, and say why. */
  stopAll(reason?: string, place?: Place): void {
    for (const [turn, running] of this.#running) if (!place || running.place === place) this.#stop(turn, reason);
  }

  /** What one place shows, another shows from now on. Returns the turns. */
  move(from: Place, to: Place): string[] {
    const moved = [...this.#running].filter(([, running]) => running.place === from);
    for (const [, running] of moved) running.place = to;
    this.#changed(from);
    this.#changed(to);
    return moved.map(([turn]) => turn);
  }

  #stop(turn: string, reason?: string): void {
    const { abort } = this.#running.get(turn) ?? {};
    // Said before the connection is closed, so that it is kept even when this process ends now.
    this.#hear(turn, reason ? { type: "stopped", reason } : { type: "stopped" });
    abort?.abort();
  }

  #hear(turn: string, event: TurnEvent): void {
    const running = this.#running.get(turn);
    if (!running || !take(running.answer, event)) return;
    const ended = ["done", "error", "stopped"].includes(event.type);
    if (ended) this.#running.delete(turn);
    this.#transcript.changed(running.chat, !ended);
    running.place.hear({ ...event, turn });
    if (ended) this.#changed(running.place);
  }
}
