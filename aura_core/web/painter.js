// @ts-check
// Paint answers within the time of a frame, the last one first; what does not fit waits for the next frame.

/** Milliseconds of a frame that painting may take: less while the browser needs more than two frames to lay it out. */
const BUDGET = 8;
const LEAST = 1;
const SLOW = 34;

/** @typedef {import("./answer.js").AnswerView} AnswerView */

export class Painter {
  /** @type {Set<AnswerView>} */
  #waiting = new Set();
  /** @type {AnswerView[]} the same in order; one that is painted or forgotten stays until its turn comes */
  #order = [];
  #frame = 0;
  #budget = BUDGET;
  #around;
  #painted;

  /**
   * @param {(paint: () => void) => void} around  called in each frame to paint: it can keep the reader's place
   * @param {(view: AnswerView) => void} [painted]  called when all of a view is on the page
   */
  constructor(around, painted = () => {}) {
    this.#around = around;
    this.#painted = painted;
  }

  /** Paint this in the next frame. @param {AnswerView} view */
  add(view) {
    if (!this.#waiting.has(view)) {
      this.#waiting.add(view);
      this.#order.push(view);
    }
    if (!this.#frame) this.#frame = requestAnimationFrame(() => this.#paint(0));
  }

  /** Forget this: it is not on the page any more. @param {AnswerView} view */
  remove(view) {
    this.#waiting.delete(view);
  }

  /** @param {number} before  when the frame before this one was painted; 0: nothing was left by then */
  #paint(before) {
    this.#frame = 0;
    const now = performance.now();
    if (before) this.#budget = Math.min(BUDGET, Math.max(LEAST, this.#budget * (now - before > SLOW ? 0.5 : 1.5)));
    const deadline = now + this.#budget;
    this.#around(() => {
      // The reader of a chat that is opened is at its end.
      for (let view = this.#order.pop(); view; view = this.#order.pop()) {
        if (!this.#waiting.has(view)) continue;
        if (view.paint(deadline)) this.#order.push(view);
        else {
          this.#waiting.delete(view);
          this.#painted(view);
        }
        if (performance.now() >= deadline) break;
      }
    });
    if (this.#waiting.size) this.#frame = requestAnimationFrame(() => this.#paint(now));
  }
}
