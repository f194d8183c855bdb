// @ts-check
// Follow the end of a growing log only while the reader is there; never scroll the reader back to it.

/** Pixels from the end within which a reader counts as being there. */
const NEAR = 24;

export class Follow {
  #log;
  #jump;
  #following = true;

  /**
   * @param {HTMLElement} log
   * @param {HTMLButtonElement} jump  brings the reader back to the end
   */
  constructor(log, jump) {
    this.#log = log;
    this.#jump = jump;
    log.addEventListener("scroll", () => this.#look(), { passive: true });
    jump.addEventListener("click", () => {
      this.toEnd();
      log.focus({ preventScroll: true });
    });
    // A change of size around the log, for example of the composer, must not lose the end.
    new ResizeObserver(() => this.#following && this.toEnd()).observe(log);
  }

  #look() {
    this.#following = this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight <= NEAR;
    this.#jump.hidden = this.#following;
  }

  /**
   * Change the log, then follow. The scroll position is read right before, since a scroll event may be pending.
   * @param {() => void} change
   */
  around(change) {
    this.#look();
    change();
    if (this.#following) this.toEnd();
    else this.#look();
  }

  toEnd() {
    this.#following = true;
    this.#jump.hidden = true;
    // scrollIntoView would move the frame around a webview, too.
    this.#log.scrollTop = this.#log.scrollHeight;
  }
}
