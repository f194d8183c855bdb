// The answers that are running: each belongs to one place that shows it, and ends with that place.

import { isRunning, take, type Turn } from "../../aura_core/web/chat.js";
import type { Ask, TurnEvent } from "../../aura_core/web/host-types.js";
import type { Server } from "./server.js";
import type { ChatStore } from "./storage/chatStore.js";

/** Where an answer is shown. */
export interface Place {
  hear(event: TurnEvent & { turn: string }): void;
}

/** Who is told what becomes of the answers. */
export interface TurnsAudience {
  /** One began or ended in this place. */
  changed(place: Place): void;
  ended(turn: Turn, place: Place): void;
}

interface Running {
  turn: Turn;
  abort: AbortController;
  place: Place;
}

export class Turns {
  #server;
  #chats;
  #audience;
  #running = new Map<string, Running>();

  constructor(server: Server, chats: ChatStore, audience: TurnsAudience) {
    this.#server = server;
    this.#chats = chats;
    this.#audience = audience;
  }

  /** How many answers run, in this place or in all. */
  count(place?: Place): number {
    if (!place) return this.#running.size;
    return [...this.#running.values()].filter((running) => running.place === place).length;
  }

  /** The answers of this window that run in another place than this one. */
  elsewhere(place: Place): string[] {
    return [...this.#running].filter(([, running]) => running.place !== place).map(([turn]) => turn);
  }

  /** Ask. The turn is one that the view has saved. */
  async start(ask: Ask, place: Place): Promise<void> {
    const turn = this.#chats.begin(ask?.turn);
    if (!turn) return; // or it is nothing that a view of ours sends
    const abort = new AbortController();
    this.#running.set(turn.id, { turn, abort, place });
    this.#audience.changed(place);
    await this.#server.turn(ask, (event) => this.#hear(turn.id, event), abort.signal);
  }

  /** Stop this answer, wherever it runs: a view stops what it shows when a person says so. */
  stop(turn: string, reason?: string): void {
    const running = this.#running.get(turn);
    if (!running) {
      this.#chats.stopElsewhere(turn);
      return;
    }
    // Said before the connection is closed, so that it is kept even when this process ends now.
    this.#hear(turn, reason ? { type: "stopped", reason } : { type: "stopped" });
    running.abort.abort();
  }

  /** Stop all answers of a place, or all there are, and say why. */
  stopAll(reason?: string, place?: Place): void {
    for (const [turn, running] of this.#running) if (!place || running.place === place) this.stop(turn, reason);
  }

  stopChat(chat: string, reason: string): void {
    for (const [id, { turn }] of this.#running) if (turn.chat === chat) this.stop(id, reason);
  }

  /** What one place shows, another shows from now on. Returns the turns. */
  move(from: Place, to: Place): string[] {
    const moved = [...this.#running].filter(([, running]) => running.place === from);
    for (const [, running] of moved) running.place = to;
    this.#audience.changed(from);
    this.#audience.changed(to);
    return moved.map(([turn]) => turn);
  }

  #hear(id: string, event: TurnEvent): void {
    const running = this.#running.get(id);
    if (!running || !take(running.turn.answer, event)) return;
    const { turn, place } = running;
    const ended = !isRunning(turn.answer);
    if (ended) this.#running.delete(id);
    this.#chats.heard(turn);
    place.hear({ ...event, turn: id });
    if (!ended) return;
    this.#audience.ended(turn, place);
    this.#audience.changed(place);
  }
}
