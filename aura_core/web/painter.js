// @ts-check
// Paint answers within the time of a frame; what does not fit waits for the next one.

/** Milliseconds of a frame that painting may take. */
const BUDGET = 8;

/** @typedef {import("./answer.js").AnswerView} AnswerView */

export class Painter {
  /** @type {Set<AnswerView>} */
  #unpainted = new Set();
  #frame = 0;
  #around;

  /** @param {(paint: () => void) => void} around  called in each frame to paint: it can keep the reader's place */
  constructor(around) {
    this.#around = around;
  }

  /** Paint this in the next frame. @param {AnswerView} view */
  add(view) {
    this.#unpainted.add(view);
    if (!this.#frame) this.#frame = requestAnimationFrame(() => this.#paint());
  }

  /** Forget this: it is not on the page any more. @param {AnswerView} view */
  remove(view) {
    this.#unpainted.delete(view);
  }

  #paint() {
    this.#frame = 0;
    const deadline = performance.now() + BUDGET;
    this.#around(() => {
      for (const view of this.#unpainted) {
        if (!view.paint(deadline)) this.#unpainted.delete(view);
        if (performance.now() >= deadline) break;
      }
    });
    if (this.#unpainted.size) this.#frame = requestAnimationFrame(() => this.#paint());
  }
}
