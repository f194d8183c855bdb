// The running answers: each belongs to the place that shows it, and ends with that place.

import { isRunning, take, type Turn } from "../../aura_core/web/chat.js";
import type { Ask, TurnEvent } from "../../aura_core/web/host-types.js";
import type { Server } from "./server.js";
import type { ChatStore } from "./storage/chatStore.js";

/** A place that shows an answer. */
export interface Place {
  receive(event: TurnEvent & { turn: string }): void;
}

/** The listener for the events of answers. */
export interface TurnsAudience {
  /** An answer started or ended in this place. */
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

  /** How many answers are running, in this place or in all of them. */
  count(place?: Place): number {
    if (!place) return this.#running.size;
    return [...this.#running.values()].filter((running) => running.place === place).length;
  }

  /** The answers of this window that run in other places. */
  elsewhere(place: Place): string[] {
    return [...this.#running].filter(([, running]) => running.place !== place).map(([turn]) => turn);
  }

  /** Send the question of a turn that the view has saved. */
  async start(ask: Ask, place: Place): Promise<void> {
    const turn = this.#chats.begin(ask?.turn);
    if (!turn) return; // or it is not a message of our view
    const abort = new AbortController();
    this.#running.set(turn.id, { turn, abort, place });
    this.#audience.changed(place);
    await this.#server.turn(ask, (event) => this.#receive(turn.id, event), abort.signal);
  }

  /** Stop this answer, wherever it runs: the user may stop any displayed answer. */
  stop(turn: string, reason?: string): void {
    const running = this.#running.get(turn);
    if (!running) {
      this.#chats.stopElsewhere(turn);
      return;
    }
    // Emitted before the connection is closed, so that it is stored even if this process ends now.
    this.#receive(turn, reason ? { type: "stopped", reason } : { type: "stopped" });
    running.abort.abort();
  }

  /** Stop all answers of a place, or all answers, with a reason. */
  stopAll(reason?: string, place?: Place): void {
    for (const [turn, running] of this.#running) if (!place || running.place === place) this.stop(turn, reason);
  }

  stopChat(chat: string, reason: string): void {
    for (const [id, { turn }] of this.#running) if (turn.chat === chat) this.stop(id, reason);
  }

  /** Move the answers of one place to another. Returns the turns. */
  move(from: Place, to: Place): string[] {
    const moved = [...this.#running].filter(([, running]) => running.place === from);
    for (const [, running] of moved) running.place = to;
    this.#audience.changed(from);
    this.#audience.changed(to);
    return moved.map(([turn]) => turn);
  }

  #receive(id: string, event: TurnEvent): void {
    const running = this.#running.get(id);
    if (!running || !take(running.turn.answer, event)) return;
    const { turn, place } = running;
    const ended = !isRunning(turn.answer);
    if (ended) this.#running.delete(id);
    this.#chats.updated(turn);
    place.receive({ ...event, turn: id });
    if (!ended) return;
    this.#audience.ended(turn, place);
    this.#audience.changed(place);
  }
}
