// @ts-check
// Follow the end of a growing log only while the reader is there; never scroll the reader back to it.

/** Pixels from the end within which a reader counts as being there. */
const NEAR = 24;

export class Follow {
  #log;
  #jump;
  #following = true;
  /** The scroll position when it was last read or set. */
  #top = 0;

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
    // A change of size around the log, for example of the composer, must not lose the end; nor one of an answer in it, whose
    // height the browser estimates while it is out of view.
    const sizes = new ResizeObserver(() => this.#following && this.toEnd());
    for (const one of [log, ...log.children]) sizes.observe(one);
  }

  // Only a move up is the reader's leave: a log that shrinks or grows leaves its end behind, too, and one scroll event may
  // report several such changes.
  #look() {
    const { scrollTop, scrollHeight, clientHeight } = this.#log;
    const left = scrollTop < this.#top || !this.#following;
    this.#following = !left || scrollHeight - scrollTop - clientHeight <= NEAR;
    this.#jump.hidden = this.#following;
    this.#top = scrollTop;
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
    this.#top = this.#log.scrollTop;
  }
}
