// @ts-check
// Paint answers within the time of a frame, the last one first; what does not fit waits for the next frame.

/** Milliseconds of a frame that painting may take. */
const BUDGET = 8;

/** @typedef {import("./answer.js").AnswerView} AnswerView */

export class Painter {
  /** @type {Set<AnswerView>} */
  #waiting = new Set();
  /** @type {AnswerView[]} the same in order; one that is painted or forgotten stays until its turn comes */
  #order = [];
  #frame = 0;
  #around;
  #painted;

  /**
   * @param {(paint: () => void) => void} around  called in each frame to paint: it can keep the reader's place
   * @param {(view: AnswerView) => void} painted  called when all of a view is on the page
   */
  constructor(around, painted) {
    this.#around = around;
    this.#painted = painted;
  }

  /** Paint this in the next frame. @param {AnswerView} view */
  add(view) {
    if (!this.#waiting.has(view)) {
      this.#waiting.add(view);
      this.#order.push(view);
    }
    if (!this.#frame) this.#frame = requestAnimationFrame(() => this.#paint());
  }

  /** Forget this: it is not on the page any more. @param {AnswerView} view */
  remove(view) {
    this.#waiting.delete(view);
  }

  #paint() {
    this.#frame = 0;
    const deadline = performance.now() + BUDGET;
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
    if (this.#waiting.size) this.#frame = requestAnimationFrame(() => this.#paint());
  }
}
