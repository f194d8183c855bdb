// Gather what comes within a frame into one message, the first at once: a token must not wait, a flood must not flood.

/** Milliseconds: half a frame, so that the webview's own frame gets at least one batch. */
const WAIT = 8;

export class Batch<T> {
  #items: T[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #send;

  constructor(send: (items: T[]) => void) {
    this.#send = send;
  }

  add(item: T): void {
    this.#items.push(item);
    if (!this.#timer) this.flush();
  }

  /** Send what is there now. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#items.length === 0) return;
    const items = this.#items;
    this.#items = [];
    this.#timer = setTimeout(() => this.flush(), WAIT);
    this.#send(items);
  }

  /** Forget what was not sent: whoever gets a snapshot now has it all. */
  clear(): void {
    this.#items = [];
  }
}
