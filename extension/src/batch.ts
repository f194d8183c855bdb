// Collect the events of a frame into one message, but send the first at once: a single token must not wait, many must
// not flood the webview.

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

  /** Send the collected events now. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#items.length === 0) return;
    const items = this.#items;
    this.#items = [];
    this.#timer = setTimeout(() => this.flush(), WAIT);
    this.#send(items);
  }

  /** Drop the unsent events: a snapshot contains all of them. */
  clear(): void {
    this.#items = [];
  }
}
