// Detect that a window is gone: the extension host outlives a killed browser by hours.

export interface HeartbeatTimes {
  /** Milliseconds between two pings. */
  every: number;
  /**
   * Consecutive pings without a reply after which the window counts as gone; a count, so that a suspended laptop is not
   * mistaken for it.
   */
  missed: number;
}

const TIMES: HeartbeatTimes = { every: 5000, missed: 2 };

export class Heartbeat {
  #timer: ReturnType<typeof setInterval> | undefined;
  #missed = 0;
  #ask;
  #dead;
  #times;

  /** `ask` sends a ping whose reply calls `replied`; pings are sent only between `start` and `stop`. */
  constructor(ask: () => void, dead: () => void, times = TIMES) {
    this.#ask = ask;
    this.#dead = dead;
    this.#times = times;
  }

  start(): void {
    if (this.#timer) return;
    this.#missed = 0;
    this.#timer = setInterval(() => this.#beat(), this.#times.every);
  }

  replied(): void {
    this.#missed = 0;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #beat(): void {
    if (this.#missed >= this.#times.missed) {
      this.stop();
      this.#dead();
      return;
    }
    this.#missed++;
    this.#ask();
  }
}
